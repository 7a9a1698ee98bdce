// relu, gelu, silu: functions of one element.
#include <cmath>

#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

void emitForward(Emitter& e, int i, Activation kind) {
  const int in = e.input(i);
  BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, ActivationForward{kind, e.shape(in), 0, nullptr, e.state(in), nullptr})
      .at(&ActivationForward::input, e.value(in))
      .at(&ActivationForward::output, output);
}

void emitBackward(Emitter& e, int i, Activation kind, BufferId value) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const BufferId gradOutput = e.gradient(e.output(i));
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, ActivationBackward{kind, e.shape(in), 0, nullptr, nullptr, e.state(in), nullptr})
      .at(&ActivationBackward::input, value)
      .at(&ActivationBackward::gradOutput, gradOutput)
      .at(&ActivationBackward::gradInput, target.write);
  e.finish(target, in);
}

// The output serves as well as the input, and the input may have been overwritten by it.
void reluBackward(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  if (!e.needsGradient(in)) return;
  if (!e.plan(i).maskDone) return emitBackward(e, i, Activation::kRelu, e.value(out));
  if (e.plan(i).absorbed) e.takeGradient(in, e.gradient(out));
  else e.passGradient(in, e.gradient(out));
}

template <double (*function)(double)>
MaybeConstant apply(const NodeContext&, const NodeValues&, int, std::span<const Constant> in) {
  return Constant{function(in[0].train), function(in[0].evaluate)};
}

double reluOf(double x) { return x > 0 ? x : 0; }
double geluOf(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double siluOf(double x) { return x / (1 + std::exp(-x)); }

Operator activation(const char* kind) {
  Operator op;
  op.kind = kind;
  op.infer = sameAxes, op.channels = sameChannels;
  return op;
}

template <Activation kind, double (*function)(double)>
Operator smooth(const char* name) {
  Operator op = activation(name);
  op.constant = apply<function>;
  op.forward = [](Emitter& e, int i) { emitForward(e, i, kind); };
  op.backward = [](Emitter& e, int i) { emitBackward(e, i, kind, e.value(e.input(i))); };
  return op;
}

}  // namespace

const Operator relu = [] {
  Operator op = activation("relu");
  op.fusion.isRelu = true;
  op.constant = apply<reluOf>;
  op.forward = [](Emitter& e, int i) { emitForward(e, i, Activation::kRelu); };
  op.backward = reluBackward;
  return op;
}();
const Operator gelu = smooth<Activation::kGelu, geluOf>("gelu");
const Operator silu = smooth<Activation::kSilu, siluOf>("silu");

}  // namespace selfcompress::ops
