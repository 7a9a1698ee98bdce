// gatherChannels, channelShuffle, padChannels, sliceChannels: channels of the input in another order, some of them left
// out, repeated, or replaced by zeros.
#include <algorithm>

#include "graph/emitter.h"
#include "ops/layout/layouts.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {

ChannelIndex gatheredChannels(const NodeContext& c) {
  const std::vector<int> list = c.node.list("index");
  return {list.begin(), list.end()};
}

// Where the channels of a removed network come from is listed, for it may have no groups any more.
ChannelIndex shuffledChannels(const NodeContext& c) {
  const std::vector<int> order = c.node.list("order");
  if (!order.empty()) return {order.begin(), order.end()};
  const int channels = c.inputs[0].channels, groups = c.node.integer("groups");
  ChannelIndex index;
  for (int i = 0; i < channels; i++) index.push_back(i % groups * (channels / groups) + i / groups);
  return index;
}

ChannelIndex paddedChannels(const NodeContext& c) {
  ChannelIndex index(std::size_t(c.node.integer("before")), -1);
  for (int i = 0; i < c.inputs[0].channels; i++) index.push_back(i);
  index.insert(index.end(), std::size_t(c.node.integer("after")), -1);
  return index;
}

ChannelIndex slicedChannels(const NodeContext& c) {
  ChannelIndex index;
  for (int i = 0; i < c.node.integer("count"); i++) index.push_back(c.node.integer("first") + i);
  return index;
}

namespace ops {
namespace {

using IndexOf = ChannelIndex (*)(const NodeContext&);

Axes withCount(const NodeContext& c, std::int64_t count) {
  if (count < 1 || double(count) > kMostChannels)
    failDescription("1 to " + std::to_string(int(kMostChannels)) + " channels", c.node.where(), std::to_string(count));
  return c.inputs[0].withChannels(int(count));
}

Axes inferGather(const NodeContext& c) {
  for (int i : c.node.list("index"))
    if (i >= c.inputs[0].channels)
      failDescription("channels of the input, which has " + std::to_string(c.inputs[0].channels), c.node.where("index"),
                      std::to_string(i));
  return withCount(c, std::int64_t(c.node.list("index").size()));
}

Axes inferShuffle(const NodeContext& c) {
  const int channels = c.inputs[0].channels;
  std::vector<int> order = c.node.list("order");
  if (order.empty()) {
    if (channels % c.node.integer("groups"))
      failDescription("a divisor of the " + std::to_string(channels) + " channels", c.node.where("groups"),
                      std::to_string(c.node.integer("groups")));
    return c.inputs[0];
  }
  std::sort(order.begin(), order.end());
  bool permutation = int(order.size()) == channels;
  for (int i = 0; i < channels && permutation; i++) permutation = order[std::size_t(i)] == i;
  if (!permutation)
    failDescription("each of the " + std::to_string(channels) + " channels once", c.node.where("order"),
                    std::to_string(order.size()) + " channels");
  return c.inputs[0];
}

Axes inferPad(const NodeContext& c) {
  return withCount(c, std::int64_t(c.node.integer("before")) + c.inputs[0].channels + c.node.integer("after"));
}

Axes inferSlice(const NodeContext& c) {
  const int first = c.node.integer("first"), count = c.node.integer("count");
  if (std::int64_t(first) + count > c.inputs[0].channels)
    failDescription("a slice of the " + std::to_string(c.inputs[0].channels) + " channels", c.node.where("count"),
                    std::to_string(count) + " channels from channel " + std::to_string(first));
  return c.inputs[0].withChannels(count);
}

template <IndexOf indexOf>
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kJoin, rule.factors = {1};
  for (int i : indexOf(c)) rule.sources.push_back({i < 0 ? -1 : 0, i});
  return rule;
}

template <IndexOf indexOf>
void forward(Emitter& e, int i) {
  const ChannelIndex index = indexOf(e.context(i));
  const int in = e.input(i), out = e.output(i);
  const BufferId output = e.newValue(out);
  GatherChannels args;
  args.input = e.shape(in), args.channels = int(index.size()), args.index = e.constant(index);
  args.inputState = e.state(in), args.outputState = e.state(out);
  e.program().add(i, args).at(&GatherChannels::source, e.value(in)).at(&GatherChannels::output, output);
}

template <IndexOf indexOf>
void backward(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  if (!e.needsGradient(in)) return;
  const ChannelIndex index = indexOf(e.context(i));
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  GatherChannelsBackward args;
  args.input = e.shape(in), args.channels = int(index.size()), args.index = e.constant(index);
  args.inputState = e.state(in), args.outputState = e.state(out);
  e.program()
      .add(i, args)
      .at(&GatherChannelsBackward::gradOutput, e.gradient(out))
      .at(&GatherChannelsBackward::gradInput, target.write);
  e.finish(target, in);
}

// The index of what is left, in the numbers of what is left.
template <IndexOf indexOf>
FieldValue keptIndex(const NodeContext& before, const Kept& kept) {
  const ChannelIndex index = indexOf(before);
  const std::span<const int> in = kept.inputs[0];
  FieldValue left;
  for (int out : kept.output) {
    const int from = index[std::size_t(out)];
    left.push_back(from < 0 ? -1 : double(std::lower_bound(in.begin(), in.end(), from) - in.begin()));
  }
  return left;
}

double countBelow(std::span<const int> kept, int limit) {
  return double(std::lower_bound(kept.begin(), kept.end(), limit) - kept.begin());
}

template <IndexOf indexOf>
Operator byIndex(const char* kind) {
  Operator op;
  op.kind = kind;
  op.channels = channels<indexOf>;
  op.forward = forward<indexOf>, op.backward = backward<indexOf>;
  return op;
}

}  // namespace

