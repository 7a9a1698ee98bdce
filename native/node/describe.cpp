#include "node/describe.h"

#include <cstring>
#include <limits>
#include <map>

#include "graph/parts.h"
#include "ops/table.h"

namespace selfcompress::node {
namespace {

constexpr double kFloatMax = std::numeric_limits<float>::max();

FieldValue readList(const Fields& f, const FieldSpec& spec) {
  Napi::Array given = f.array(spec.name);
  const std::uint32_t most = 1u << 24;
  if (given.Length() > most)
    throwRange(f.env(), "at most " + std::to_string(most) + " integers", f.path(spec.name), received(given));
  FieldValue values;
  for (std::uint32_t i = 0; i < given.Length(); i++) {
    const std::string at = f.path(spec.name) + "[" + std::to_string(i) + "]";
    values.push_back(integerFrom(elementOf(given, i, at), at, int(spec.low), int(spec.high)));
  }
  return values;
}

FieldValue readField(const Fields& f, const FieldSpec& spec) {
  switch (spec.type) {
    case FieldType::kInteger:
      return {double(f.integer(spec.name, int(spec.low), int(spec.high)))};
    case FieldType::kNumber:
      return {f.number(spec.name, spec.low, spec.high)};
    case FieldType::kBoolean:
      return {f.boolean(spec.name, false) ? 1.0 : 0.0};
    case FieldType::kPair: {
      const auto pair = f.pair(spec.name, int(spec.low), int(spec.high));
      return {double(pair[0]), double(pair[1])};
    }
    case FieldType::kList:
      return readList(f, spec);
    case FieldType::kChoice:
      break;
  }
  return {double(f.choice(spec.name, spec.choices))};
}

std::vector<const char*> kinds() {
  std::vector<const char*> names;
  for (const Operator* op : operators()) names.push_back(op->kind);
  return names;
}

NodeDescription readNode(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  std::string name = f.string("name");
  std::vector<std::string> inputs;
  Napi::Array given = f.array("inputs");
  for (std::uint32_t i = 0; i < given.Length() && i < 1000; i++) {
    Napi::Value input = elementOf(given, i, f.path("inputs") + "[" + std::to_string(i) + "]");
    if (!input.IsString())
      throwType(f.env(), "a string", f.path("inputs") + "[" + std::to_string(i) + "]", received(input));
    inputs.push_back(textOf(input, f.path("inputs") + "[" + std::to_string(i) + "]"));
  }
  const Operator& op = *operators()[std::size_t(f.choice("kind", kinds()))];
  std::vector<const char*> names{"kind", "name", "inputs"};
  for (const FieldSpec& spec : op.fields) names.push_back(spec.name);
  f.allowOnly(names);
  std::map<std::string, FieldValue> fields;
  for (const FieldSpec& spec : op.fields) {
    const bool required = !spec.otherwise && !spec.like;
    if (required || f.has(spec.name)) fields[spec.name] = readField(f, spec);
  }
  return makeNode(op.kind, std::move(name), std::move(inputs), fields);
}

// [channels], or [channels, positions...]: a vector, a sequence, an image, a volume.
Axes readAxes(const Fields& f, const char* name) {
  Napi::Array sizes = f.array(name);
  const std::uint32_t most = 1 + Axes::kMostRank;
  if (sizes.Length() < 1 || sizes.Length() > most)
    throwType(f.env(), "an array of 1 to " + std::to_string(most) + " integers: channels, and positions,", f.path(name),
              received(sizes));
  Axes axes = Axes::vector(
      integerFrom(elementOf(sizes, 0, f.path(name) + "[0]"), f.path(name) + "[0]", 1, node::kMostChannels));
  axes.rank = int(sizes.Length()) - 1;
  for (std::uint32_t i = 1; i < sizes.Length(); i++) {
    const std::string at = f.path(name) + "[" + std::to_string(i) + "]";
    axes.positions[i - 1] = integerFrom(elementOf(sizes, i, at), at, 1, kMostPixels);
  }
  return axes;
}

std::vector<TensorPart> readParts(const Fields& f, const char* name) {
  std::vector<TensorPart> parts;
  if (!f.has(name)) return parts;
  Napi::Array given = f.array(name);
  if (given.Length() < 1 || given.Length() > kMostParts)
    throwRange(f.env(), "1 to " + std::to_string(kMostParts) + " parts", f.path(name), received(given));
  for (std::uint32_t i = 0; i < given.Length(); i++) {
    const std::string at = f.path(name) + "[" + std::to_string(i) + "]";
    Fields part(elementOf(given, i, at), at);
    part.allowOnly({"name", "axes"});
    parts.push_back({part.string("name"), readAxes(part, "axes")});
  }
  return parts;
}

Napi::Array toArray(Napi::Env env, const std::vector<double>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (std::uint32_t i = 0; i < values.size(); i++) array.Set(i, values[i]);
  return array;
}

Napi::Value toValue(Napi::Env env, const FieldSpec& spec, const FieldValue& value) {
  if (spec.type == FieldType::kBoolean) return Napi::Boolean::New(env, value[0] != 0);
  if (spec.type == FieldType::kPair || spec.type == FieldType::kList) return toArray(env, value);
  if (spec.type == FieldType::kChoice) return Napi::String::New(env, spec.choices[std::size_t(value[0])]);
  return Napi::Number::New(env, value[0]);
}

Napi::Object toFieldInfo(Napi::Env env, const FieldSpec& spec) {
  constexpr const char* types[] = {"integer", "number", "boolean", "pair", "choice", "list"};
  Napi::Object info = Napi::Object::New(env);
  info.Set("name", spec.name);
  info.Set("type", types[int(spec.type)]);
  info.Set("required", !spec.otherwise && !spec.like);
  if (spec.type != FieldType::kBoolean && spec.type != FieldType::kChoice) {
    info.Set("low", spec.low);
    info.Set("high", spec.high);
  }
  if (spec.otherwise) info.Set("default", toValue(env, spec, defaultOf(spec)));
  if (spec.like) info.Set("defaultField", spec.like);
  if (!spec.choices.empty()) {
    Napi::Array choices = Napi::Array::New(env);
    for (const char* choice : spec.choices) choices.Set(choices.Length(), choice);
    info.Set("choices", choices);
  }
  return info;
}

OptimizerDescription readOptimizer(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  f.allowOnly({"kind", "momentum", "nesterov", "beta1", "beta2", "epsilon", "weightDecay", "quantizerEpsilon",
               "keepRange", "maxGradientNorm"});
  OptimizerDescription o;
  int kind = f.choice("kind", {"sgd", "adam", "adamw"});
  o.kind = kind == 0 ? Optimizer::kSgd : kind == 1 ? Optimizer::kAdam : Optimizer::kAdamW;
  o.momentum = float(f.number("momentum", 0, 0.999999, 0.9));
  o.nesterov = f.boolean("nesterov", o.momentum > 0);
  o.beta1 = float(f.number("beta1", 0, 0.999999, 0.9));
  o.beta2 = float(f.number("beta2", 0, 0.999999, 0.999));
  o.epsilon = float(f.number("epsilon", 1e-30, 1e6, 1e-8));
  o.weightDecay = float(f.number("weightDecay", 0, 1e6, 0));
  o.quantizerEpsilon = float(f.number("quantizerEpsilon", 1e-30, 1e6, 1e-3));
  o.keepRange = f.boolean("keepRange", false);
  o.maxGradientNorm = float(f.number("maxGradientNorm", 0, kFloatMax, 0));
  return o;
}

std::vector<float> readClassWeights(const Fields& loss) {
  Napi::Array given = loss.array("classWeights");
  const std::uint32_t most = std::uint32_t(node::kMostChannels);
  if (given.Length() < 1 || given.Length() > most)
    throwRange(loss.env(), "1 to " + std::to_string(most) + " numbers", loss.path("classWeights"), received(given));
  std::vector<float> weights;
  for (std::uint32_t i = 0; i < given.Length(); i++) {
    const std::string at = loss.path("classWeights") + "[" + std::to_string(i) + "]";
    weights.push_back(float(numberFrom(elementOf(given, i, at), at, 0, 1e6)));
  }
  return weights;
}

}  // namespace

NodeDescription readRawNode(const Fields& f, const Operator& op, std::initializer_list<const char*> names) {
  std::map<std::string, FieldValue> fields;
  for (const FieldSpec& spec : op.fields)
    for (const char* name : names)
      if (std::strcmp(name, spec.name) == 0 && ((!spec.otherwise && !spec.like) || f.has(name)))
        fields[name] = readField(f, spec);
  return makeNode(op.kind, op.kind, {"input"}, fields);
}

NetworkDescription readDescription(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  f.allowOnly({"input", "inputs", "inputType", "nodes", "output", "outputs"});
  NetworkDescription network;
  network.input = readAxes(f, "input");
  if (f.choice("inputType", {"float", "token"}, 0) == 1) network.input.type = ValueType::kToken;
  network.inputs = readParts(f, "inputs");
  network.outputs = readParts(f, "outputs");
  Napi::Array nodes = f.array("nodes");
  if (nodes.Length() > 100000) throwRange(f.env(), "at most 100000 nodes", f.path("nodes"), received(nodes));
  for (std::uint32_t i = 0; i < nodes.Length(); i++)
    network.nodes.push_back(readNode(elementOf(nodes, i, f.path("nodes") + "[" + std::to_string(i) + "]"),
                                     f.path("nodes") + "[" + std::to_string(i) + "]"));
  network.output = f.string("output");
  return network;
}

Napi::Value toAxes(Napi::Env env, const Axes& axes) {
  std::vector<double> sizes{double(axes.channels)};
  for (int i = 0; i < axes.rank; i++) sizes.push_back(axes.positions[std::size_t(i)]);
  return toArray(env, sizes);
}

namespace {

Napi::Value toParts(Napi::Env env, const std::vector<TensorPart>& parts) {
  Napi::Array list = Napi::Array::New(env);
  for (const TensorPart& part : parts) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", part.name);
    object.Set("axes", toAxes(env, part.axes));
    list.Set(list.Length(), object);
  }
  return list;
}

}  // namespace

