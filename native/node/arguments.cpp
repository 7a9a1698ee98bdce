#include "node/arguments.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "base/errors.h"
#include "node/addon.h"

namespace selfcompress::node {
namespace {

constexpr std::size_t kMostText = 10000;  // bytes of a name

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  double back = 0;
  char shorter[32];
  for (int digits = 1; digits < 17; digits++) {
    std::snprintf(shorter, sizeof shorter, "%.*g", digits, value);
    if (std::sscanf(shorter, "%lf", &back) == 1 && back == value) return shorter;
  }
  return text;
}

std::string range(double low, double high) {
  if (std::isinf(high)) return low == 0 ? "a number >= 0" : "a number >= " + decimal(low);
  return "a number from " + decimal(low) + " to " + decimal(high);
}

const char* typeName(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
      return "Int8Array";
    case napi_uint8_array:
      return "Uint8Array";
    case napi_uint8_clamped_array:
      return "Uint8ClampedArray";
    case napi_int16_array:
      return "Int16Array";
    case napi_uint16_array:
      return "Uint16Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_uint32_array:
      return "Uint32Array";
    case napi_float32_array:
      return "Float32Array";
    case napi_float64_array:
      return "Float64Array";
    case napi_bigint64_array:
      return "BigInt64Array";
    case napi_biguint64_array:
      return "BigUint64Array";
    default:
      return "typed array";
  }
}

// At most `most` bytes of a string, in whole characters, with "..." where there are more.
std::string beginning(const Napi::Value& value, std::size_t most) {
  std::string text(most + 4, '\0');
  std::size_t bytes = 0, all = 0;
  if (napi_get_value_string_utf8(value.Env(), value, text.data(), most + 1, &bytes) != napi_ok ||
      napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &all) != napi_ok)
    return "";
  text.resize(bytes);
  return all > bytes ? text + "..." : text;
}

