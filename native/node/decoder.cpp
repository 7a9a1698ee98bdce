// class Decoder: a network of tokens one position after another (engine/decoder.h) behind JavaScript.
#include "engine/decoder.h"

#include <cstring>

#include "node/addon.h"
#include "node/classes.h"
#include "node/decoder.h"

namespace selfcompress::node {
namespace {

struct DecoderObject {
  static constexpr napi_type_tag kTag{0x8a6f2d17c3e94b05, 0xb1d47e6a90c8f352};
  static constexpr const char* kClass = "Decoder";
  std::shared_ptr<engine::Decoder> decoder;  // touched on the stream's thread alone, once it is made
  int length = 0, outputs = 0;
};
using Shared = std::shared_ptr<DecoderObject>;

// What makeDecoder hands to the constructor; the JavaScript thread's.
thread_local std::shared_ptr<engine::Decoder> made;

Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!made) throwType(env, "Model.decoder", "the maker of a Decoder", "new Decoder");
  auto object = std::make_shared<DecoderObject>();
  object->decoder = std::exchange(made, nullptr);
  object->length = object->decoder->length(), object->outputs = object->decoder->outputs();
  const engine::Memory memory = object->decoder->memory();
  wrap(info, object, std::int64_t(memory.weightBytes + memory.activationBytes));
  Napi::Object self = info.This().As<Napi::Object>();
  defineReadOnly(self, "length", Napi::Number::New(env, object->length));
  defineReadOnly(self, "outputs", Napi::Number::New(env, object->outputs));
  return env.Undefined();
}

Shared self(const Napi::CallbackInfo& info) { return unwrap<DecoderObject>(info.This(), "this"); }

Napi::Value next(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  TypedArrays arrays;
  const std::int32_t* tokens = arrays.integers(info[0], "tokens", -1);
  arrays.verify();
  const std::size_t count = arrays.lengthOf("tokens");
  if (count < 1 || count > std::size_t(object->length))
    throwRange(info.Env(), "1 to " + std::to_string(object->length), "the number of tokens", std::to_string(count));
  auto result = std::make_shared<std::vector<float>>(std::size_t(object->outputs));
  auto copy = std::make_shared<std::vector<std::int32_t>>(tokens, tokens + count);
  return addonData(info.Env())
      .stream.queue(info.Env(), {{},
                                 [=] { object->decoder->next(copy->data(), count, result->data(), enginePool()); },
                                 [=](Napi::Env env) -> Napi::Value {
                                   auto array = Napi::Float32Array::New(env, result->size());
                                   std::memcpy(array.Data(), result->data(), result->size() * sizeof(float));
                                   return array;
                                 },
                                 {},
                                 nullptr});
}

Napi::Value reset(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  return addonData(info.Env())
      .stream.queue(
          info.Env(),
          {{}, [=] { object->decoder->reset(); }, [](Napi::Env env) { return env.Undefined(); }, {}, nullptr});
}

}  // namespace

Napi::Value makeDecoder(Napi::Env env, std::shared_ptr<const model::Bytes> bytes, const engine::Options& options) {
  auto result = std::make_shared<std::shared_ptr<engine::Decoder>>();
  return addonData(env).stream.queue(env, {{},
                                           [=] { *result = std::make_shared<engine::Decoder>(*bytes, options); },
                                           [=](Napi::Env env) -> Napi::Value {
                                             made = std::move(*result);
                                             return addonData(env).decoderClass.New({});
                                           },
                                           {},
                                           nullptr});
}

void exportDecoder(Napi::Object exports) {
  exportClass<DecoderObject, construct>(exports, {classMethod<next>("next"), classMethod<reset>("reset")});
  addonData(exports.Env()).decoderClass = Napi::Persistent(exports.Get("Decoder").As<Napi::Function>());
}

}  // namespace selfcompress::node