const Operator gatherChannels = [] {
  Operator op = byIndex<gatheredChannels>("gatherChannels");
  op.fields = {{"index", FieldType::kList, -1, kMostChannels - 1}};
  op.infer = inferGather;
  op.keep = [](NodeDescription& node, const NodeContext& before, const Kept& kept) {
    node.set("index", keptIndex<gatheredChannels>(before, kept));
  };
  return op;
}();

const Operator channelShuffle = [] {
  Operator op = byIndex<shuffledChannels>("channelShuffle");
  op.fields = {{"groups", FieldType::kInteger, 1, kMostChannels}, {"order", FieldType::kList, 0, kMostChannels - 1, 0}};
  op.infer = inferShuffle;
  op.keep = [](NodeDescription& node, const NodeContext& before, const Kept& kept) {
    if (int(kept.output.size()) < before.output.channels) node.set("order", keptIndex<shuffledChannels>(before, kept));
  };
  return op;
}();

const Operator padChannels = [] {
  Operator op = byIndex<paddedChannels>("padChannels");
  op.fields = {{"before", FieldType::kInteger, 0, kMostChannels, 0},
               {"after", FieldType::kInteger, 0, kMostChannels, 0}};
  op.infer = inferPad;
  op.keep = [](NodeDescription& node, const NodeContext& before, const Kept& kept) {
    const int first = node.integer("before");
    const double zeros = countBelow(kept.output, first);
    node.set("before", {zeros});
    node.set("after", {double(kept.output.size()) - countBelow(kept.output, first + before.inputs[0].channels)});
  };
  return op;
}();

const Operator sliceChannels = [] {
  Operator op = byIndex<slicedChannels>("sliceChannels");
  op.fields = {{"first", FieldType::kInteger, 0, kMostChannels - 1}, {"count", FieldType::kInteger, 1, kMostChannels}};
  op.infer = inferSlice;
  op.keep = [](NodeDescription& node, const NodeContext&, const Kept& kept) {
    node.set("first", {countBelow(kept.inputs[0], node.integer("first"))});
    node.set("count", {double(kept.output.size())});
  };
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
