// softmax: over the channels of every position, or over the last axis of positions.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

bool overChannels(const NodeDescription& node) { return node.integer("axis") == 0; }
SoftmaxAxis axisOf(const NodeDescription& node) {
  return overChannels(node) ? SoftmaxAxis::kChannels : SoftmaxAxis::kWidth;
}

// Over channels every one takes its share: none may leave. Over positions a constant becomes a uniform distribution.
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  rule.keepsZero = false;
  if (overChannels(c.node)) rule.mixing = ChannelRule::Mixing::kAll;
  else rule.forgets = true;
  return rule;
}
MaybeConstant constant(const NodeContext& c, const NodeValues&, int, std::span<const Constant>) {
  if (overChannels(c.node)) return std::nullopt;
  const double share = 1.0 / c.inputs[0].folded().width;
  return Constant{share, share};
}

void forward(Emitter& e, int i) {
  const int in = e.input(i);
  // Nobody has written the channels that are zero.
  e.program().add(i, ClearChannels{e.shape(in), 0, e.state(in), nullptr}).at(&ClearChannels::output, e.value(in));
  const BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, SoftmaxForward{e.shape(in), 0, axisOf(e.node(i)), false, nullptr, nullptr})
      .at(&SoftmaxForward::input, e.value(in))
      .at(&SoftmaxForward::output, output);
}

void backward(Emitter& e, int i) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const BufferId gradOutput = e.gradient(e.output(i));
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, SoftmaxBackward{e.shape(in), 0, axisOf(e.node(i)), false, nullptr, nullptr, nullptr})
      .at(&SoftmaxBackward::output, e.value(e.output(i)))
      .at(&SoftmaxBackward::gradOutput, gradOutput)
      .at(&SoftmaxBackward::gradInput, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator softmax = [] {
  Operator op;
  op.kind = "softmax";
  op.fields = {{"axis", FieldType::kChoice, 0, 0, 0, nullptr, {"channels", "positions"}}};
  op.infer = sameAxes, op.channels = channels, op.constant = constant;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
