// add: the sum of two tensors of one shape, a residual connection.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

ChannelRule channels(const NodeContext&) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kSum;
  return rule;
}

void forward(Emitter& e, int i) {
  const int a = e.input(i, 0), b = e.input(i, 1);
  BufferId output = e.newValue(e.output(i));
  Add args;
  args.shape = e.shape(a), args.stateA = e.state(a), args.stateB = e.state(b), args.relu = e.plan(i).relu;
  e.program().add(i, args).at(&Add::a, e.value(a)).at(&Add::b, e.value(b)).at(&Add::output, output);
}

// Both operands have the gradient of the sum; one of them may take over its buffer, once the other has its copy.
void backward(Emitter& e, int i) {
  const BufferId gradOutput = e.gradient(e.output(i));
  int taker = -1;
  for (int k = 0; k < 2; k++)
    if (taker < 0 && e.needsGradient(e.input(i, k)) && e.readOnce(e.input(i, k))) taker = e.input(i, k);
  for (int k = 0; k < 2; k++)
    if (e.input(i, k) != taker && e.needsGradient(e.input(i, k))) e.copyGradient(e.input(i, k), gradOutput);
  if (taker >= 0) e.takeGradient(taker, gradOutput);
}

}  // namespace

const Operator add = [] {
  Operator op;
  op.kind = "add";
  op.leastInputs = op.mostInputs = 2;
  op.fusion.relu = true;
  op.infer = oneShape, op.channels = channels;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