Napi::Value toDescription(Napi::Env env, const NetworkDescription& network) {
  Napi::Object result = Napi::Object::New(env);
  Napi::Array nodes = Napi::Array::New(env, network.nodes.size());
  for (std::uint32_t i = 0; i < network.nodes.size(); i++) {
    const NodeDescription& node = network.nodes[i];
    Napi::Object object = Napi::Object::New(env);
    Napi::Array inputs = Napi::Array::New(env, node.inputs.size());
    for (std::uint32_t k = 0; k < node.inputs.size(); k++) inputs.Set(k, node.inputs[k]);
    object.Set("kind", node.op->kind);
    object.Set("name", node.name);
    object.Set("inputs", inputs);
    for (std::size_t k = 0; k < node.fields.size(); k++)
      object.Set(node.op->fields[k].name, toValue(env, node.op->fields[k], node.fields[k]));
    nodes.Set(i, object);
  }
  result.Set("input", toAxes(env, network.input));
  if (network.input.type == ValueType::kToken) result.Set("inputType", "token");
  if (!network.inputs.empty()) result.Set("inputs", toParts(env, network.inputs));
  result.Set("nodes", nodes);
  result.Set("output", network.output);
  if (!network.outputs.empty()) result.Set("outputs", toParts(env, network.outputs));
  return result;
}

