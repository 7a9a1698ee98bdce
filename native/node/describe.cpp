#include "node/describe.h"

#include <limits>

namespace selfcompress::node {
namespace {

constexpr double kFloatMax = std::numeric_limits<float>::max();

void readWindow(const Fields& f, NodeDescription& node) {
  node.kernel = f.pair("kernel", 1, kMostKernel);
  node.padding = f.pair("padding", 0, kMostKernel, {0, 0});
}

void readConv2d(const Fields& f, NodeDescription& node) {
  f.allowOnly({"kind", "name", "inputs", "outChannels", "kernel", "stride", "padding", "dilation", "groups", "bias",
               "compress"});
  node.kind = NodeKind::kConv2d;
  node.outChannels = f.integer("outChannels", 1, kMostChannels);
  readWindow(f, node);
  node.stride = f.pair("stride", 1, kMostKernel, {1, 1});
  node.dilation = f.pair("dilation", 1, kMostKernel, {1, 1});
  node.groups = f.integer("groups", 1, kMostChannels, 1);
  node.bias = f.boolean("bias", true);
  node.compress = f.boolean("compress", true);
}

void readLinear(const Fields& f, NodeDescription& node) {
  f.allowOnly({"kind", "name", "inputs", "outFeatures", "bias", "compress"});
  node.kind = NodeKind::kLinear;
  node.outChannels = f.integer("outFeatures", 1, kMostChannels);
  node.bias = f.boolean("bias", true);
  node.compress = f.boolean("compress", true);
}

void readPool(const Fields& f, NodeDescription& node, Pool kind) {
  f.allowOnly({"kind", "name", "inputs", "kernel", "stride", "padding", "countIncludePad"});
  node.kind = NodeKind::kPool;
  node.pool = kind;
  readWindow(f, node);
  node.stride = f.pair("stride", 1, kMostKernel, node.kernel);
  node.countIncludePad = f.boolean("countIncludePad", true);
}

void readSimple(const Fields& f, NodeDescription& node, NodeKind kind) {
  f.allowOnly({"kind", "name", "inputs"});
  node.kind = kind;
}

void readKind(const Fields& f, NodeDescription& node) {
  switch (f.choice("kind", {"conv2d", "linear", "batchNorm", "relu", "gelu", "silu", "maxPool", "averagePool",
                            "globalAveragePool", "flatten", "add", "concat", "dropout"})) {
    case 0:
      return readConv2d(f, node);
    case 1:
      return readLinear(f, node);
    case 2:
      f.allowOnly({"kind", "name", "inputs", "affine", "epsilon", "momentum"});
      node.kind = NodeKind::kBatchNorm;
      node.affine = f.boolean("affine", true);
      node.epsilon = float(f.number("epsilon", 1e-12, 1, 1e-5));
      node.momentum = float(f.number("momentum", 0, 1, 0.1));
      return;
    case 3:
      node.activation = Activation::kRelu;
      return readSimple(f, node, NodeKind::kActivation);
    case 4:
      node.activation = Activation::kGelu;
      return readSimple(f, node, NodeKind::kActivation);
    case 5:
      node.activation = Activation::kSilu;
      return readSimple(f, node, NodeKind::kActivation);
    case 6:
      return readPool(f, node, Pool::kMax);
    case 7:
      return readPool(f, node, Pool::kAverage);
    case 8:
      return readSimple(f, node, NodeKind::kGlobalAveragePool);
    case 9:
      return readSimple(f, node, NodeKind::kFlatten);
    case 10:
      return readSimple(f, node, NodeKind::kAdd);
    case 11:
      return readSimple(f, node, NodeKind::kConcat);
    default:
      f.allowOnly({"kind", "name", "inputs", "probability"});
      node.kind = NodeKind::kDropout;
      node.probability = float(f.number("probability", 0, 0.999));
  }
}

NodeDescription readNode(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  NodeDescription node;
  node.name = f.string("name");
  Napi::Array inputs = f.array("inputs");
  for (std::uint32_t i = 0; i < inputs.Length() && i < 1000; i++) {
    Napi::Value name = inputs.Get(i);
    if (!name.IsString())
      throwType(f.env(), "a string", f.path("inputs") + "[" + std::to_string(i) + "]", received(name));
    node.inputs.push_back(name.As<Napi::String>().Utf8Value());
  }
  readKind(f, node);
  return node;
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

}  // namespace

NetworkDescription readDescription(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  f.allowOnly({"input", "nodes", "output"});
  NetworkDescription network;
  auto input = f.imageShape("input");
  network.input = {input[0], input[1], input[2]};
  Napi::Array nodes = f.array("nodes");
  if (nodes.Length() > 100000) throwRange(f.env(), "at most 100000 nodes", f.path("nodes"), received(nodes));
  for (std::uint32_t i = 0; i < nodes.Length(); i++)
    network.nodes.push_back(readNode(nodes.Get(i), f.path("nodes") + "[" + std::to_string(i) + "]"));
  network.output = f.string("output");
  return network;
}

NetworkOptions readOptions(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  f.allowOnly({"device", "precision", "memoryLimit", "loss", "optimizer", "penalty", "originalWeights", "batchSize",
               "deadDecay"});
  NetworkOptions options;
  Fields loss(f.get("loss"), f.path("loss"));
  options.loss =
      loss.choice("kind", {"crossEntropy", "meanSquaredError"}) ? Loss::kMeanSquaredError : Loss::kCrossEntropy;
  if (options.loss == Loss::kCrossEntropy) loss.allowOnly({"kind", "labelSmoothing"});
  else loss.allowOnly({"kind"});
  options.labelSmoothing = float(loss.number("labelSmoothing", 0, 1, 0));
  options.optimizer = readOptimizer(f.get("optimizer"), f.path("optimizer"));
  options.coupledPenalty = f.choice("penalty", {"own", "coupled"}, 0) == 1;
  options.originalWeights = f.number("originalWeights", 0, 1e15, 0);
  options.batchSize = f.integer("batchSize", 1, kMostBatch);
  options.deadDecay = float(f.number("deadDecay", 0, 1, 0.05));
  return options;
}

Augmentation readAugmentation(const Fields& settings) {
  if (!settings.has("augmentation")) return {};
  Fields f(settings.get("augmentation"), settings.path("augmentation"));
  f.allowOnly({"shift", "flip", "cutout"});
  return {f.integer("shift", 0, kMostPixels, 0), f.boolean("flip", false), f.integer("cutout", 0, kMostPixels, 0)};
}

}  // namespace selfcompress::node
