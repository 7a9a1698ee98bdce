// linear: a fully connected layer. It reads all elements of its input as one vector, or, with `perPosition`, the
// channels at each position by themselves (a 1x1 convolution, whatever the number of axes).
#include "graph/emitter.h"
#include "ops/convolution/weight_layer.h"
#include "ops/operators.h"

namespace selfcompress::ops {
namespace {

Conv2dGeometry geometryOf(const NodeContext& c) {
  Conv2dGeometry g;
  g.outChannels = c.node.integer("outFeatures");
  if (c.node.flag("perPosition")) {
    const Shape in = c.inputs[0].folded();
    g.inChannels = in.channels, g.height = in.height, g.width = in.width;
  } else {
    g.inChannels = int(c.inputs[0].elements());
  }
  return g;
}

Axes infer(const NodeContext& c) {
  if (c.inputs[0].elements() > INT32_MAX)
    failDescription("at most 2^31 - 1 input features", c.node.where("inputs"), c.inputs[0].text());
  const Conv2dGeometry g = geometryOf(c);
  checkWeights(c, double(g.inChannels), g.outChannels);
  return c.node.flag("perPosition") ? c.inputs[0].withChannels(g.outChannels) : Axes::vector(g.outChannels);
}

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  const Conv2dGeometry g = geometryOf(c);
  return weightLayerParameters(
      c, {{ParameterAxis::Of::kOutput, g.outChannels}, {ParameterAxis::Of::kInput, g.inChannels}});
}

ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  if (!c.node.flag("perPosition")) rule.repeat = int(c.inputs[0].positionCount());
  return rule;
}

}  // namespace

const Operator linear = [] {
  Operator op;
  op.kind = "linear";
  op.fields = {{"outFeatures", FieldType::kInteger, 1, kMostChannels},
               {"perPosition", FieldType::kBoolean, 0, 1, 0},
               {"bias", FieldType::kBoolean, 0, 1, 1},
               {"compress", FieldType::kBoolean, 0, 1, 1}};
  op.fusion.relu = op.fusion.masks = op.fusion.givesMoments = true;
  op.isWeightLayer = true;
  op.infer = infer, op.parameters = parameters, op.channels = channels;
  op.resize = [](NodeDescription& node, const Resized& to) { node.set("outFeatures", {double(to.channels)}); };
  op.forward = [](Emitter& e, int i) { emitWeightLayerForward(e, i, geometryOf(e.context(i))); };
  op.backward = [](Emitter& e, int i) { emitWeightLayerBackward(e, i, geometryOf(e.context(i))); };
  return op;
}();

}  // namespace selfcompress::ops
