// class Network: checks arguments, queues the work, turns results into JavaScript values.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "node/data_set.h"
#include "node/describe.h"
#include "node/device.h"
#include "node/model_file.h"
#include "node/plan.h"
#include "node/state.h"

namespace selfcompress::node {
namespace {

// The network itself belongs to the stream: queued work alone makes it, when it is first needed, and touches it.
// Compiling takes time and memory in proportion to the channels, which no call may take on the JavaScript thread.
struct NetworkObject {
  static constexpr napi_type_tag kTag{0x3d6f7c0a51b24e88, 0xb1c90f1d2e6a4407};
  static constexpr const char* kClass = "Network";

  // The stream's.
  std::function<std::unique_ptr<Network>()> make;  // until it is made
  std::unique_ptr<Network> network;
  std::exception_ptr failure;  // why there is none: of the work that should have made it
  void compile() {
    if (network) return;
    try {
      if (failure) std::rethrow_exception(failure);
      if (!make) throw OutOfMemory("The network was lost when memory ran out in prune()");
      network = make();
      count();
    } catch (...) {
      failure = std::current_exception();
    }
    make = nullptr;
    if (failure) std::rethrow_exception(failure);
  }

  void count() {
    const MemoryReport memory = network ? network->memory() : MemoryReport();
    bytes = std::int64_t(memory.parameterBytes + memory.activationBytes);
  }
  std::atomic<std::int64_t> bytes{0};  // that it holds; both threads'

