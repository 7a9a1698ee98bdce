#include "node/arguments.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace selfcompress::node {
namespace {

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
    case napi_float32_array:
      return "Float32Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_uint8_array:
      return "Uint8Array";
    default:
      return "typed array";
  }
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

// Length-tracking views over buffers that can change size would move under a running operation.
bool canChangeSize(const Napi::Value& buffer) {
  if (!buffer.IsObject()) return false;
  Napi::Object object = buffer.As<Napi::Object>();
  for (const char* name : {"resizable", "growable"}) {
    Napi::Value flag = object.Get(name);
    if (flag.IsBoolean() && flag.As<Napi::Boolean>().Value()) return true;
  }
  return false;
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
    case napi_string: {
      std::string text = value.As<Napi::String>().Utf8Value();
      return "\"" + (text.size() > 60 ? text.substr(0, 57) + "..." : text) + "\"";
    }
    case napi_symbol:
      return "a symbol";
    case napi_bigint:
      return "a bigint";
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
  return "an object";
}

void throwType(Napi::Env env, const std::string& what, const std::string& argument, const std::string& got) {
  throw Napi::TypeError::New(env, "Expected " + what + " for " + argument + " but received " + got);
}
void throwRange(Napi::Env env, const std::string& what, const std::string& argument, const std::string& got) {
  throw Napi::RangeError::New(env, "Expected " + what + " for " + argument + " but received " + got);
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

Fields::Fields(const Napi::Value& value, std::string path) : path_(std::move(path)) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction() || value.IsTypedArray())
    throwType(value.Env(), "an object", path_.empty() ? "the arguments" : path_, received(value));
  object_ = value.As<Napi::Object>();
}

void Fields::allowOnly(const std::vector<const char*>& names) const {
  Napi::Array keys = object_.GetPropertyNames();
  for (std::uint32_t i = 0; i < keys.Length(); i++) {
    std::string key = keys.Get(i).ToString().Utf8Value();
    if (std::any_of(names.begin(), names.end(), [&](const char* n) { return key == n; })) continue;
    std::string nearest;
    std::size_t distance = std::max<std::size_t>(3, key.size() / 2);
    for (const char* n : names)
      if (std::size_t d = editDistance(key, n); d < distance) distance = d, nearest = n;
    std::string advice = nearest.empty() ? "" : " (did you mean \"" + nearest + "\"?)";
    throwType(env(), "only known names", path_.empty() ? "the arguments" : path_, "\"" + key + "\"" + advice);
  }
}

bool Fields::has(const char* name) const { return !object_.Get(name).IsUndefined(); }

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
  return value.As<Napi::String>().Utf8Value();
}

int Fields::choice(const char* name, const std::vector<const char*>& names) const {
  Napi::Value value = get(name);
  std::string what = "one of", text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  int index = 0;
  for (const char* n : names) {
    if (value.IsString() && text == n) return index;
    what += (index++ ? ", \"" : " \"") + std::string(n) + "\"";
  }
  throwType(env(), what, path(name), received(value));
}

std::array<int, 2> Fields::pair(const char* name, int low, int high) const {
  Napi::Array values = array(name);
  if (values.Length() != 2) throwRange(env(), "[height, width]", path(name), received(values));
  return {integerFrom(values.Get(0u), path(name) + "[0]", low, high),
          integerFrom(values.Get(1u), path(name) + "[1]", low, high)};
}

std::array<int, 3> Fields::imageShape(const char* name) const {
  Napi::Array values = array(name);
  if (values.Length() != 3) throwRange(env(), "[channels, height, width]", path(name), received(values));
  return {integerFrom(values.Get(0u), path(name) + "[0]", 1, kMostChannels),
          integerFrom(values.Get(1u), path(name) + "[1]", 1, kMostPixels),
          integerFrom(values.Get(2u), path(name) + "[2]", 1, kMostPixels)};
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
  if (canChangeSize(owner))
    throwType(value.Env(), "memory of a fixed size", path,
              "a " + std::string(typeName(type)) + " over a resizable buffer");
  if (length >= 0 && elements != std::size_t(length)) throwRange(value.Env(), what, path, received(value));
  std::size_t size = elements * (type == napi_uint8_array ? 1 : 4);
  entries_.push_back({name, path, array, static_cast<std::uint8_t*>(data), size, elements, access});
  return entries_.back();
}

float* TypedArrays::floats(const Fields& fields, const char* name, std::int64_t length, Access access) {
  static float none;  // an empty array has no memory; no operation touches it
  auto& entry = add(fields.get(name), name, fields.path(name), {napi_float32_array}, length, access);
  return entry.length ? reinterpret_cast<float*>(entry.data) : &none;
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

std::size_t TypedArrays::lengthOf(const char* name) const {
  for (const Entry& e : entries_)
    if (e.name == name) return e.length;
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
