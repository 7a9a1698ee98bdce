// prelu: x where x > 0, else a learned slope times x; a slope for each channel, or one for all.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  using Of = ParameterAxis::Of;
  if (c.node.flag("shared")) return {{Role::kSlope, "slope", {{Of::kOther, 1}}}};
  return {{Role::kSlope, "slope", {{Of::kOutput, c.inputs[0].channels}}}};
}

MaybeConstant constant(const NodeContext& c, const NodeValues& v, int channel, std::span<const Constant> in) {
  const double slope = double(v[Role::kSlope][c.node.flag("shared") ? 0 : std::size_t(channel)]);
  auto of = [=](double x) { return x > 0 ? x : slope * x; };
  return Constant{of(in[0].train), of(in[0].evaluate)};
}

void forward(Emitter& e, int i) {
  const int in = e.input(i);
  const BufferId output = e.newValue(e.output(i));
  PReluForward args;
  args.shape = e.shape(in), args.state = e.state(in);
  args.slope = e.parameters().value(i, Role::kSlope), args.shared = e.node(i).flag("shared");
  e.program().add(i, args).at(&PReluForward::input, e.value(in)).at(&PReluForward::output, output);
}

void backward(Emitter& e, int i) {
  const int in = e.input(i);
  const BufferId gradOutput = e.gradient(e.output(i));
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  PReluBackward args;
  args.shape = e.shape(in), args.state = e.state(in);
  args.slope = e.parameters().value(i, Role::kSlope), args.gradSlope = e.parameters().gradient(i, Role::kSlope);
  args.shared = e.node(i).flag("shared");
  e.program()
      .add(i, args)
      .at(&PReluBackward::input, e.value(in))
      .at(&PReluBackward::gradOutput, gradOutput)
      .at(&PReluBackward::gradInput, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator prelu = [] {
  Operator op;
  op.kind = "prelu";
  op.fields = {{"shared", FieldType::kBoolean, 0, 1, 0}};
  op.infer = sameAxes, op.parameters = parameters, op.channels = sameChannels, op.constant = constant;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
