// conv2d: two-dimensional convolution, in groups if wanted; a sequence is an image of one row.
#include "graph/emitter.h"
#include "ops/convolution/weight_layer.h"
#include "ops/operators.h"

namespace selfcompress {

Conv2dGeometry conv2dGeometry(const NodeContext& c) {
  const Shape in = c.inputs[0].folded();
  const auto kernel = c.node.pair("kernel"), stride = c.node.pair("stride"), padding = c.node.pair("padding"),
             dilation = c.node.pair("dilation");
  Conv2dGeometry g;
  g.inChannels = in.channels, g.outChannels = c.node.integer("outChannels");
  g.height = in.height, g.width = in.width;
  g.kernelHeight = kernel[0], g.kernelWidth = kernel[1];
  g.strideH = stride[0], g.strideW = stride[1];
  g.padH = padding[0], g.padW = padding[1];
  g.dilationH = dilation[0], g.dilationW = dilation[1];
  g.groups = c.node.integer("groups");
  return g;
}

namespace ops {
namespace {

Axes infer(const NodeContext& c) {
  const Conv2dGeometry g = conv2dGeometry(c);
  if (g.inChannels % g.groups)
    failDescription("a divisor of the " + std::to_string(g.inChannels) + " input channels", c.node.where("groups"),
                    std::to_string(g.groups));
  if (g.outChannels % g.groups)
    failDescription("a divisor of the " + std::to_string(g.outChannels) + " output channels", c.node.where("groups"),
                    std::to_string(g.groups));
  const auto kernel = c.node.pair("kernel"), padding = c.node.pair("padding"), dilation = c.node.pair("dilation");
  checkWindow(c, g.input(), kernel, padding, dilation, {g.outChannels, 1, 1});
  checkWindow(c, g.input(), kernel, padding, dilation, g.output());
  checkWeights(c, double(g.inPerGroup()) * g.kernelHeight * g.kernelWidth, g.outChannels);
  return windowed(c, c.inputs[0], g.output());
}

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  const Conv2dGeometry g = conv2dGeometry(c);
  using Of = ParameterAxis::Of;
  return weightLayerParameters(c, {{Of::kOutput, g.outChannels},
                                   {Of::kInput, g.inPerGroup()},
                                   {Of::kOther, g.kernelHeight},
                                   {Of::kOther, g.kernelWidth}});
}

ChannelRule channels(const NodeContext& c) {
  const Conv2dGeometry g = conv2dGeometry(c);
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  rule.groups = g.groups;
  auto taps = [](int positions, int kernel, int size, int stride, int padding, int dilation) {
    return commonTaps(positions, kernel, [=](int p, int k) {
      const int at = p * stride + k * dilation - padding;
      return at >= 0 && at < size;
    });
  };
  setTaps(rule, {g.kernelHeight, g.kernelWidth},
          taps(g.outHeight(), g.kernelHeight, g.height, g.strideH, g.padH, g.dilationH),
          taps(g.outWidth(), g.kernelWidth, g.width, g.strideW, g.padW, g.dilationW));
  return rule;
}

}  // namespace

const Operator conv2d = [] {
  Operator op;
  op.kind = "conv2d";
  op.fields = convolutionFields();
  op.fusion.relu = op.fusion.masks = op.fusion.givesMoments = true;
  op.isWeightLayer = true;
  op.infer = infer, op.parameters = parameters, op.channels = channels, op.resize = resizeConvolution;
  op.forward = [](Emitter& e, int i) { emitWeightLayerForward(e, i, conv2dGeometry(e.context(i))); };
  op.backward = [](Emitter& e, int i) { emitWeightLayerBackward(e, i, conv2dGeometry(e.context(i))); };
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