std::size_t editDistance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); i++) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); j++) {
      std::size_t above = row[j];
      row[j] =
          std::min({row[j] + 1, row[j - 1] + 1, diagonal + (std::tolower(a[i - 1]) == std::tolower(b[j - 1]) ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// An object that is neither an array nor a view of memory.
std::string receivedObject(const Napi::Value& value) {
  if (value.IsDataView()) return "a DataView";
  if (value.IsArrayBuffer()) return "an ArrayBuffer";
  std::string tag;
  try {
    tag = addonData(value.Env()).intrinsics.tag(value);
  } catch (const Napi::Error&) {  // of the user's code: the value stays nameless
  }
  auto letter = [](unsigned char c) { return std::isalnum(c) != 0; };
  if (tag.empty() || tag == "Object" || tag.size() > 40 || !std::all_of(tag.begin(), tag.end(), letter))
    return "an object";
  return (std::string("AEIOU").find(tag[0]) == std::string::npos ? "a " : "an ") + tag;
}

}  // namespace

std::string received(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number:
      return decimal(value.As<Napi::Number>().DoubleValue());
    case napi_string:
      return "\"" + beginning(value, 60) + "\"";
    case napi_symbol:
      return "a symbol";
    case napi_bigint: {
      bool whole = false;
      std::int64_t number = value.As<Napi::BigInt>().Int64Value(&whole);
      return whole ? std::to_string(number) + "n" : "a bigint";
    }
    case napi_function:
      return "a function";
    case napi_external:
      return "an external";
    default:
      break;
  }
  if (value.IsArray()) return "an array of length " + std::to_string(value.As<Napi::Array>().Length());
  if (value.IsTypedArray()) {
    auto array = value.As<Napi::TypedArray>();
    return std::string(typeName(array.TypedArrayType())) + " of length " + std::to_string(array.ElementLength());
  }
  return receivedObject(value);
}

void throwUnreadable(Napi::Env env, const std::string& path, const Napi::Error& cause) {
  std::string text = cause.Message();
  if (text.size() > 200) text = text.substr(0, 197) + "...";
  Napi::Error error = makeError<Napi::TypeError>(env, kArgumentError,
                                                 "Expected a value that can be read for " + path +
                                                     " but received an exception" + (text.empty() ? "" : ": " + text));
  error.Value().DefineProperty(Napi::PropertyDescriptor::Value(
      "cause", cause.Value(), napi_property_attributes(napi_writable | napi_configurable)));
  throw error;
}

std::int64_t product(Napi::Env env, const std::vector<Factor>& factors, std::int64_t most) {
  double all = 1;  // exact wherever it is not far above `most`
  std::int64_t result = 1;
  std::string names, values;
  for (const Factor& factor : factors) {
    all *= double(factor.value);
    if (all <= double(most)) result *= factor.value;
    names += (names.empty() ? "" : " x ") + std::string(factor.name);
    values += (values.empty() ? "" : " x ") + std::to_string(factor.value);
  }
  if (all > double(most))
    throwRange(env, "a product of at most " + std::to_string(most), names, values + " = " + decimal(all));
  return result;
}

double numberFrom(const Napi::Value& value, const std::string& path, double low, double high) {
  if (!value.IsNumber()) throwType(value.Env(), range(low, high), path, received(value));
  double x = value.As<Napi::Number>().DoubleValue();
  if (!(x >= low && x <= high) || std::isinf(x)) throwRange(value.Env(), range(low, high), path, received(value));
  return x;
}

int integerFrom(const Napi::Value& value, const std::string& path, int low, int high) {
  std::string what = "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!value.IsNumber()) throwType(value.Env(), what, path, received(value));
  double x = value.As<Napi::Number>().DoubleValue();
  if (!(x >= low && x <= high) || x != std::floor(x)) throwRange(value.Env(), what, path, received(value));
  return int(x);
}

Fields::Fields(const Napi::Value& value, std::string path)
    : path_(std::move(path)), read_(std::make_shared<std::unordered_map<std::string, Napi::Value>>()) {
  const std::string name = path_.empty() ? "the arguments" : path_;
  if (!value.IsObject() || value.IsArray() || value.IsFunction() || value.IsTypedArray())
    throwType(value.Env(), "an object", name, received(value));
  const Intrinsics& intrinsics = addonData(value.Env()).intrinsics;
  if (reading(value.Env(), name, [&] { return intrinsics.tag(value); }) != "Object")
    throwType(value.Env(), "an object", name, received(value));
  object_ = value.As<Napi::Object>();
}

Fields Fields::plain(const Napi::Value& value, const std::string& path) {
  Fields fields(value, path);
  napi_value prototype = nullptr, above = nullptr;
  Napi::Env env = value.Env();
  auto isNull = [&](napi_value v) { return Napi::Value(env, v).IsNull(); };
  if (napi_get_prototype(env, value, &prototype) != napi_ok) throw Napi::Error::New(env);
  if (isNull(prototype)) return fields;
  if (napi_get_prototype(env, prototype, &above) != napi_ok) throw Napi::Error::New(env);
  if (!isNull(above)) throwType(env, "a plain object", path, "an object with a prototype of its own");
  return fields;
}

std::vector<std::string> Fields::ownNames() const {
  const Napi::Array keys = reading(env(), path_, [&] {
    napi_value list;
    if (napi_get_all_property_names(env(), object_, napi_key_own_only,
                                    napi_key_filter(napi_key_enumerable | napi_key_skip_symbols),
                                    napi_key_numbers_to_strings, &list) != napi_ok)
      throw Napi::Error::New(env());
    return Napi::Array(env(), list);
  });
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < keys.Length(); i++) names.push_back(textOf(keys.Get(i), "a name in " + path_));
  return names;
}

void Fields::allowOnly(const std::vector<const char*>& names) const {
  const std::string where = path_.empty() ? "the arguments" : path_;
  Napi::Array keys = reading(env(), where, [&] { return object_.GetPropertyNames(); });
  for (std::uint32_t i = 0; i < keys.Length(); i++) {
    std::string key = beginning(keys.Get(i), 200);
    if (std::any_of(names.begin(), names.end(), [&](const char* n) { return key == n; })) continue;
    std::string nearest;
    std::size_t distance = std::max<std::size_t>(3, key.size() / 2);
    for (const char* n : names)
      if (std::size_t d = editDistance(key, n); d < distance) distance = d, nearest = n;
    std::string advice = nearest.empty() ? "" : " (did you mean \"" + nearest + "\"?)";
    throwType(env(), "only known names", where, "\"" + key + "\"" + advice);
  }
}

Napi::Value Fields::get(const std::string& name) const {
  auto found = read_->find(name);
  if (found != read_->end()) return found->second;
  Napi::Value value = reading(env(), path(name), [&] { return object_.Get(Napi::String::New(env(), name)); });
  read_->emplace(name, value);
  return value;
}

bool Fields::has(const char* name) const { return !get(name).IsUndefined(); }

std::string textOf(const Napi::Value& value, const std::string& path) {
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find("\xEF\xBF\xBD") == std::string::npos) return text;  // what stands for halves that UTF-8 cannot hold
  const std::u16string units = value.As<Napi::String>().Utf16Value();
  auto isHigh = [](char16_t u) { return u >= 0xD800 && u < 0xDC00; };
  auto isLow = [](char16_t u) { return u >= 0xDC00 && u < 0xE000; };
  for (std::size_t i = 0; i < units.size(); i++) {
    const bool pair = isHigh(units[i]) && i + 1 < units.size() && isLow(units[i + 1]);
    if (!pair && (isHigh(units[i]) || isLow(units[i])))
      throwRange(value.Env(), "text of whole characters", path, "half of a surrogate pair");
    i += pair;
  }
  return text;
}

