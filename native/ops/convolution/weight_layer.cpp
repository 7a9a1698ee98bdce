#include "ops/convolution/weight_layer.h"

#include "graph/emitter.h"

namespace selfcompress {

void checkWeights(const NodeContext& c, double perChannel, int outChannels) {
  if (perChannel > double(INT32_MAX))
    failDescription("at most 2^31 - 1 weights of an output channel", c.node.where(), c.inputs[0].text() + " inputs");
  if (perChannel * outChannels > double(std::int64_t(1) << 40))
    failDescription("at most 2^40 weights", c.node.where(), std::to_string(outChannels) + " output channels");
}

std::vector<ParameterSpec> weightLayerParameters(const NodeContext& c, std::vector<ParameterAxis> weight) {
  const std::vector<ParameterAxis> perChannel{{ParameterAxis::Of::kOutput, weight[0].size}};
  std::vector<ParameterSpec> specs{{Role::kWeight, "weight", std::move(weight)}};
  if (c.node.flag("bias")) specs.push_back({Role::kBias, "bias", perChannel});
  if (c.node.flag("compress")) {
    specs.push_back({Role::kBitDepth, "bitDepth", perChannel});
    specs.push_back({Role::kExponent, "exponent", perChannel});
  }
  return specs;
}

std::vector<FieldSpec> convolutionFields() {
  return {{"outChannels", FieldType::kInteger, 1, kMostChannels},
          {"kernel", FieldType::kPair, 1, kMostKernel},
          {"stride", FieldType::kPair, 1, kMostKernel, 1},
          {"padding", FieldType::kPair, 0, kMostKernel, 0},
          {"dilation", FieldType::kPair, 1, kMostKernel, 1},
          {"groups", FieldType::kInteger, 1, kMostChannels, 1},
          {"bias", FieldType::kBoolean, 0, 1, 1},
          {"compress", FieldType::kBoolean, 0, 1, 1}};
}

void setTaps(ChannelRule& rule, std::array<int, 2> kernel, const std::vector<int>& rows,
             const std::vector<int>& columns) {
  rule.kernelArea = kernel[0] * kernel[1];
  rule.padded = rows.empty() || columns.empty();
  if (int(rows.size()) == kernel[0] && int(columns.size()) == kernel[1]) return;
  for (int i : rows)
    for (int j : columns) rule.taps.push_back(i * kernel[1] + j);
}

void resizeConvolution(NodeDescription& node, const Resized& to) {
  node.set("outChannels", {double(to.channels)});
  node.set("groups", {double(to.groups)});
}

namespace {

struct LayerParameters {
  const float *weight, *bias, *bitDepth, *exponent;
  float *gradWeight, *gradBias, *gradBitDepth, *gradExponent;
};
LayerParameters parametersOf(const Emitter& e, int i) {
  const Parameters& p = e.parameters();
  return {p.value(i, Role::kWeight),      p.value(i, Role::kBias),       p.value(i, Role::kBitDepth),
          p.value(i, Role::kExponent),    p.gradient(i, Role::kWeight),  p.gradient(i, Role::kBias),
          p.gradient(i, Role::kBitDepth), p.gradient(i, Role::kExponent)};
}

}  // namespace

void emitWeightLayerForward(Emitter& e, int i, const Conv2dGeometry& g) {
  const LayerParameters p = parametersOf(e, i);
  const ChannelInfo out = e.channels(e.output(i));
  Conv2dForward args;
  args.geometry = g, args.weight = p.weight, args.bias = p.bias, args.relu = e.plan(i).relu;
  args.liveIn = e.readChannels(i).notZero, args.liveOut = out.live, args.outputState = out.state;
  args.exact = !e.training();
  BufferId quantized = kNoBuffer;
  if (p.bitDepth && e.backend().quantizesInConvolution()) {
    args.quantizer = {p.bitDepth, p.exponent};
  } else if (p.bitDepth) {
    quantized = e.kept(i) = e.program().floats(g.weights());
    e.program()
        .add(i, QuantizeForward{g.outChannels, g.weights() / g.outChannels, p.weight, p.bitDepth, p.exponent, nullptr})
        .at(&QuantizeForward::output, quantized);
  }
  BufferId output = e.newValue(e.output(i)),
           workspace = e.program().bytes(e.backend().conv2dWorkspace(g, e.batchSize()));
  std::size_t bytes = e.training() && e.plan(i).moments ? e.backend().conv2dStatistics(g, e.batchSize()) : 0;
  BufferId statistics = bytes ? e.program().bytes(bytes) : kNoBuffer;
  e.setStatistics(e.output(i), statistics);
  e.program()
      .add(i, args)
      .at(&Conv2dForward::weight, quantized)
      .at(&Conv2dForward::input, e.value(e.input(i)))
      .at(&Conv2dForward::output, output)
      .at(&Conv2dForward::workspace, workspace)
      .at(&Conv2dForward::statistics, statistics);
}

void emitWeightLayerBackward(Emitter& e, int i, const Conv2dGeometry& g) {
  const LayerParameters p = parametersOf(e, i);
  const int in = e.input(i);
  const ChannelList liveIn = e.readChannels(i).notZero, liveOut = e.channels(e.output(i)).live;
  const BufferId gradOutput = e.gradient(e.output(i)), quantized = e.kept(i),
                 workspace = e.program().bytes(e.backend().conv2dWorkspace(g, e.batchSize()));
  Conv2dGradWeight weights;
  weights.geometry = g, weights.liveIn = liveIn, weights.liveOut = liveOut;
  weights.gradWeight = p.gradWeight, weights.gradBias = p.gradBias;
  e.program()
      .add(i, weights)
      .at(&Conv2dGradWeight::input, e.value(in))
      .at(&Conv2dGradWeight::gradOutput, gradOutput)
      .at(&Conv2dGradWeight::workspace, workspace);
  if (p.bitDepth)
    e.program().add(
        i, QuantizeBackward{g.outChannels, g.weights() / g.outChannels, p.weight, p.bitDepth, p.exponent, p.gradWeight,
                            e.penalty(i), p.gradWeight, p.gradBitDepth, p.gradExponent, e.rate(i).slopes});
  if (!e.needsGradient(in)) return;
  Conv2dGradInput args;
  args.geometry = g, args.weight = p.weight, args.liveIn = liveIn, args.liveOut = liveOut;
  if (quantized == kNoBuffer) args.quantizer = {p.bitDepth, p.exponent};
  BufferId gradInput = e.accumulated(in, args.accumulate);
  e.program()
      .add(i, args)
      .at(&Conv2dGradInput::gradOutput, gradOutput)
      .at(&Conv2dGradInput::weight, quantized)
      .at(&Conv2dGradInput::reluInput, e.plan(i).masksInput ? e.value(in) : kNoBuffer)
      .at(&Conv2dGradInput::gradInput, gradInput)
      .at(&Conv2dGradInput::workspace, workspace);
}

}  // namespace selfcompress
