// add: the sum of two tensors, a residual connection. One may have a single channel or position where the other has
// more.
#include "graph/emitter.h"
#include "ops/elementwise/broadcast.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

ChannelRule channels(const NodeContext&) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kSum, rule.factors = {1};
  return rule;
}

bool oneShape(Emitter& e, int i) { return e.shape(e.input(i, 0)) == e.shape(e.input(i, 1)); }

// The ReLU behind a sum that is broadcast runs over its result.
void forwardBroadcast(Emitter& e, int i) {
  emitBinaryForward(e, i, Binary::kAdd);
  if (!e.plan(i).relu) return;
  const int out = e.output(i);
  e.program()
      .add(i, ActivationForward{Activation::kRelu, e.shape(out), 0, nullptr, e.state(out), nullptr})
      .at(&ActivationForward::input, e.value(out))
      .at(&ActivationForward::output, e.value(out));
}

void forward(Emitter& e, int i) {
  if (!oneShape(e, i)) return forwardBroadcast(e, i);
  const int a = e.input(i, 0), b = e.input(i, 1);
  BufferId output = e.newValue(e.output(i));
  Add args;
  args.shape = e.shape(a), args.stateA = e.state(a), args.stateB = e.state(b), args.relu = e.plan(i).relu;
  e.program().add(i, args).at(&Add::a, e.value(a)).at(&Add::b, e.value(b)).at(&Add::output, output);
}

// Both operands have the gradient of the sum; one of them may take over its buffer, once the other has its copy.
void backward(Emitter& e, int i) {
  if (!oneShape(e, i)) return emitBinaryBackward(e, i, Binary::kAdd);
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
  Operator op = binaryOperator<Binary::kAdd>("add", channels);
  op.fusion.relu = true;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
