// Functions of one element, and prelu.
#include <cmath>

#include "graph/emitter.h"
#include "ops/activation/functions.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

// A function with what its fields give it.
struct Function {
  Activation kind;
  float alpha = 0, beta = 0;
  double operator()(double x) const { return activationOf(kind, x, double(alpha), double(beta)); }
};

void emitForward(Emitter& e, int i, const Function& f) {
  const int in = e.input(i);
  BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, ActivationForward{f.kind, e.shape(in), 0, nullptr, e.state(in), nullptr, f.alpha, f.beta})
      .at(&ActivationForward::input, e.value(in))
      .at(&ActivationForward::output, output);
}

void emitBackward(Emitter& e, int i, const Function& f, BufferId value) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const BufferId gradOutput = e.gradient(e.output(i));
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, ActivationBackward{f.kind, e.shape(in), 0, nullptr, nullptr, e.state(in), nullptr, f.alpha, f.beta})
      .at(&ActivationBackward::input, value)
      .at(&ActivationBackward::gradOutput, gradOutput)
      .at(&ActivationBackward::gradInput, target.write);
  e.finish(target, in);
}

// The gradient that this node gets is that of its input already, or will be, once it has been handed on.
void passGradient(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  if (!e.needsGradient(in)) return;
  if (e.plan(i).absorbed) e.takeGradient(in, e.gradient(out));
  else e.passGradient(in, e.gradient(out));
}

// What a batch norm does in the function's place: nothing, where zeros would not stay zeros.
AppliedActivation appliedOf(const Function& f) {
  if (activationOfZero(f.kind, f.alpha, f.beta) != 0) return {};
  switch (f.kind) {
#define SELFCOMPRESS_APPLIED(kKind) \
  case Activation::kKind:           \
    return {NormActivation::kKind, f.alpha, f.beta};
    SELFCOMPRESS_NORM_ACTIVATIONS(SELFCOMPRESS_APPLIED)
#undef SELFCOMPRESS_APPLIED
    default:
      return {};
  }
}

// of(node): the function with the values of the node's fields.
template <Function (*of)(const NodeDescription&)>
Operator activation(const char* kind, std::vector<FieldSpec> fields = {}) {
  Operator op;
  op.kind = kind;
  op.fields = std::move(fields);
  op.infer = sameAxes;
  op.channels = [](const NodeContext& c) {
    const Function f = of(c.node);
    ChannelRule rule = sameChannels(c);
    rule.keepsZero = activationOfZero(f.kind, f.alpha, f.beta) == 0;
    if (f.kind == Activation::kAffine) rule.factors = {double(f.alpha)};
    return rule;
  };
  op.constant = [](const NodeContext& c, const NodeValues&, int, std::span<const Constant> in) -> MaybeConstant {
    const Function f = of(c.node);
    const Constant result{f(in[0].train), f(in[0].evaluate)};
    if (!std::isfinite(result.train) || !std::isfinite(result.evaluate)) return std::nullopt;
    return result;
  };
  op.forward = [](Emitter& e, int i) { emitForward(e, i, of(e.node(i))); };
  op.applied = [](const NodeDescription& node) { return appliedOf(of(node)); };
  // Of a ReLU the output serves as well as the input, which may have been overwritten by it.
  op.backward = [](Emitter& e, int i) {
    const Function f = of(e.node(i));
    if (e.plan(i).passesGradient) passGradient(e, i);
    else emitBackward(e, i, f, e.value(f.kind == Activation::kRelu ? e.output(i) : e.input(i)));
  };
  return op;
}

template <Activation kind>
Function plain(const NodeDescription&) {
  return {kind};
}

}  // namespace

const Operator relu = [] {
  Operator op = activation<plain<Activation::kRelu>>("relu");
  op.fusion.isRelu = true;
  return op;
}();
const Operator gelu = activation<plain<Activation::kGelu>>("gelu");
const Operator silu = activation<plain<Activation::kSilu>>("silu");
const Operator sigmoid = activation<plain<Activation::kSigmoid>>("sigmoid");

namespace {

Function geluTanhOf(const NodeDescription&) { return {Activation::kGeluTanh}; }
Function hardSigmoidOf(const NodeDescription& n) {
  return {Activation::kHardSigmoid, float(n.number("slope")), float(n.number("offset"))};
}
Function leakyReluOf(const NodeDescription& n) { return {Activation::kLeakyRelu, float(n.number("slope"))}; }
Function clipOf(const NodeDescription& n) {
  return {Activation::kClip, float(n.number("low")), float(n.number("high"))};
}
Function eluOf(const NodeDescription& n) { return {Activation::kElu, float(n.number("alpha"))}; }
Function affineOf(const NodeDescription& n) {
  return {Activation::kAffine, float(n.number("scale")), float(n.number("offset"))};
}

constexpr double kMost = 1e30;
FieldSpec scalar(const char* name, std::optional<double> otherwise = {}) {
  return {name, FieldType::kNumber, -kMost, kMost, otherwise};
}

}  // namespace

const Operator geluTanh = activation<geluTanhOf>("geluTanh");
const Operator tanh = activation<plain<Activation::kTanh>>("tanh");
const Operator hardSigmoid =
    activation<hardSigmoidOf>("hardSigmoid", {scalar("slope", 1.0 / 6), scalar("offset", 0.5)});
const Operator hardSwish = activation<plain<Activation::kHardSwish>>("hardSwish");
const Operator leakyRelu = activation<leakyReluOf>("leakyRelu", {scalar("slope", 0.01)});
const Operator clip = [] {
  Operator op = activation<clipOf>("clip", {scalar("low"), scalar("high")});
  op.infer = [](const NodeContext& c) {
    if (c.node.number("low") > c.node.number("high"))
      failDescription("a bound not below low", c.node.where("high"), std::to_string(c.node.number("high")));
    return sameAxes(c);
  };
  return op;
}();
const Operator elu = activation<eluOf>("elu", {scalar("alpha", 1)});
const Operator softplus = activation<plain<Activation::kSoftplus>>("softplus");
const Operator exp = activation<plain<Activation::kExp>>("exp");
const Operator log = activation<plain<Activation::kLog>>("log");
const Operator sqrt = activation<plain<Activation::kSqrt>>("sqrt");
const Operator abs = activation<plain<Activation::kAbs>>("abs");
const Operator square = activation<plain<Activation::kSquare>>("square");
const Operator reciprocal = activation<plain<Activation::kReciprocal>>("reciprocal");
const Operator affine = activation<affineOf>("affine", {scalar("scale", 1), scalar("offset", 0)});

}  // namespace selfcompress::ops
