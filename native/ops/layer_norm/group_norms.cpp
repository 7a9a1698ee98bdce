// groupNorm: normalisation over the channels of a group and all positions, of every example; instanceNorm: a group for
// each channel.
//
// Groups of a groupNorm go on counting the channels that they had when the network was made; a group that has lost all
// of its channels is gone.
#include <algorithm>
#include <numeric>

#include "graph/emitter.h"
#include "ops/layer_norm/groups.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  if (!c.node.flag("affine")) return {};
  const std::vector<ParameterAxis> axes{{ParameterAxis::Of::kOutput, c.inputs[0].channels}};
  return {{Role::kNormWeight, "weight", axes}, {Role::kNormBias, "bias", axes}};
}

bool isGroups(const NodeDescription& node) { return node.op == &groupNorm; }
std::vector<int> sizesOf(const NodeDescription& node, int channels) {
  return isGroups(node) ? groupSizes(node, channels) : std::vector<int>(std::size_t(channels), 1);
}
int divisorOf(const NodeDescription& node, int channels) { return isGroups(node) ? groupDivisor(node, channels) : 1; }

Axes inferGroups(const NodeContext& c) {
  const int channels = c.inputs[0].channels, groups = c.node.integer("groups"), divisor = c.node.integer("divisor");
  const std::vector<int> sizes = sizesOf(c.node, channels);
  if (sizes.empty())
    failDescription("a divisor of the " + std::to_string(channels) + " channels of the input", c.node.where("groups"),
                    std::to_string(groups));
  if (int(sizes.size()) != groups || std::accumulate(sizes.begin(), sizes.end(), std::int64_t(0)) != channels)
    failDescription(std::to_string(groups) + " sizes that make " + std::to_string(channels) + " channels",
                    c.node.where("sizes"), std::to_string(sizes.size()) + " others");
  const int largest = *std::max_element(sizes.begin(), sizes.end());
  if (divisor && divisor < largest)
    failDescription("0 or at least the " + std::to_string(largest) + " channels of a group", c.node.where("divisor"),
                    std::to_string(divisor));
  return c.inputs[0];
}

// A constant has no variance over positions: of one channel alone it becomes the shift.
ChannelRule channelsOfInstances(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  rule.normalises = true, rule.ofExamples = true;
  return rule;
}
MaybeConstant constantOfInstances(const NodeContext&, const NodeValues& v, int channel, std::span<const Constant>) {
  const double shift = v[Role::kNormBias].empty() ? 0 : double(v[Role::kNormBias][std::size_t(channel)]);
  return Constant{shift, shift};
}

// Among others of its group a zero comes out as what they make of it, unless its scale is 0.
ChannelRule channelsOfGroups(const NodeContext& c) {
  const int channels = c.inputs[0].channels;
  if (divisorOf(c.node, channels) == 1) return channelsOfInstances(c);
  ChannelRule rule = sameChannels(c);
  rule.mixing = ChannelRule::Mixing::kLayerNorm, rule.ofExamples = true;
  rule.mixed = sizesOf(c.node, channels);
  return rule;
}
MaybeConstant constantOfGroups(const NodeContext& c, const NodeValues& v, int channel, std::span<const Constant> in) {
  const int divisor = divisorOf(c.node, c.inputs[0].channels);
  if (divisor == 1) return constantOfInstances(c, v, channel, in);
  int first = 0, size = 0;
  for (int of : sizesOf(c.node, c.inputs[0].channels)) {
    size = of;
    if (channel < first + size) break;
    first += size;
  }
  auto of = [&](double Constant::*mode) {
    return scaled(v, channel,
                  normalised(in, std::size_t(channel - first), divisor, false, c.node.number("epsilon"), mode));
  };
  if (int(in.size()) == size) return Constant{of(&Constant::train), of(&Constant::evaluate)};
  return in[0].isZero() ? shiftWithoutScale(v, channel) : std::nullopt;
}

