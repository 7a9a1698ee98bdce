// batchNorm: normalisation over the batch and all positions, per channel.
#include <cmath>

#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

// With it the norm divides by 1.
float unitVariance(const NodeDescription& node) { return float(1 - node.number("epsilon")); }

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  const std::vector<ParameterAxis> axes{{ParameterAxis::Of::kOutput, c.inputs[0].channels}};
  std::vector<ParameterSpec> specs;
  if (c.node.flag("affine")) specs = {{Role::kNormWeight, "weight", axes}, {Role::kNormBias, "bias", axes}};
  specs.push_back({Role::kRunningMean, "runningMean", axes, false, 0.0f});
  specs.push_back({Role::kRunningVar, "runningVar", axes, false, unitVariance(c.node)});
  return specs;
}

ChannelRule channels(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  rule.normalises = true;
  return rule;
}

// A constant has no variance: in training it becomes the shift exactly, in evaluation what the statistics make of it.
MaybeConstant constant(const NodeContext& c, const NodeValues& v, int channel, std::span<const Constant> in) {
  const auto i = std::size_t(channel);
  const double scale = v[Role::kNormWeight].empty() ? 1 : double(v[Role::kNormWeight][i]),
               shift = v[Role::kNormBias].empty() ? 0 : double(v[Role::kNormBias][i]),
               deviation = std::sqrt(double(v[Role::kRunningVar][i]) + c.node.number("epsilon"));
  return Constant{shift, (in[0].evaluate - double(v[Role::kRunningMean][i])) / deviation * scale + shift};
}

// scale = w / sqrt(var + epsilon), shift = b - mean * scale: with mean 0 and a deviation of 1 nothing else is left.
void toFile(NodeDescription& node, std::map<Role, std::vector<float>>& v) {
  std::vector<float>&mean = v[Role::kRunningMean], &variance = v[Role::kRunningVar];
  std::vector<float>&scale = v[Role::kNormWeight], &shift = v[Role::kNormBias];
  scale.resize(mean.size(), node.flag("affine") ? 0.0f : 1.0f), shift.resize(mean.size(), 0.0f);
  for (std::size_t i = 0; i < mean.size(); i++) {
    // What came out of a file goes into one as it is.
    if (mean[i] == 0 && variance[i] == unitVariance(node)) continue;
    const double factor = double(scale[i]) / std::sqrt(double(variance[i]) + node.number("epsilon"));
    shift[i] = float(double(shift[i]) - double(mean[i]) * factor);
    scale[i] = float(factor);
    mean[i] = 0, variance[i] = unitVariance(node);
  }
  node.set("affine", {1});
}

void forward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  BatchNormForward args;
  args.shape = e.shape(in);
  args.training = e.training();
  args.epsilon = float(e.node(i).number("epsilon")), args.momentum = float(e.node(i).number("momentum"));
  args.weight = p.value(i, Role::kNormWeight), args.bias = p.value(i, Role::kNormBias);
  args.runningMean = p.value(i, Role::kRunningMean), args.runningVar = p.value(i, Role::kRunningVar);
  args.inputState = e.state(in), args.outputState = e.state(out);
  args.activation = e.plan(i).activation;
  if (e.training()) {
    e.saved(i) = e.device().allocate<float>(3 * std::size_t(args.shape.channels));
    args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + args.shape.channels,
    args.savedShift = e.saved(i) + 2 * args.shape.channels;
  }
  BufferId output = e.newValue(out);
  e.program()
      .add(i, args)
      .at(&BatchNormForward::input, e.value(in))
      .at(&BatchNormForward::output, output)
      .at(&BatchNormForward::statistics, e.statistics(in));
}

void backward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  BatchNormBackward args;
  args.shape = e.shape(in);
  args.weight = p.value(i, Role::kNormWeight), args.bias = p.value(i, Role::kNormBias);
  args.activation = e.plan(i).activation;
  args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + args.shape.channels,
  args.savedShift = e.saved(i) + 2 * args.shape.channels;
  args.inputState = e.state(in), args.outputState = e.state(out);
  args.gradWeight = p.gradient(i, Role::kNormWeight), args.gradBias = p.gradient(i, Role::kNormBias);
  const BufferId gradOutput = e.gradient(out);
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, args)
      .at(&BatchNormBackward::input, e.value(in))
      .at(&BatchNormBackward::gradOutput, gradOutput)
      .at(&BatchNormBackward::reluInput, e.plan(i).masksInput ? e.value(in) : kNoBuffer)
      .at(&BatchNormBackward::gradInput, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator batchNorm = [] {
  Operator op;
  op.kind = "batchNorm";
  op.fields = {{"affine", FieldType::kBoolean, 0, 1, 1},
               {"epsilon", FieldType::kNumber, 1e-12, 1, 1e-5},
               {"momentum", FieldType::kNumber, 0, 1, 0.1}};
  op.fusion.activates = op.fusion.masks = op.fusion.wantsMoments = true;
  op.infer = sameAxes, op.parameters = parameters, op.channels = channels, op.constant = constant;
  op.toFile = toFile;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
