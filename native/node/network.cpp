// class Network: checks arguments, queues the work, turns results into JavaScript values.
#include "train/network.h"

#include <cstring>
#include <limits>

#include "node/data_set.h"
#include "node/describe.h"
#include "node/device.h"

namespace selfcompress::node {
namespace {

// The network itself belongs to the stream: only queued work touches it once it is made. What JavaScript asks at any
// time (parameters, shapes) never changes.
struct NetworkObject {
  static constexpr napi_type_tag kTag{0x3d6f7c0a51b24e88, 0xb1c90f1d2e6a4407};
  static constexpr const char* kClass = "Network";
  std::unique_ptr<Network> network;
  bool disposed = false;  // on the JavaScript thread: later calls reject
};
using Shared = std::shared_ptr<NetworkObject>;

Napi::Value toFloat32Array(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

Napi::Value toObject(Napi::Env env, const std::map<std::string, std::vector<float>>& tensors) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, values] : tensors) object.Set(name, toFloat32Array(env, values));
  return object;
}

Napi::Value toParameters(Napi::Env env, const Network& network) {
  Napi::Array list = Napi::Array::New(env);
  for (const Parameter& p : network.parameters().all()) {
    Napi::Object info = Napi::Object::New(env);
    Napi::Array shape = Napi::Array::New(env);
    for (std::int64_t d : p.shape) shape.Set(shape.Length(), double(d));
    info.Set("name", p.name);
    info.Set("node", network.description().nodes[std::size_t(p.node)].name);
    info.Set("role", roleName(p.role));
    info.Set("shape", shape);
    info.Set("moments", p.moments);
    list.Set(list.Length(), info);
  }
  return list;
}

Napi::Value toShapes(Napi::Env env, const Network& network) {
  Napi::Object shapes = Napi::Object::New(env);
  for (std::size_t i = 0; i < network.description().nodes.size(); i++) {
    Shape s = network.topology().shapes[i + 1];
    Napi::Array shape = Napi::Array::New(env, 3);
    shape.Set(0u, s.channels), shape.Set(1u, s.height), shape.Set(2u, s.width);
    shapes.Set(network.description().nodes[i].name, shape);
  }
  return shapes;
}

Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetworkDescription description = readDescription(info[0], "network");
  NetworkOptions options = readOptions(info[1], "options");
  DeviceOptions device = readDevice(info[1], "options");
  auto object = std::make_shared<NetworkObject>();
  object->network = std::make_unique<Network>(makeBackend(env, device, "options"), description, options);
  MemoryReport memory = object->network->memory();
  wrap(info, object, std::int64_t(memory.parameterBytes + memory.activationBytes));
  Napi::Object self = info.This().As<Napi::Object>(), report = Napi::Object::New(env);
  report.Set("parameterBytes", double(memory.parameterBytes));
  report.Set("activationBytes", double(memory.activationBytes));
  report.Set("activationBytesUnshared", double(memory.activationBytesUnshared));
  defineReadOnly(self, "backend", Napi::String::New(env, object->network->backendName()));
  defineReadOnly(self, "parameters", toParameters(env, *object->network));
  defineReadOnly(self, "shapes", toShapes(env, *object->network));
  defineReadOnly(self, "memory", report);
  return env.Undefined();
}

Shared self(const Napi::CallbackInfo& info) { return unwrap<NetworkObject>(info.This(), "this"); }

// Work on the network. With `begin`: work in two parts, of which the first may run before the work queued before this
// has ended, if that is of the same kind.
Napi::Value queue(const Napi::CallbackInfo& info, const Shared& object, std::function<void()> work,
                  Stream::Result result = {}, std::vector<Napi::Reference<Napi::Value>> keep = {},
                  std::function<void()> begin = {}) {
  if (object->disposed) {
    auto deferred = Napi::Promise::Deferred::New(info.Env());
    deferred.Reject(
        Napi::Error::New(info.Env(), "Expected a network in use for this but received a disposed one").Value());
    return deferred.Promise();
  }
  const void* series = begin && object->network->stepsOverlap() ? object.get() : nullptr;
  return addonData(info.Env())
      .stream.queue(info.Env(), {std::move(keep), std::move(work), std::move(result), std::move(begin), series});
}

// The images of a step or evaluation: copied, so that the caller may reuse the array at once.
struct Batch {
  std::shared_ptr<DataSetObject> data;
  std::vector<std::int32_t> indices;
};
Batch readBatch(const Napi::CallbackInfo& info, const NetworkObject& object, std::size_t most) {
  Batch batch{unwrap<DataSetObject>(info[0], "data"), {}};
  Napi::Object named = Napi::Object::New(info.Env());
  named.Set("indices", info[1]);
  TypedArrays arrays;
  const std::int32_t* values = arrays.integers(Fields(named, ""), "indices", -1, TypedArrays::Access::kRead);
  std::size_t count = arrays.lengthOf("indices");
  if (count > most || (most != SIZE_MAX && count == 0))
    throwRange(info.Env(), "1 to " + std::to_string(most) + " images, the batch size,", "indices",
               "length " + std::to_string(count));
  batch.indices.assign(values, values + count);
  if (!object.disposed) object.network->checkBatch(batch.data->data, batch.indices.data(), count);
  return batch;
}