void keepGroups(NodeDescription& node, const NodeContext& before, const Kept& kept) {
  const int channels = before.inputs[0].channels, divisor = divisorOf(node, channels);
  std::vector<double> sizes;
  int first = 0;
  for (int size : sizesOf(node, channels)) {
    const auto left =
        std::count_if(kept.output.begin(), kept.output.end(), [&](int c) { return c >= first && c < first + size; });
    if (left) sizes.push_back(double(left));
    first += size;
  }
  node.set("groups", {double(sizes.size())});
  node.set("divisor", {double(divisor)});
  node.set("sizes",
           std::all_of(sizes.begin(), sizes.end(), [&](double s) { return s == sizes[0]; }) ? FieldValue{} : sizes);
}

// What forward and backward have in common. nullptr for groupStart: groups of one size.
template <class Args>
Args argumentsOf(Emitter& e, int i) {
  const int in = e.input(i);
  const std::vector<int> sizes = sizesOf(e.node(i), e.shape(in).channels);
  Args args;
  args.shape = e.shape(in), args.groups = int(sizes.size());
  args.divisor = divisorOf(e.node(i), args.shape.channels);
  if (std::any_of(sizes.begin(), sizes.end(), [&](int s) { return s != sizes[0]; })) {
    std::vector<std::int32_t> start{0};
    for (int size : sizes) start.push_back(start.back() + size);
    args.groupStart = e.constant(start);
  }
  args.weight = e.parameters().value(i, Role::kNormWeight);
  args.inputState = e.state(in), args.outputState = e.state(e.output(i));
  return args;
}

void forward(Emitter& e, int i) {
  const int in = e.input(i);
  GroupNormForward args = argumentsOf<GroupNormForward>(e, i);
  args.epsilon = float(e.node(i).number("epsilon"));
  args.bias = e.parameters().value(i, Role::kNormBias);
  if (e.training()) {
    const auto elements = std::size_t(laneElements({args.groups, 1, 1}, e.batchSize()));
    e.saved(i) = e.device().allocate<float>(2 * elements);
    args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + elements;
  }
  const BufferId output = e.newValue(e.output(i));
  e.program().add(i, args).at(&GroupNormForward::input, e.value(in)).at(&GroupNormForward::output, output);
}

void backward(Emitter& e, int i) {
  const Parameters& p = e.parameters();
  const int in = e.input(i);
  GroupNormBackward args = argumentsOf<GroupNormBackward>(e, i);
  args.savedMean = e.saved(i), args.savedInvStd = e.saved(i) + laneElements({args.groups, 1, 1}, e.batchSize());
  args.gradWeight = p.gradient(i, Role::kNormWeight), args.gradBias = p.gradient(i, Role::kNormBias);
  const BufferId gradOutput = e.gradient(e.output(i));
  const Emitter::GradientTarget target = e.gradientTarget(in, gradOutput);
  e.program()
      .add(i, args)
      .at(&GroupNormBackward::input, e.value(in))
      .at(&GroupNormBackward::gradOutput, gradOutput)
      .at(&GroupNormBackward::gradInput, target.write);
  // Scale and shift of a dead channel do not learn: they decay, so that it can leave.
  if (args.divisor > 1 && args.gradWeight)
    e.program().add(i, DecayDead{args.shape.channels, args.inputState, 1, args.gradBias, args.gradWeight});
  e.finish(target, in);
}

}  // namespace

const Operator groupNorm = [] {
  Operator op;
  op.kind = "groupNorm";
  op.fields = {{"groups", FieldType::kInteger, 1, kMostChannels},
               {"affine", FieldType::kBoolean, 0, 1, 1},
               {"epsilon", FieldType::kNumber, 1e-12, 1, 1e-5},
               {"divisor", FieldType::kInteger, 0, kMostChannels, 0},
               {"sizes", FieldType::kList, 1, kMostChannels, 0}};
  op.infer = inferGroups, op.parameters = parameters, op.channels = channelsOfGroups, op.constant = constantOfGroups;
  op.keep = keepGroups;
  op.forward = forward, op.backward = backward;
  return op;
}();

const Operator instanceNorm = [] {
  Operator op;
  op.kind = "instanceNorm";
  op.fields = {{"affine", FieldType::kBoolean, 0, 1, 0}, {"epsilon", FieldType::kNumber, 1e-12, 1, 1e-5}};
  op.infer = sameAxes, op.parameters = parameters, op.channels = channelsOfInstances, op.constant = constantOfInstances;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