  // The JavaScript thread's.
  bool disposed = false;                     // later calls reject
  int pruning = 0;                           // removals under way, after which parameters have other sizes
  std::shared_ptr<const Parameters> layout;  // of the parameters, without memory
  BatchRules rules;
  std::vector<std::string> outputs;  // names of several; neither changes
  int batchSize = 1;
  bool stepsOverlap = false;
  std::shared_ptr<ExternalMemory> external;
};
using Shared = std::shared_ptr<NetworkObject>;

Napi::Value toFloat32Array(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

// What JavaScript may ask of a network at any time. It changes when channels are removed; a copy, since the network
// itself belongs to the stream.
struct Properties {
  NetworkDescription description;
  std::shared_ptr<const Parameters> parameters;
  std::vector<Axes> axes;  // of every tensor
};

Napi::Value toParameters(Napi::Env env, const Properties& properties) {
  Napi::Array list = Napi::Array::New(env);
  for (const Parameter& p : properties.parameters->all()) {
    Napi::Object info = Napi::Object::New(env);
    Napi::Array shape = Napi::Array::New(env);
    for (std::int64_t d : p.shape()) shape.Set(shape.Length(), double(d));
    info.Set("name", p.name);
    info.Set("node", properties.description.nodes[std::size_t(p.node)].name);
    info.Set("role", roleName(p.role));
    info.Set("shape", shape);
    info.Set("moments", p.moments);
    list.Set(list.Length(), info);
  }
  return list;
}

Napi::Value toShapes(Napi::Env env, const Properties& properties) {
  Napi::Object shapes = Napi::Object::New(env);
  for (std::size_t i = 0; i < properties.description.nodes.size(); i++)
    setOwn(shapes, properties.description.nodes[i].name, toAxes(env, properties.axes[i + 1]));
  return shapes;
}

Napi::Value toMemory(Napi::Env env, const MemoryReport& memory) {
  Napi::Object report = Napi::Object::New(env);
  report.Set("parameterBytes", double(memory.parameterBytes));
  report.Set("activationBytes", double(memory.activationBytes));
  report.Set("activationBytesUnshared", double(memory.activationBytesUnshared));
  return report;
}

void define(Napi::Object self, const Properties& properties) {
  Napi::Env env = self.Env();
  auto set = [&](const char* name, Napi::Value value) {
    self.DefineProperty(
        Napi::PropertyDescriptor::Value(name, value, napi_property_attributes(napi_enumerable | napi_configurable)));
  };
  set("description", toDescription(env, properties.description));
  set("parameters", toParameters(env, properties));
  set("shapes", toShapes(env, properties));
}

// Everything that can be wrong with the arguments is found here, in time that grows with the nodes alone.
Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  NetworkDescription description = readDescription(info[0], "network");
  NetworkOptions options = readOptions(info[1], "options");
  DeviceOptions device = readDevice(info[1], "options");
  std::shared_ptr<Backend> backend = makeBackend(env, device, "options");
  const Topology topology = checkNetwork(*backend, description, options);
  auto object = std::make_shared<NetworkObject>();
  object->layout = layoutOf(description, topology, options);
  object->rules = batchRulesOf(description, topology, options);
  for (const TensorPart& output : description.outputs) object->outputs.push_back(output.name);
  object->batchSize = options.batchSize, object->stepsOverlap = !backend->readsHostMemory();
  object->make = [=] { return std::make_unique<Network>(backend, description, options); };
  object->external = wrap(info, object, object->layout->floats() * std::int64_t(sizeof(float)));
  Napi::Object self = info.This().As<Napi::Object>();
  defineReadOnly(self, "backend", Napi::String::New(env, backend->name()));
  define(self, {description, object->layout, topology.axes});
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
    deferred.Reject(makeError<Napi::Error>(info.Env(), kDisposedError,
                                           "Expected a network in use for this but received a disposed one")
                        .Value());
    return deferred.Promise();
  }
  const void* series = begin && object->stepsOverlap ? object.get() : nullptr;
  auto whole = [object](const std::function<void()>& part) -> std::function<void()> {
    if (!part) return {};
    return [object, part] {
      object->compile();
      part();
    };
  };
  auto counted = [object, result = std::move(result)](Napi::Env env) -> Napi::Value {
    object->external->set(env, object->bytes);
    return result ? result(env) : env.Undefined();
  };
  return addonData(info.Env())
      .stream.queue(info.Env(), {std::move(keep), whole(work), std::move(counted), whole(begin), series});
}

// The images of a step or evaluation: copied, so that the caller may reuse the array at once.
struct Batch {
  std::shared_ptr<DataSetObject> data;
  std::vector<std::int32_t> indices;
};
Batch readBatch(const Napi::CallbackInfo& info, const NetworkObject& object, std::size_t most) {
  Batch batch{unwrap<DataSetObject>(info[0], "data"), {}};
  TypedArrays arrays;
  const std::int32_t* values = arrays.integers(info[1], "indices", -1);
  std::size_t count = arrays.lengthOf("indices");
  if (count > most || (most != SIZE_MAX && count == 0))
    throwRange(info.Env(), "1 to " + std::to_string(most) + " images, the batch size,", "indices",
               "length " + std::to_string(count));
  arrays.verify();
  batch.indices.assign(values, values + count);
  checkComplete(info.Env(), "data", *batch.data);
  checkBatch(object.rules, batch.data->data, batch.indices.data(), count);
  return batch;
}

// A network whose outputs are learned; nullptr: none, though not for a network that distills.
Shared readTeacher(const Fields& f, const NetworkObject& student) {
  const std::string path = f.path("teacher");
  const bool distilled = distills(student.rules.terms);
  if (distilled && !f.has("teacher"))
    throwType(f.env(), "a Network, which options.distillation needs,", path, "undefined");
  if (!f.has("teacher")) return nullptr;
  Shared teacher = unwrap<NetworkObject>(f.get("teacher"), path);
  auto fail = [&](const std::string& expected, const std::string& found) { throwType(f.env(), expected, path, found); };
  if (teacher.get() == &student) fail("another network", "the one that learns");
  if (teacher->disposed) fail("a network in use", "a disposed one");
  const std::vector<LossTerm>& terms = student.rules.terms;
  if (!distilled && std::any_of(terms.begin(), terms.end(), [](const LossTerm& term) { return term.isCrossEntropy(); }))
    fail("no value with the loss crossEntropy without options.distillation", "a network");
  if (teacher->batchSize < student.batchSize)
    fail("a network of batch size " + std::to_string(student.batchSize) + " or more",
         std::to_string(teacher->batchSize));
  if (!(teacher->rules.input == student.rules.input))
    fail("a network of input " + student.rules.input.text(), teacher->rules.input.text());
  if (teacher->rules.vocabulary < student.rules.vocabulary)
    fail("a network of " + std::to_string(student.rules.vocabulary) + " tokens",
         std::to_string(teacher->rules.vocabulary));
  if (teacher->rules.features != student.rules.features)
    fail("a network of " + std::to_string(student.rules.features) + " outputs",
         std::to_string(teacher->rules.features));
  return teacher;
}

StepSettings readSettings(const Fields& f) {
  constexpr double most = std::numeric_limits<float>::max();
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

// Of several outputs, by name.
void setOutputs(Napi::Object out, const NetworkObject& object, const std::vector<OutputResult>& results) {
  if (results.empty()) return;
  Napi::Env env = out.Env();
  Napi::Object outputs = Napi::Object::New(env);
  for (std::size_t i = 0; i < results.size(); i++) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("loss", results[i].loss);
    one.Set("weight", results[i].weight);
    one.Set("correct", double(results[i].correct));
    one.Set("count", double(results[i].count));
    one.Set("topFive", double(results[i].topFive));
    setOwn(outputs, object.outputs[i], one);
  }
  out.Set("outputs", outputs);
}

constexpr std::initializer_list<const char*> kSettings{
    "step", "seed", "gamma", "learningRate", "bitDepthLearningRate", "exponentLearningRate", "augmentation"};

Napi::Value trainStep(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  const Fields fields(info[2], "settings");
  std::vector<const char*> names(kSettings);
  names.push_back("teacher");
  fields.allowOnly(names);
  const StepSettings settings = readSettings(fields);
  const Shared teacher = readTeacher(fields, *object);
  auto batch = std::make_shared<Batch>(readBatch(info, *object, std::size_t(object->batchSize)));
  checkAugmentation(object->rules, batch->data->data, settings.augmentation, teacher != nullptr);
  auto result = std::make_shared<StepResult>();
  auto begin = [=] {
    if (teacher) teacher->compile();
    object->network->beginStep(batch->data->data, batch->indices.data(), int(batch->indices.size()), settings,
                               teacher ? teacher->network.get() : nullptr);
  };
  return queue(
      info, object, [=] { *result = object->network->finishStep(); },
      [=](Napi::Env env) -> Napi::Value {
        Napi::Object out = Napi::Object::New(env);
        out.Set("loss", result->loss);
        out.Set("weight", result->weight);
        out.Set("correct", double(result->correct));
        out.Set("count", double(result->count));
        out.Set("bitsPerWeight", result->bitsPerWeight);
        out.Set("gradientNorm", result->gradientNorm);
        setOutputs(out, *object, result->outputs);
        return out;
      },
      {}, begin);
}

Napi::Value gradients(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  const Fields fields(info[2], "settings");
  fields.allowOnly(kSettings);
  if (distills(object->rules.terms))
    throwType(info.Env(), "no options.distillation, whose steps need a teacher,", "gradients", "a network with it");
  const StepSettings settings = readSettings(fields);
  auto batch = std::make_shared<Batch>(readBatch(info, *object, std::size_t(object->batchSize)));
  checkAugmentation(object->rules, batch->data->data, settings.augmentation, false);
  auto result = std::make_shared<std::map<std::string, std::vector<float>>>();
  return queue(
      info, object,
      [=] {
        *result =
            object->network->gradients(batch->data->data, batch->indices.data(), int(batch->indices.size()), settings);
      },
      [=](Napi::Env env) { return toState(env, std::move(*result)); });
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
        out.Set("topFive", double(result->topFive));
        setOutputs(out, *object, result->outputs);
        return out;
      });
}

