#include "ops/elementwise/broadcast.h"

#include "graph/emitter.h"

namespace selfcompress {
namespace {

// Whether b meets a, and how.
bool meets(Shape a, Shape b, Operand& operand) {
  operand.oneChannel = b.channels == 1 && a.channels != 1;
  operand.onePosition = b.pixels() == 1 && a.pixels() != 1;
  return operand.of(a) == b;
}

}  // namespace

Broadcast broadcastOf(const NodeContext& c, bool commutes) {
  const Shape a = c.inputs[0].folded(), b = c.inputs[1].folded();
  Broadcast result;
  if (meets(a, b, result.operand)) return result;
  result.whole = 1;
  if (commutes && meets(b, a, result.operand)) return result;
  failDescription(commutes
                      ? "inputs of one shape, or one that has a single channel or position where the other has more"
                      : "a second input of the first one's shape, or with a single channel or position",
                  c.node.where("inputs"), c.inputs[0].text() + " and " + c.inputs[1].text());
}

void emitBinaryForward(Emitter& e, int i, Binary kind) {
  const Broadcast broadcast = broadcastOf(e.context(i), commutes(kind));
  const int a = e.input(i, broadcast.whole), b = e.input(i, 1 - broadcast.whole);
  const BufferId output = e.newValue(e.output(i));
  BinaryForward args;
  args.kind = kind, args.shape = e.shape(a), args.operand = broadcast.operand;
  args.stateA = e.state(a), args.stateB = e.state(b);
  e.program()
      .add(i, args)
      .at(&BinaryForward::a, e.value(a))
      .at(&BinaryForward::b, e.value(b))
      .at(&BinaryForward::output, output);
}

void emitBinaryBackward(Emitter& e, int i, Binary kind) {
  const Broadcast broadcast = broadcastOf(e.context(i), commutes(kind));
  const int a = e.input(i, broadcast.whole), b = e.input(i, 1 - broadcast.whole);
  const bool reads = kind == Binary::kMultiply || kind == Binary::kDivide;
  const BufferId gradOutput = e.gradient(e.output(i));
  BinaryBackward args;
  args.kind = kind, args.shape = e.shape(a), args.operand = broadcast.operand;
  args.stateA = e.state(a), args.stateB = e.state(b);
  // The larger one takes over the gradient of the result, where nobody else adds to its own.
  Emitter::GradientTarget toA, toB;
  if (e.needsGradient(b)) toB = e.gradientTarget(b, kNoBuffer);
  if (e.needsGradient(a)) toA = e.gradientTarget(a, gradOutput);
  e.program()
      .add(i, args)
      .at(&BinaryBackward::a, reads ? e.value(a) : kNoBuffer)
      .at(&BinaryBackward::b, reads ? e.value(b) : kNoBuffer)
      .at(&BinaryBackward::gradOutput, gradOutput)
      .at(&BinaryBackward::gradA, toA.write)
      .at(&BinaryBackward::gradB, toB.write);
  if (e.needsGradient(b)) e.finish(toB, b);
  if (e.needsGradient(a)) e.finish(toA, a);
}

}  // namespace selfcompress