Napi::Value elementOf(const Napi::Array& array, std::uint32_t i, const std::string& path) {
  return reading(array.Env(), path, [&] { return array.Get(i); });
}

double Fields::number(const char* name, double low, double high) const {
  return numberFrom(get(name), path(name), low, high);
}
int Fields::integer(const char* name, int low, int high) const { return integerFrom(get(name), path(name), low, high); }

std::uint64_t Fields::safeInteger(const char* name, double low) const {
  Napi::Value value = get(name);
  std::string what = "an integer from " + decimal(low) + " to 2^53 - 1";
  if (!value.IsNumber()) throwType(env(), what, path(name), received(value));
  double x = value.As<Napi::Number>().DoubleValue();
  if (!(x >= low && x <= 9007199254740991.0) || x != std::floor(x))
    throwRange(env(), what, path(name), received(value));
  return std::uint64_t(x);
}

bool Fields::boolean(const char* name, bool otherwise) const {
  Napi::Value value = get(name);
  if (value.IsUndefined()) return otherwise;
  if (!value.IsBoolean()) throwType(env(), "a boolean", path(name), received(value));
  return value.As<Napi::Boolean>().Value();
}

std::string Fields::string(const char* name) const {
  Napi::Value value = get(name);
  if (!value.IsString()) throwType(env(), "a string", path(name), received(value));
  std::size_t bytes = 0;
  if (napi_get_value_string_utf8(env(), value, nullptr, 0, &bytes) != napi_ok) throw Napi::Error::New(env());
  if (bytes > kMostText)
    throwRange(env(), "a string of at most " + std::to_string(kMostText) + " bytes", path(name),
               std::to_string(bytes) + " bytes");
  return textOf(value, path(name));
}

int Fields::choice(const char* name, const std::vector<const char*>& names) const {
  Napi::Value value = get(name);
  const std::string text = value.IsString() ? beginning(value, 100) : "";
  for (std::size_t i = 0; value.IsString() && i < names.size(); i++)
    if (text == names[i]) return int(i);
  std::string what = "one of";
  for (const char* n : names) what += (n == names.front() ? " \"" : ", \"") + std::string(n) + "\"";
  throwType(env(), what, path(name), received(value));
}

namespace {
int integerAt(const Napi::Array& values, std::uint32_t i, const std::string& path, int low, int high) {
  const std::string at = path + "[" + std::to_string(i) + "]";
  return integerFrom(elementOf(values, i, at), at, low, high);
}
}  // namespace

std::array<int, 2> Fields::pair(const char* name, int low, int high) const {
  Napi::Array values = array(name);
  if (values.Length() != 2) throwRange(env(), "[height, width]", path(name), received(values));
  return {integerAt(values, 0, path(name), low, high), integerAt(values, 1, path(name), low, high)};
}

std::array<int, 3> Fields::imageShape(const char* name) const {
  Napi::Array values = array(name);
  if (values.Length() != 3) throwRange(env(), "[channels, height, width]", path(name), received(values));
  return {integerAt(values, 0, path(name), 1, kMostChannels), integerAt(values, 1, path(name), 1, kMostPixels),
          integerAt(values, 2, path(name), 1, kMostPixels)};
}

Napi::Array Fields::array(const char* name) const {
  Napi::Value value = get(name);
  if (!value.IsArray()) throwType(env(), "an array", path(name), received(value));
  return value.As<Napi::Array>();
}