Napi::Value predictTokens(const Napi::CallbackInfo& info, const Shared& object, int count) {
  const std::int64_t length =
      product(info.Env(), {{"count", count}, {"tokens of an example", object->rules.input.positionCount()}});
  TypedArrays arrays;
  const std::int32_t* tokens = arrays.integers(info[0], "tokens", length);
  arrays.verify();
  auto copy = std::make_shared<std::vector<std::int32_t>>(tokens, tokens + length);  // what was checked is what is used
  checkTokens(info.Env(), "tokens", *copy, object->rules.vocabulary);
  auto result = std::make_shared<std::vector<float>>();
  return queue(
      info, object, [=] { *result = object->network->predict(copy->data(), std::size_t(count)); },
      [=](Napi::Env env) { return toFloat32Array(env, *result); });
}

Napi::Value predict(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  int count = integerFrom(info[1], "count", 0, INT32_MAX);
  if (object->rules.input.type == ValueType::kToken) return predictTokens(info, object, count);
  const std::int64_t elements =
      product(info.Env(), {{"count", count}, {"elements of an image", object->rules.input.elements()}});
  TypedArrays arrays;
  const float* images = arrays.floats(info[0], "images", elements);
  arrays.verify();
  auto result = std::make_shared<std::vector<float>>();
  return queue(
      info, object, [=] { *result = object->network->predict(images, std::size_t(count)); },
      [=](Napi::Env env) { return toFloat32Array(env, *result); }, arrays.keepAlive());
}

