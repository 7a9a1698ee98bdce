// concat: the channels of all inputs, one after another.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

Axes infer(const NodeContext& c) {
  const Shape first = c.inputs[0].folded();
  std::int64_t channels = 0;
  for (const Axes& in : c.inputs) {
    const Shape s = in.folded();
    if (s.height != first.height || s.width != first.width)
      failDescription("inputs of one height and width", c.node.where("inputs"),
                      c.inputs[0].text() + " and " + in.text());
    channels += s.channels;
  }
  if (channels > INT32_MAX)
    failDescription("at most 2^31 - 1 channels", c.node.where("inputs"), std::to_string(channels));
  return c.inputs[0].withChannels(int(channels));
}

ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  for (int k = 0; k < int(c.inputs.size()); k++) rule.parts.push_back({k, 0, c.inputs[std::size_t(k)].channels, 1});
  return rule;
}

void forward(Emitter& e, int i) {
  BufferId output = e.newValue(e.output(i));
  CopyChannels args;
  args.output = e.shape(e.output(i));
  for (int k = 0; k < e.inputCount(i); k++) {
    const int t = e.input(i, k);
    args.input = e.shape(t), args.count = args.input.channels, args.state = e.state(t);
    e.program().add(i, args).at(&CopyChannels::source, e.value(t)).at(&CopyChannels::target, output);
    args.outFirst += args.count;
  }
}

void backward(Emitter& e, int i) {
  CopyChannels args;
  args.input = e.shape(e.output(i));
  for (int k = 0; k < e.inputCount(i); k++) {
    const int t = e.input(i, k);
    args.output = e.shape(t), args.count = args.output.channels, args.state = e.state(t);
    if (e.needsGradient(t)) {
      BufferId to = e.accumulated(t, args.accumulate);
      e.program().add(i, args).at(&CopyChannels::source, e.gradient(e.output(i))).at(&CopyChannels::target, to);
    }
    args.inFirst += args.count;
  }
}

}  // namespace

const Operator concat = [] {
  Operator op;
  op.kind = "concat";
  op.leastInputs = 2, op.mostInputs = kMostInputs;
  op.infer = infer, op.channels = channels;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