TypedArrays::Entry& TypedArrays::add(const Napi::Value& value, const std::string& name, const std::string& path,
                                     std::initializer_list<napi_typedarray_type> types, std::int64_t length,
                                     Access access) {
  std::string what;
  for (napi_typedarray_type t : types) what += (what.empty() ? "" : " or ") + std::string(typeName(t));
  if (length >= 0) what += " of length " + std::to_string(length);
  if (!value.IsTypedArray()) throwType(value.Env(), what, path, received(value));
  auto array = value.As<Napi::TypedArray>();
  napi_typedarray_type type;
  std::size_t elements, offset;
  void* data = nullptr;
  napi_value buffer;
  napi_status status = napi_get_typedarray_info(value.Env(), value, &type, &elements, &data, &buffer, &offset);
  if (status != napi_ok) throw Napi::Error::New(value.Env());
  if (std::find(types.begin(), types.end(), type) == types.end()) throwType(value.Env(), what, path, received(value));
  Napi::Value owner(value.Env(), buffer);
  bool detached = false;
  if (owner.IsArrayBuffer()) napi_is_detached_arraybuffer(value.Env(), buffer, &detached);
  if (detached)
    throwType(value.Env(), "memory that is not detached", path, "a detached " + std::string(typeName(type)));
  if (addonData(value.Env()).intrinsics.canChangeSize(owner))
    throwType(value.Env(), "memory of a fixed size", path,
              "a " + std::string(typeName(type)) + " over a resizable buffer");
  if (length >= 0 && elements != std::size_t(length)) throwRange(value.Env(), what, path, received(value));
  std::size_t size = elements * (type == napi_uint8_array ? 1 : 4);
  entries_.push_back({name, path, array, static_cast<std::uint8_t*>(data), size, elements, access});
  return entries_.back();
}

float* TypedArrays::floats(const Fields& fields, const std::string& name, std::int64_t length, Access access) {
  static float none;  // an empty array has no memory; no operation touches it
  auto& entry = add(fields.get(name), name, fields.path(name), {napi_float32_array}, length, access);
  return entry.length ? reinterpret_cast<float*>(entry.data) : &none;
}
const float* TypedArrays::floats(const Napi::Value& value, const std::string& path, std::int64_t length) {
  return reinterpret_cast<const float*>(add(value, path, path, {napi_float32_array}, length, Access::kRead).data);
}
const std::int32_t* TypedArrays::integers(const Napi::Value& value, const std::string& path, std::int64_t length) {
  return reinterpret_cast<const std::int32_t*>(add(value, path, path, {napi_int32_array}, length, Access::kRead).data);
}
float* TypedArrays::optionalFloats(const Fields& fields, const char* name, std::int64_t length, Access access) {
  return fields.has(name) ? floats(fields, name, length, access) : nullptr;
}
std::int32_t* TypedArrays::integers(const Fields& fields, const char* name, std::int64_t length, Access access) {
  static std::int32_t none;
  auto& entry = add(fields.get(name), name, fields.path(name), {napi_int32_array}, length, access);
  return entry.length ? reinterpret_cast<std::int32_t*>(entry.data) : &none;
}
std::uint8_t* TypedArrays::bytesOrFloats(const Fields& fields, const char* name, std::int64_t length, bool& isFloat) {
  auto& entry =
      add(fields.get(name), name, fields.path(name), {napi_uint8_array, napi_float32_array}, length, Access::kRead);
  isFloat = entry.array.TypedArrayType() == napi_float32_array;
  return entry.data;
}

std::size_t TypedArrays::lengthOf(const std::string& name) const {
  for (auto e = entries_.rbegin(); e != entries_.rend(); e++)  // it is asked for what was read last
    if (e->name == name) return e->length;
  return 0;
}

void TypedArrays::verify() const {
  for (const Entry& e : entries_) {
    std::size_t elements = 0;
    void* data = nullptr;
    napi_get_typedarray_info(e.array.Env(), e.array, nullptr, &elements, &data, nullptr, nullptr);
    if (elements != e.length || (elements && data != e.data))
      throwType(e.array.Env(), "memory that does not change during the call", e.path, "an array that did");
  }
  for (const Entry& written : entries_) {
    if (written.access != Access::kWrite) continue;
    for (const Entry& other : entries_) {
      if (&written == &other || !written.bytes || !other.bytes) continue;
      if (written.data >= other.data + other.bytes || other.data >= written.data + written.bytes) continue;
      bool allowed = written.data == other.data && written.bytes == other.bytes &&
                     std::any_of(same_.begin(), same_.end(), [&](auto& pair) {
                       return (pair.first == written.name && pair.second == other.name) ||
                              (pair.second == written.name && pair.first == other.name);
                     });
      if (!allowed)
        throwRange(written.array.Env(), "memory that no other argument uses", written.path,
                   "an array that overlaps " + other.path);
    }
  }
}

std::vector<Napi::Reference<Napi::Value>> TypedArrays::keepAlive() const {
  std::vector<Napi::Reference<Napi::Value>> references;
  for (const Entry& e : entries_) references.push_back(Napi::Reference<Napi::Value>::New(e.array, 1));
  return references;
}

}  // namespace selfcompress::node