StepSettings readSettings(const Napi::Value& value) {
  constexpr double most = std::numeric_limits<float>::max();
  Fields f(value, "settings");
  f.allowOnly(
      {"step", "seed", "gamma", "learningRate", "bitDepthLearningRate", "exponentLearningRate", "augmentation"});
  StepSettings s;
  s.step = double(f.safeInteger("step", 1));
  s.seed = f.safeInteger("seed", 0);
  s.gamma = float(f.number("gamma", 0, most));
  s.learningRate = float(f.number("learningRate", 0, most));
  s.bitDepthLearningRate = float(f.number("bitDepthLearningRate", 0, most));
  s.exponentLearningRate = float(f.number("exponentLearningRate", 0, most));
  s.augmentation = readAugmentation(f);
  return s;
}

Napi::Value trainStep(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  StepSettings settings = readSettings(info[2]);
  auto batch = std::make_shared<Batch>(
      readBatch(info, *object, object->disposed ? SIZE_MAX : std::size_t(object->network->batchSize())));
  auto result = std::make_shared<StepResult>();
  auto begin = [=] {
    object->network->beginStep(batch->data->data, batch->indices.data(), int(batch->indices.size()), settings);
  };
  return queue(
      info, object, [=] { *result = object->network->finishStep(); },
      [=](Napi::Env env) -> Napi::Value {
        Napi::Object out = Napi::Object::New(env);
        out.Set("loss", result->loss);
        out.Set("correct", double(result->correct));
        out.Set("bitsPerWeight", result->bitsPerWeight);
        out.Set("gradientNorm", result->gradientNorm);
        return out;
      },
      {}, begin);
}

Napi::Value gradients(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  StepSettings settings = readSettings(info[2]);
  auto batch = std::make_shared<Batch>(
      readBatch(info, *object, object->disposed ? SIZE_MAX : std::size_t(object->network->batchSize())));
  auto result = std::make_shared<std::map<std::string, std::vector<float>>>();
  return queue(
      info, object,
      [=] {
        *result =
            object->network->gradients(batch->data->data, batch->indices.data(), int(batch->indices.size()), settings);
      },
      [=](Napi::Env env) { return toObject(env, *result); });
}

Napi::Value evaluate(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  auto batch = std::make_shared<Batch>(readBatch(info, *object, SIZE_MAX));
  auto result = std::make_shared<EvaluationResult>();
  return queue(
      info, object,
      [=] { *result = object->network->evaluate(batch->data->data, batch->indices.data(), batch->indices.size()); },
      [=](Napi::Env env) -> Napi::Value {
        Napi::Object out = Napi::Object::New(env);
        out.Set("loss", result->loss);
        out.Set("correct", double(result->correct));
        out.Set("count", double(result->count));
        return out;
      });
}

Napi::Value predict(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  int count = integerFrom(info[1], "count", 0, INT32_MAX);
  Napi::Object named = Napi::Object::New(info.Env());
  named.Set("images", info[0]);
  TypedArrays arrays;
  std::int64_t elements = object->disposed ? -1 : object->network->topology().shapes[0].elements() * count;
  const float* images = arrays.floats(Fields(named, ""), "images", elements, TypedArrays::Access::kRead);
  auto result = std::make_shared<std::vector<float>>();
  return queue(
      info, object, [=] { *result = object->network->predict(images, std::size_t(count)); },
      [=](Napi::Env env) { return toFloat32Array(env, *result); }, arrays.keepAlive());
}

Napi::Value state(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  auto result = std::make_shared<State>();
  return queue(
      info, object, [=] { *result = object->network->state(); }, [=](Napi::Env env) { return toObject(env, *result); });
}

Napi::Value loadState(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  Fields fields(info[0], "state");
  auto values = std::make_shared<State>();
  if (!object->disposed) {
    Napi::Array names = info[0].As<Napi::Object>().GetPropertyNames();
    for (std::uint32_t i = 0; i < names.Length(); i++) {
      std::string name = names.Get(i).ToString().Utf8Value();
      TypedArrays arrays;
      const float* data = arrays.floats(fields, name.c_str(), -1, TypedArrays::Access::kRead);
      std::size_t length = arrays.lengthOf(name.c_str());
      object->network->checkState(name, length);
      (*values)[name].assign(data, data + length);
    }
  }
  return queue(info, object, [=] { object->network->loadState(*values); });
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  if (object->disposed) {
    auto deferred = Napi::Promise::Deferred::New(info.Env());
    deferred.Resolve(info.Env().Undefined());
    return deferred.Promise();
  }
  Napi::Value promise = queue(info, object, [=] { object->network.reset(); });
  object->disposed = true;
  return promise;
}

}  // namespace

void exportNetwork(Napi::Object exports) {
  exportClass<NetworkObject, construct>(
      exports, {classMethod<trainStep>("trainStep"), classMethod<gradients>("gradients"),
                classMethod<evaluate>("evaluate"), classMethod<predict>("predict"), classMethod<state>("state"),
                classMethod<loadState>("loadState"), classMethod<dispose>("dispose")});
}

}  // namespace selfcompress::node