Napi::Value toOperators(Napi::Env env) {
  Napi::Array list = Napi::Array::New(env);
  for (const Operator* op : operators()) {
    Napi::Object info = Napi::Object::New(env);
    Napi::Array fields = Napi::Array::New(env);
    for (const FieldSpec& spec : op->fields) fields.Set(fields.Length(), toFieldInfo(env, spec));
    info.Set("kind", op->kind);
    info.Set("inputs", toArray(env, {double(op->leastInputs), double(op->mostInputs)}));
    info.Set("fields", fields);
    info.Set("hasWeights", op->isWeightLayer);
    list.Set(list.Length(), info);
  }
  return list;
}

namespace {

std::vector<LayerRule> readLayerRules(const Fields& options) {
  std::vector<LayerRule> rules;
  const Napi::Array list = options.array("layers");
  if (list.Length() > 100000)
    throwRange(options.env(), "at most 100000 layers", options.path("layers"), received(list));
  for (std::uint32_t i = 0; i < list.Length(); i++) {
    const std::string path = options.path("layers") + "[" + std::to_string(i) + "]";
    Fields f(elementOf(list, i, path), path);
    f.allowOnly({"name", "frozen", "leastBits", "mostBits", "multipleOf"});
    LayerRule rule;
    rule.name = f.string("name");
    rule.frozen = f.boolean("frozen", false);
    rule.mostBits = float(f.number("mostBits", 0, 24, 24));
    rule.leastBits = float(f.number("leastBits", 0, rule.mostBits, 0));
    rule.multipleOf = f.integer("multipleOf", 1, kMostChannels, 1);
    rules.push_back(rule);
  }
  return rules;
}

}  // namespace

