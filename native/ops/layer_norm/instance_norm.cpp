// instanceNorm: normalisation over the positions of every channel of every example.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  if (!c.node.flag("affine")) return {};
  const std::vector<ParameterAxis> axes{{ParameterAxis::Of::kOutput, c.inputs[0].channels}};
  return {{Role::kNormWeight, "weight", axes}, {Role::kNormBias, "bias", axes}};
}

// A constant has no variance: it becomes the shift.
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  rule.normalises = rule.forgets = true;
  return rule;
}
MaybeConstant constant(const NodeContext&, const NodeValues& v, int channel, std::span<const Constant>) {
  const double shift = v[Role::kNormBias].empty() ? 0 : double(v[Role::kNormBias][std::size_t(channel)]);
  return Constant{shift, shift};
}

// A group norm with a group for each channel.
void forward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  GroupNormForward args;
  args.shape = e.shape(in), args.groups = args.shape.channels, args.divisor = 1;
  args.epsilon = float(e.node(i).number("epsilon"));
  args.weight = p.value(i, Role::kNormWeight), args.bias = p.value(i, Role::kNormBias);
  args.inputState = e.state(in), args.outputState = e.state(out);
  if (e.training()) {
    const auto elements = std::size_t(laneElements({args.groups, 1, 1}, e.batchSize()));
    e.saved(i) = e.device().allocate<float>(2 * elements);
    args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + elements;
  }
  const BufferId output = e.newValue(out);
  e.program().add(i, args).at(&GroupNormForward::input, e.value(in)).at(&GroupNormForward::output, output);
}

void backward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  GroupNormBackward args;
  args.shape = e.shape(in), args.groups = args.shape.channels, args.divisor = 1;
  args.weight = p.value(i, Role::kNormWeight);
  args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + laneElements({args.groups, 1, 1}, e.batchSize());
  args.inputState = e.state(in), args.outputState = e.state(out);
  args.gradWeight = p.gradient(i, Role::kNormWeight), args.gradBias = p.gradient(i, Role::kNormBias);
  const BufferId gradOutput = e.gradient(out);
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, args)
      .at(&GroupNormBackward::input, e.value(in))
      .at(&GroupNormBackward::gradOutput, gradOutput)
      .at(&GroupNormBackward::gradInput, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator instanceNorm = [] {
  Operator op;
  op.kind = "instanceNorm";
  op.fields = {{"affine", FieldType::kBoolean, 0, 1, 0}, {"epsilon", FieldType::kNumber, 1e-12, 1, 1e-5}};
  op.infer = sameAxes, op.parameters = parameters, op.channels = channels, op.constant = constant;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
