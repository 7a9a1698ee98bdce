// conv2d, linear and unembedding: what each of them multiplies.
#include "engine/ops/convolution_step.h"
#include "ops/convolution/weight_layer.h"

namespace selfcompress::engine {
namespace {

std::unique_ptr<Step> prepareConv2d(const Preparation& p) {
  return makeConvolution(p, conv2dGeometry(p.context), Weights(p.tensors, p.factors));
}

std::unique_ptr<Step> prepareLinear(const Preparation& p) {
  const Shape in = p.context.inputs[0].folded();
  Conv2dGeometry g;
  g.outChannels = p.context.node.integer("outFeatures");
  g.inChannels = in.channels;
  if (p.context.node.flag("perPosition")) g.height = in.height, g.width = in.width;
  else g.height = g.kernelHeight = in.height, g.width = g.kernelWidth = in.width;  // a kernel as large as the image
  return makeConvolution(p, g, Weights(p.tensors, p.factors));
}

// At every position by itself.
std::unique_ptr<Step> prepareUnembedding(const Preparation& p) {
  const Shape in = p.context.inputs[0].folded();
  Conv2dGeometry g;
  g.outChannels = p.context.output.channels, g.inChannels = in.channels;
  g.height = in.height, g.width = in.width;
  return makeConvolution(p, g, Weights::transposed(*p.shared, p.factors));
}

EngineOperator entry(const char* kind, std::unique_ptr<Step> (*prepare)(const Preparation&)) {
  EngineOperator e{kind, prepare};
  e.takes = EngineOperator::Takes::kSum;
  return e;
}

}  // namespace

namespace ops {
extern const EngineOperator conv2d, linear, unembedding;
const EngineOperator unembedding = everyPosition(entry("unembedding", prepareUnembedding));
const EngineOperator conv2d = entry("conv2d", prepareConv2d);
const EngineOperator linear = [] {
  EngineOperator op = entry("linear", prepareLinear);
  op.readsVector = [](const NodeDescription& node) { return !node.flag("perPosition"); };
  op.byPosition = [](const NodeDescription& node) { return node.flag("perPosition"); };
  return op;
}();
}  // namespace ops

}  // namespace selfcompress::engine
