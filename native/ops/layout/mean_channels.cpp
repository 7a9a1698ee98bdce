// meanChannels: the mean over the channels at each position. A channel that is removed counts as zeros: the divisor
// stays what it was.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

float factorOf(const NodeContext& c) {
  const int divisor = c.node.integer("divisor");
  return float(1.0 / (divisor ? divisor : c.inputs[0].channels));
}

ChannelRule channels(const NodeContext&) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  rule.kernelArea = 0;  // it has no weights
  return rule;
}

MaybeConstant constant(const NodeContext& c, const NodeValues&, int, std::span<const Constant> in) {
  const double factor = double(factorOf(c));
  Constant mean;
  for (const Constant& value : in) mean.train += factor * value.train, mean.evaluate += factor * value.evaluate;
  return mean;
}

void forward(Emitter& e, int i) {
  const int in = e.input(i);
  const BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, ChannelSum{e.shape(in), 0, factorOf(e.context(i)), nullptr, e.state(in), nullptr})
      .at(&ChannelSum::source, e.value(in))
      .at(&ChannelSum::output, output);
}

void backward(Emitter& e, int i) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  e.program()
      .add(i, ChannelSumBackward{e.shape(in), 0, factorOf(e.context(i)), nullptr, e.state(in), nullptr})
      .at(&ChannelSumBackward::gradOutput, e.gradient(e.output(i)))
      .at(&ChannelSumBackward::gradInput, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator meanChannels = [] {
  Operator op;
  op.kind = "meanChannels";
  op.fields = {{"divisor", FieldType::kInteger, 0, kMostChannels, 0}};
  op.infer = [](const NodeContext& c) { return c.inputs[0].withChannels(1); };
  op.channels = channels, op.constant = constant;
  op.keep = [](NodeDescription& node, const NodeContext& before, const Kept&) {
    if (!node.integer("divisor")) node.set("divisor", {double(before.inputs[0].channels)});
  };
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