Napi::Value state(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  auto result = std::make_shared<State>();
  return queue(
      info, object, [=] { *result = object->network->state(); },
      [=](Napi::Env env) { return toState(env, std::move(*result)); });
}

Napi::Value loadState(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  TypedArrays arrays;
  auto values = std::make_shared<StateView>(readState(info[0], "state", arrays));
  arrays.verify();
  // Sizes are known here as long as no removal is under way; else the stream checks them when it comes to it.
  if (!object->disposed && !object->pruning)
    for (const auto& [name, tensor] : *values) object->layout->check(name, tensor.size());
  return queue(
      info, object, [=] { object->network->loadState(*values); }, {}, arrays.keepAlive());
}

Napi::Value prune(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  auto result = std::make_shared<std::optional<Removed>>();
  auto reference = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().As<Napi::Object>()));
  auto properties = std::make_shared<Properties>();
  if (!object->disposed) object->pruning++;
  return queue(
      info, object,
      [=] {
        *result = Network::prune(object->network);
        if (!*result) return;
        object->count();
        const Network& network = *object->network;
        *properties = {network.description(), layoutOf(network.description(), network.topology(), network.options()),
                       network.topology().axes};
      },
      [=](Napi::Env env) -> Napi::Value {
        object->pruning--;
        if (!*result) return env.Null();
        object->layout = properties->parameters;
        define(reference->Value(), *properties);
        Napi::Object removed = Napi::Object::New(env), kept = Napi::Object::New(env), out = Napi::Object::New(env);
        for (const Removed::Layer& layer : (*result)->layers) {
          if (layer.removed) setOwn(removed, layer.name, Napi::Number::New(env, layer.removed));
          auto indices = Napi::Int32Array::New(env, layer.kept.size());
          std::copy(layer.kept.begin(), layer.kept.end(), indices.Data());
          setOwn(kept, layer.name, indices);
        }
        out.Set("removed", removed);
        out.Set("kept", kept);
        return out;
      });
}

