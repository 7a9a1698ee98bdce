// class Model: the inference engine (native/engine) behind JavaScript. Checks arguments, queues predictions.
#include <cstring>

#include "cpu/threads.h"
#include "engine/predictor.h"
#include "node/addon.h"
#include "node/classes.h"
#include "node/decoder.h"
#include "node/describe.h"
#include "node/model_file.h"

namespace selfcompress::node {
namespace {

struct ModelObject {
  static constexpr napi_type_tag kTag{0x52b8a1c94f0d4d17, 0x9a3c6e0b7d215f83};
  static constexpr const char* kClass = "Model";
  std::shared_ptr<const engine::Predictor> model;  // queued predictions hold it as well
  std::int64_t inputElements = 0, outputElements = 0;
  std::shared_ptr<const model::Bytes> file;  // of a network of tokens, for decoders
  engine::Options options;
};
using Shared = std::shared_ptr<ModelObject>;

// What loadModelFile hands to the constructor; the JavaScript thread's.
struct Made {
  std::shared_ptr<const engine::Predictor> model;
  std::shared_ptr<const model::Bytes> file;
  engine::Options options;
};
thread_local Made loaded;

Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!loaded.model) throwType(env, "loadModelFile", "the maker of a Model", "new Model");
  auto object = std::make_shared<ModelObject>();
  Made made = std::exchange(loaded, {});
  object->model = std::move(made.model), object->options = made.options;
  if (object->model->vocabulary()) object->file = std::move(made.file);
  const engine::Predictor& model = *object->model;
  object->inputElements = model.input().elements(), object->outputElements = model.output().elements();
  const engine::Memory memory = model.memory();
  wrap(info, object,
       std::int64_t(memory.weightBytes + memory.activationBytes + (object->file ? object->file->size() : 0)));
  Napi::Object self = info.This().As<Napi::Object>(), metadata = Napi::Object::New(env);
  for (const auto& [key, value] : model.metadata()) setOwn(metadata, key, toValue(env, value));
  defineReadOnly(self, "input", toAxes(env, model.input()));
  defineReadOnly(self, "output", toAxes(env, model.output()));
  defineReadOnly(self, "metadata", metadata);
  defineReadOnly(self, "isa", Napi::String::New(env, model.isa()));
  if (model.vocabulary()) defineReadOnly(self, "vocabulary", Napi::Number::New(env, model.vocabulary()));
  return env.Undefined();
}

Shared self(const Napi::CallbackInfo& info) { return unwrap<ModelObject>(info.This(), "this"); }

Napi::Error disposedError(Napi::Env env) {
  return makeError<Napi::Error>(env, kDisposedError, "Expected a model in use for this but received a disposed one");
}

// The images of a prediction, [count][input elements].
struct Images {
  const float* values;
  std::size_t count;
};
Images readImages(const Napi::CallbackInfo& info, const ModelObject& object, TypedArrays& arrays) {
  const int count = integerFrom(info[1], "count", 0, kMostBatch);
  const std::int64_t elements = product(info.Env(), {{"count", count}, {"elements of an input", object.inputElements}});
  product(info.Env(), {{"count", count}, {"elements of an output", object.outputElements}});
  const float* values = arrays.floats(info[0], "images", elements);
  arrays.verify();
  return {values, std::size_t(count)};
}

Napi::Value toFloat32Array(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

Napi::Value predict(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  TypedArrays arrays;
  const Images images = readImages(info, *object, arrays);
  if (!object->model) {
    auto deferred = Napi::Promise::Deferred::New(info.Env());
    deferred.Reject(disposedError(info.Env()).Value());
    return deferred.Promise();
  }
  auto result = std::make_shared<std::vector<float>>();
  return addonData(info.Env())
      .stream.queue(info.Env(), {arrays.keepAlive(),
                                 [=, model = object->model, outputs = std::size_t(object->outputElements)] {
                                   result->resize(images.count * outputs);
                                   model->predict(images.values, images.count, result->data(), enginePool());
                                 },
                                 [=](Napi::Env env) { return toFloat32Array(env, *result); },
                                 {},
                                 nullptr});
}

Napi::Value predictSync(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  TypedArrays arrays;
  const Images images = readImages(info, *object, arrays);
  if (!object->model) throw disposedError(info.Env());
  std::vector<float> result(images.count * std::size_t(object->outputElements));
  object->model->predict(images.values, images.count, result.data(), enginePool());
  return toFloat32Array(info.Env(), result);
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  if (!object->model) throw disposedError(info.Env());
  const engine::Memory memory = object->model->memory();
  Napi::Object out = Napi::Object::New(info.Env());
  setOwn(out, "weightBytes", Napi::Number::New(info.Env(), double(memory.weightBytes)));
  setOwn(out, "panelBytes", Napi::Number::New(info.Env(), double(memory.panelBytes)));
  setOwn(out, "activationBytes", Napi::Number::New(info.Env(), double(memory.activationBytes)));
  return out;
}

Napi::Value decoder(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  if (!object->model) throw disposedError(info.Env());
  if (!object->file) throwType(info.Env(), "a network of tokens", "this", "one of numbers");
  return makeDecoder(info.Env(), object->file, object->options);
}

// Predictions under way end as if nothing had happened.
Napi::Value dispose(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  object->model.reset(), object->file.reset();
  return info.Env().Undefined();
}

Napi::Value load(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"bytes", "maxWeights", "maxNodes", "maxActivationBytes", "weights", "arithmetic"});
  TypedArrays arrays;
  bool isFloat = false;
  const std::uint8_t* bytes = arrays.bytesOrFloats(f, "bytes", -1, isFloat);
  if (isFloat) throwType(f.env(), "a Uint8Array", f.path("bytes"), "a Float32Array");
  engine::Options options;
  if (f.has("maxWeights")) options.limits.weights = f.safeInteger("maxWeights", 1);
  if (f.has("maxNodes")) options.limits.nodes = f.safeInteger("maxNodes", 1);
  if (f.has("maxActivationBytes")) options.activationBytes = f.safeInteger("maxActivationBytes", 1);
  options.keepPanels = f.choice("weights", {"unpacked", "packed"}, 0) == 0;
  const bool integers = f.choice("arithmetic", {"float", "integer"}, 0) == 1;
  arrays.verify();
  auto copy = std::make_shared<model::Bytes>(bytes, bytes + arrays.lengthOf("bytes"));
  auto result = std::make_shared<std::shared_ptr<const engine::Predictor>>();
  return addonData(info.Env())
      .stream.queue(info.Env(), {{},
                                 [=] { *result = engine::makePredictor(*copy, options, integers); },
                                 [=](Napi::Env env) -> Napi::Value {
                                   loaded = {std::move(*result), copy, options};
                                   return addonData(env).modelClass.New({});
                                 },
                                 {},
                                 nullptr});
}

}  // namespace

engine::Parallel enginePool() {
  return {cpu::threads(), [](std::int64_t count, const std::function<void(std::int64_t)>& task) {
            cpu::parallelFor(count, [&](std::int64_t i) { task(i); });
          }};
}

void exportEngine(Napi::Object exports) {
  exportClass<ModelObject, construct>(
      exports, {classMethod<predict>("predict"), classMethod<predictSync>("predictSync"), classMethod<memory>("memory"),
                classMethod<decoder>("decoder"), classMethod<dispose>("dispose")});
  addonData(exports.Env()).modelClass = Napi::Persistent(exports.Get("Model").As<Napi::Function>());
  exportFunction<load>(exports, "loadModelFile");
}

}  // namespace selfcompress::node
