// dropout: elements set to zero at random in training, the others scaled up; nothing in evaluation.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

// A constant that is dropped at times is none.
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  rule.varies = true;
  return rule;
}

void emit(Emitter& e, int i, BufferId from, BufferId to) {
  Dropout args;
  args.shape = e.shape(e.input(i)), args.state = e.state(e.input(i));
  args.probability = float(e.node(i).number("probability")), args.site = std::uint32_t(i);
  args.counter = &e.scalars()->counter;
  e.program().add(i, args).at(&Dropout::input, from).at(&Dropout::output, to);
}

void backward(Emitter& e, int i) {
  if (!e.needsGradient(e.input(i))) return;
  const BufferId gradOutput = e.gradient(e.output(i));
  const Emitter::GradientTarget target = e.gradientTarget(e.input(i), gradOutput);
  emit(e, i, gradOutput, target.write);
  e.finish(target, e.input(i));
}

}  // namespace

const Operator dropout = [] {
  Operator op;
  op.kind = "dropout";
  op.fields = {{"probability", FieldType::kNumber, 0, 0.999}};
  op.fusion.aliasInEvaluation = true;
  op.infer = sameAxes, op.channels = channels;
  op.forward = [](Emitter& e, int i) { emit(e, i, e.value(e.input(i)), e.newValue(e.output(i))); };
  op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