Napi::Value measure(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  struct Sizes {
    std::vector<LayerSize> layers;
    std::vector<std::string> names, kinds;
  };
  auto result = std::make_shared<Sizes>();
  return queue(
      info, object,
      [=] {
        result->layers = object->network->measure();
        for (const LayerSize& layer : result->layers) {
          const NodeDescription& node = object->network->description().nodes[std::size_t(layer.node)];
          result->names.push_back(node.name), result->kinds.push_back(node.op->kind);
        }
      },
      [=](Napi::Env env) -> Napi::Value {
        Napi::Array list = Napi::Array::New(env);
        for (std::size_t i = 0; i < result->layers.size(); i++) {
          const LayerSize& layer = result->layers[i];
          Napi::Object out = Napi::Object::New(env);
          auto codeBits = Napi::Int32Array::New(env, layer.codeBits.size());
          std::copy(layer.codeBits.begin(), layer.codeBits.end(), codeBits.Data());
          out.Set("name", result->names[i]);
          out.Set("kind", result->kinds[i]);
          out.Set("channels", layer.channels);
          out.Set("weights", double(layer.weights));
          out.Set("bits", double(layer.bits));
          out.Set("codeBits", codeBits);
          list.Set(list.Length(), out);
        }
        return list;
      });
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  auto result = std::make_shared<MemoryReport>();
  return queue(
      info, object, [=] { *result = object->network->memory(); },
      [=](Napi::Env env) { return toMemory(env, *result); });
}

Napi::Value plan(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  const std::string which = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : received(info[0]);
  const bool evaluation = which == "evaluation";
  if (!info[0].IsString()) throwType(info.Env(), "'training' or 'evaluation'", "which", which);
  if (!evaluation && which != "training")
    throwRange(info.Env(), "'training' or 'evaluation'", "which", received(info[0]));
  struct Plan {
    ProgramRows rows;
    std::vector<std::string> names;
  };
  auto result = std::make_shared<Plan>();
  return queue(
      info, object,
      [=] {
        const Network& network = *object->network;
        result->rows =
            rowsOf(evaluation ? network.evaluationProgram() : network.trainingProgram(), network.batchSize());
        for (const NodeDescription& node : network.description().nodes) result->names.push_back(node.name);
      },
      [=](Napi::Env env) { return toPlan(env, result->rows, result->names); });
}

Napi::Value encodeModel(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  const model::Metadata metadata = readMetadata(info[0], "metadata");
  auto result = std::make_shared<model::Bytes>();
  return queue(
      info, object,
      [=] { *result = encodeModelFile(object->network->description(), object->network->parameterState(), metadata); },
      [=](Napi::Env env) { return toUint8Array(env, *result); });
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  Shared object = self(info);
  if (object->disposed) {
    auto deferred = Napi::Promise::Deferred::New(info.Env());
    deferred.Resolve(info.Env().Undefined());
    return deferred.Promise();
  }
  Napi::Value promise = addonData(info.Env())
                            .stream.queue(info.Env(), {{},
                                                       [=] { object->make = nullptr, object->network.reset(); },
                                                       [=](Napi::Env env) {
                                                         object->external->set(env, 0);
                                                         return env.Undefined();
                                                       },
                                                       {},
                                                       nullptr});
  object->disposed = true;
  return promise;
}

}  // namespace

// The same as a network's properties, of a description alone.
Napi::Value inspect(const Napi::CallbackInfo& info) {
  const NetworkDescription description = readDescription(info[0], "network");
  const Topology topology = inferShapes(description, 1);
  Napi::Object result = Napi::Object::New(info.Env());
  define(result, {description, std::make_shared<Parameters>(description, topology, 2, nullptr), topology.axes});
  return result;
}

Napi::Value listOperators(const Napi::CallbackInfo& info) { return toOperators(info.Env()); }

void exportNetwork(Napi::Object exports) {
  exportFunction<listOperators>(exports, "operators");
  exportFunction<inspect>(exports, "inspectNetwork");
  exportClass<NetworkObject, construct>(
      exports,
      {classMethod<trainStep>("trainStep"), classMethod<gradients>("gradients"), classMethod<evaluate>("evaluate"),
       classMethod<predict>("predict"), classMethod<state>("state"), classMethod<loadState>("loadState"),
       classMethod<prune>("prune"), classMethod<measure>("measure"), classMethod<memory>("memory"),
       classMethod<plan>("plan"), classMethod<encodeModel>("encodeModel"), classMethod<dispose>("dispose")});
}

}  // namespace selfcompress::node
