// encodeModelFile and decodeModelFile: networks that are not in training, to and from bytes.
#include "node/model_file.h"

#include <cstring>

#include "node/classes.h"
#include "node/describe.h"
#include "node/state.h"

namespace selfcompress::node {
namespace {

model::FieldValue readList(const Napi::Array& list, const std::string& path) {
  std::vector<double> numbers;
  std::vector<std::string> texts;
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const std::string at = path + "[" + std::to_string(i) + "]";
    const Napi::Value value = elementOf(list, i, at);
    if (value.IsNumber() && texts.empty()) numbers.push_back(value.As<Napi::Number>().DoubleValue());
    else if (value.IsString() && numbers.empty()) texts.push_back(textOf(value, at));
    else throwType(list.Env(), "numbers only or strings only", at, received(value));
  }
  if (!texts.empty()) return texts;
  return numbers;
}

Napi::Value encode(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"network", "state", "metadata"});
  const NetworkDescription network = readDescription(f.get("network"), f.path("network"));
  TypedArrays arrays;
  auto state = std::make_shared<StateView>(readState(f.get("state"), f.path("state"), arrays));
  const model::Metadata metadata = readMetadata(f.get("metadata"), f.path("metadata"));
  arrays.verify();
  auto result = std::make_shared<model::Bytes>();
  return addonData(info.Env())
      .stream.queue(info.Env(), {arrays.keepAlive(),
                                 [=] {
                                   State copy;
                                   for (const auto& [name, values] : *state)
                                     copy[name].assign(values.begin(), values.end());
                                   *result = encodeModelFile(network, copy, metadata);
                                 },
                                 [=](Napi::Env env) { return toUint8Array(env, *result); },
                                 {},
                                 nullptr});
}

Napi::Value decode(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"bytes", "maxWeights", "maxNodes"});
  TypedArrays arrays;
  bool isFloat = false;
  const std::uint8_t* bytes = arrays.bytesOrFloats(f, "bytes", -1, isFloat);
  if (isFloat) throwType(f.env(), "a Uint8Array", f.path("bytes"), "a Float32Array");
  const std::size_t length = arrays.lengthOf("bytes");
  model::Limits limits;
  if (f.has("maxWeights")) limits.weights = f.safeInteger("maxWeights", 1);
  if (f.has("maxNodes")) limits.nodes = f.safeInteger("maxNodes", 1);
  arrays.verify();
  auto copy = std::make_shared<model::Bytes>(bytes, bytes + length);
  auto result = std::make_shared<DecodedModel>();
  return addonData(info.Env())
      .stream.queue(info.Env(), {{},
                                 [=] { *result = decodeModelFile(*copy, limits); },
                                 [=](Napi::Env env) -> Napi::Value {
                                   Napi::Object out = Napi::Object::New(env), metadata = Napi::Object::New(env);
                                   for (const auto& [key, value] : result->metadata)
                                     setOwn(metadata, key, toValue(env, value));
                                   out.Set("network", toDescription(env, result->network));
                                   out.Set("state", toState(env, std::move(result->state)));
                                   out.Set("metadata", metadata);
                                   return out;
                                 },
                                 {},
                                 nullptr});
}

}  // namespace

Napi::Value toValue(Napi::Env env, const model::FieldValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return Napi::Boolean::New(env, *flag);
  if (const std::int64_t* whole = std::get_if<std::int64_t>(&value)) return Napi::Number::New(env, double(*whole));
  if (const double* number = std::get_if<double>(&value)) return Napi::Number::New(env, *number);
  if (const std::string* text = std::get_if<std::string>(&value)) return Napi::String::New(env, *text);
  Napi::Array list = Napi::Array::New(env);
  if (const auto* numbers = std::get_if<std::vector<double>>(&value))
    for (double number : *numbers) list.Set(list.Length(), number);
  else
    for (const std::string& text : std::get<std::vector<std::string>>(value)) list.Set(list.Length(), text);
  return list;
}

model::Metadata readMetadata(const Napi::Value& value, const std::string& path) {
  model::Metadata metadata;
  if (value.IsUndefined()) return metadata;
  const Fields f = Fields::plain(value, path);
  for (const std::string& key : f.ownNames()) {
    const Napi::Value v = f.get(key);
    if (v.IsUndefined()) continue;
    if (v.IsBoolean()) metadata.emplace_back(key, v.As<Napi::Boolean>().Value());
    else if (v.IsString()) metadata.emplace_back(key, textOf(v, f.path(key)));
    else if (v.IsArray()) metadata.emplace_back(key, readList(v.As<Napi::Array>(), f.path(key)));
    else if (v.IsNumber()) {
      const double number = v.As<Napi::Number>().DoubleValue();
      if (std::abs(number) < 9e15 && number == double(std::int64_t(number)))
        metadata.emplace_back(key, std::int64_t(number));
      else metadata.emplace_back(key, number);
    } else
      throwType(f.env(), "a boolean, a number, a string, or an array of numbers or strings", f.path(key), received(v));
  }
  return metadata;
}

Napi::Value toUint8Array(Napi::Env env, const model::Bytes& bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

void exportModelFile(Napi::Object exports) {
  exportFunction<encode>(exports, "encodeModelFile");
  exportFunction<decode>(exports, "decodeModelFile");
}

}  // namespace selfcompress::node
