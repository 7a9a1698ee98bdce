// layerNorm and rmsNorm: normalisation over the channels of every position, the same in training and in evaluation.
#include "graph/emitter.h"
#include "ops/layer_norm/groups.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

using Mixing = ChannelRule::Mixing;

template <Mixing mixing>
std::vector<ParameterSpec> parameters(const NodeContext& c) {
  if (!c.node.flag("affine")) return {};
  const std::vector<ParameterAxis> axes{{ParameterAxis::Of::kOutput, c.inputs[0].channels}};
  std::vector<ParameterSpec> specs{{Role::kNormWeight, "weight", axes}};
  if (mixing == Mixing::kLayerNorm) specs.push_back({Role::kNormBias, "bias", axes});
  return specs;
}

template <Mixing mixing>
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  rule.mixing = mixing;
  return rule;
}

// Channels of the network as it was made, which its statistics go on to count.
int divisorOf(const NodeDescription& node, int channels) {
  const int divisor = node.integer("divisor");
  return divisor ? divisor : channels;
}

// Where others are not constant, only a zero can come out as a constant: of an RMS norm as zero, of a layer norm
// without scale as the shift.
template <Mixing mixing>
MaybeConstant constant(const NodeContext& c, const NodeValues& v, int channel, std::span<const Constant> in) {
  const double divisor = divisorOf(c.node, c.inputs[0].channels), epsilon = c.node.number("epsilon");
  auto of = [&](double Constant::*mode) {
    const auto i = std::size_t(channel);
    return scaled(v, channel, normalised(in, i, divisor, mixing == Mixing::kRmsNorm, epsilon, mode));
  };
  if (int(in.size()) == c.inputs[0].channels) return Constant{of(&Constant::train), of(&Constant::evaluate)};
  if (!in[0].isZero()) return std::nullopt;
  if (mixing == Mixing::kRmsNorm) return Constant{0, 0};
  return shiftWithoutScale(v, channel);
}

template <Mixing mixing>
void forward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  LayerNormForward args;
  args.shape = e.shape(in);
  args.divisor = divisorOf(e.node(i), args.shape.channels);
  args.rms = mixing == Mixing::kRmsNorm;
  args.epsilon = float(e.node(i).number("epsilon"));
  args.weight = p.value(i, Role::kNormWeight), args.bias = p.value(i, Role::kNormBias);
  args.inputState = e.state(in), args.outputState = e.state(out);
  if (e.training()) {
    const auto elements = std::size_t(laneElements({1, args.shape.height, args.shape.width}, e.batchSize()));
    e.saved(i) = e.device().allocate<float>(2 * elements);
    args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + elements;
  }
  const BufferId output = e.newValue(out);
  e.program().add(i, args).at(&LayerNormForward::input, e.value(in)).at(&LayerNormForward::output, output);
}

template <Mixing mixing>
void backward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  LayerNormBackward args;
  args.shape = e.shape(in);
  args.divisor = divisorOf(e.node(i), args.shape.channels);
  args.rms = mixing == Mixing::kRmsNorm;
  args.weight = p.value(i, Role::kNormWeight);
  args.savedMean = e.saved(i);
  args.savedInvStd = e.saved(i) + laneElements({1, args.shape.height, args.shape.width}, e.batchSize());
  args.inputState = e.state(in), args.outputState = e.state(out);
  args.gradWeight = p.gradient(i, Role::kNormWeight), args.gradBias = p.gradient(i, Role::kNormBias);
  const BufferId gradOutput = e.gradient(out);
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, args)
      .at(&LayerNormBackward::input, e.value(in))
      .at(&LayerNormBackward::gradOutput, gradOutput)
      .at(&LayerNormBackward::gradInput, target.write);
  // Scale and shift of a dead channel do not learn: they decay, so that it can leave.
  if (mixing == Mixing::kLayerNorm && args.gradWeight)
    e.program().add(i, DecayDead{args.shape.channels, args.inputState, 1, args.gradBias, args.gradWeight});
  e.finish(target, in);
}

template <Mixing mixing>
Operator channelNorm(const char* kind) {
  Operator op;
  op.kind = kind;
  op.fields = {{"affine", FieldType::kBoolean, 0, 1, 1},
               {"epsilon", FieldType::kNumber, 1e-12, 1, 1e-5},
               {"divisor", FieldType::kInteger, 0, kMostChannels, 0}};
  op.infer = [](const NodeContext& c) {
    const int divisor = c.node.integer("divisor");
    if (divisor && divisor < c.inputs[0].channels)
      failDescription("0 or at least the " + std::to_string(c.inputs[0].channels) + " channels of the input",
                      c.node.where("divisor"), std::to_string(divisor));
    return c.inputs[0];
  };
  op.parameters = parameters<mixing>, op.channels = channels<mixing>, op.constant = constant<mixing>;
  op.resize = [](NodeDescription& node, const Resized& to) {
    node.set("divisor", {double(divisorOf(node, to.channelsBefore))});
  };
  op.forward = forward<mixing>, op.backward = backward<mixing>;
  return op;
}

}  // namespace

const Operator layerNorm = channelNorm<Mixing::kLayerNorm>("layerNorm");
const Operator rmsNorm = channelNorm<Mixing::kRmsNorm>("rmsNorm");

}  // namespace selfcompress::ops