namespace {

// In the order of the enumeration; `sum` follows them.
const std::vector<const char*> kLossKinds{"crossEntropy", "meanSquaredError", "binaryCrossEntropy", "l1", "huber"};

// `more`: a field beside those of the kind, or nullptr.
void readOneLoss(const Fields& loss, LossOptions& options, const char* more) {
  options.loss = Loss(loss.choice("kind", kLossKinds));
  std::vector<const char*> names{"kind"};
  if (more) names.push_back(more);
  if (options.loss == Loss::kCrossEntropy) names.insert(names.end(), {"labelSmoothing", "perPosition", "classWeights"});
  else if (options.loss == Loss::kHuber) names.push_back("delta");
  loss.allowOnly(names);
  options.huberDelta = float(loss.number("delta", 1e-6, 1e6, 1));
  options.labelSmoothing = float(loss.number("labelSmoothing", 0, 1, 0));
  options.perPosition = loss.boolean("perPosition", false);
  if (loss.has("classWeights")) options.classWeights = readClassWeights(loss);
}

void readLoss(const Fields& f, NetworkOptions& options) {
  Fields loss(f.get("loss"), f.path("loss"));
  std::vector<const char*> kinds = kLossKinds;
  kinds.push_back("sum");
  if (std::size_t(loss.choice("kind", kinds)) < kLossKinds.size()) return readOneLoss(loss, options, nullptr);
  loss.allowOnly({"kind", "outputs"});
  const Fields outputs = Fields::plain(loss.get("outputs"), loss.path("outputs"));
  const std::vector<std::string> names = outputs.ownNames();
  if (names.empty() || names.size() > kMostParts)
    throwRange(f.env(), "losses of 1 to " + std::to_string(kMostParts) + " outputs", loss.path("outputs"),
               std::to_string(names.size()));
  for (const std::string& name : names) {
    OutputLoss one;
    const Fields given(outputs.get(name), outputs.path(name));
    readOneLoss(given, one, "weight");
    one.output = name;
    one.weight = float(given.number("weight", 0, 1e6, 1));
    options.outputs.push_back(std::move(one));
  }
}

}  // namespace

NetworkOptions readOptions(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  f.allowOnly({"device", "precision", "memoryLimit", "loss", "optimizer", "penalty", "originalWeights", "batchSize",
               "deadDecay", "ema", "coupling", "idleSteps", "exponents", "layers", "distillation"});
  NetworkOptions options;
  readLoss(f, options);
  options.optimizer = readOptimizer(f.get("optimizer"), f.path("optimizer"));
  options.penalty = SizePenalty(f.choice("penalty", {"own", "coupled", "rate"}, 0));
  options.coupling = float(f.number("coupling", 0, 1e6, 1));
  options.idleSteps = float(f.integer("idleSteps", 1, 1 << 24, 1000));
  options.layerExponents = f.choice("exponents", {"channel", "layer"}, 0) == 1;
  options.originalWeights = f.number("originalWeights", 0, 1e15, 0);
  options.batchSize = f.integer("batchSize", 1, kMostBatch);
  options.deadDecay = float(f.number("deadDecay", 0, 1, 0.05));
  options.ema = float(f.number("ema", 0, 0.999999, 0));
  if (f.has("layers")) options.layers = readLayerRules(f);
  if (f.has("distillation")) {
    Fields d(f.get("distillation"), f.path("distillation"));
    d.allowOnly({"weight", "temperature"});
    options.distillation = {float(d.number("weight", 0, 1)), float(d.number("temperature", 0.01, 100))};
  }
  return options;
}

Augmentation readAugmentation(const Fields& settings) {
  if (!settings.has("augmentation")) return {};
  Fields f(settings.get("augmentation"), settings.path("augmentation"));
  f.allowOnly({"shift", "flip", "cutout", "rotate", "scale", "colour", "mixup", "cutmix"});
  return {f.integer("shift", 0, kMostPixels, 0),  f.boolean("flip", false),
          f.integer("cutout", 0, kMostPixels, 0), float(f.number("rotate", 0, 180, 0)),
          float(f.number("scale", 0, 0.9, 0)),    float(f.number("colour", 0, 1, 0)),
          float(f.number("mixup", 0, 2, 0)),      float(f.number("cutmix", 0, 2, 0))};
}

}  // namespace selfcompress::node
