// rotary: pairs of channels of each head turned by an angle that grows with the position.
#include <algorithm>
#include <cmath>

#include "graph/emitter.h"
#include "ops/attention/heads.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {
namespace ops {
namespace {

// The partner of a channel within its head of the original size, or -1: it is not turned.
struct Turn {
  int pair = -1, partner = -1;
  bool second = false;
};

Turn turnOf(int within, int rotated, bool interleaved) {
  if (within >= rotated) return {};
  if (interleaved) return {within / 2, within ^ 1, within % 2 == 1};
  const int half = rotated / 2;
  return {within % half, within < half ? within + half : within - half, within >= half};
}

// The channels of the original heads that are there.
std::vector<int> originals(const NodeContext& c) {
  std::vector<int> list = c.node.list("channels");
  if (list.empty())
    for (int i = 0; i < c.inputs[0].channels; i++) list.push_back(i);
  return list;
}

}  // namespace
}  // namespace ops

RotaryPairs rotaryPairs(const NodeContext& c) {
  const int headSize = c.node.integer("headSize"), rotated = c.node.integer("rotated");
  const std::vector<int> all = ops::originals(c);
  RotaryPairs pairs;
  for (std::size_t i = 0; i < all.size(); i++) {
    const int within = all[i] % headSize;
    const ops::Turn turn = ops::turnOf(within, rotated, c.node.flag("interleaved"));
    if (turn.second) continue;
    int partner = -1;
    if (turn.pair >= 0) {
      const int wanted = all[i] - within + turn.partner;
      const auto found = std::lower_bound(all.begin(), all.end(), wanted);
      if (found == all.end() || *found != wanted)
        failDescription("both channels of each pair", c.node.where("channels"),
                        std::to_string(all[i]) + " without " + std::to_string(wanted));
      partner = int(found - all.begin());
    }
    pairs.first.push_back(std::int32_t(i)), pairs.second.push_back(partner);
    pairs.frequency.push_back(
        turn.pair < 0 ? 0.0f : float(std::exp(std::log(c.node.number("base")) * -2.0 * turn.pair / double(rotated))));
  }
  std::size_t covered = 0;
  for (std::int32_t second : pairs.second) covered += second < 0 ? 1u : 2u;
  if (covered != all.size())
    failDescription("both channels of each pair", c.node.where("channels"), "a second one without its first");
  return pairs;
}

namespace ops {
namespace {

Axes infer(const NodeContext& c) {
  const int headSize = c.node.integer("headSize"), rotated = c.node.integer("rotated");
  if (rotated % 2 || rotated > headSize)
    failDescription("an even number of at most " + std::to_string(headSize) + " channels", c.node.where("rotated"),
                    std::to_string(rotated));
  const std::vector<int> list = c.node.list("channels");
  if (list.empty() && c.inputs[0].channels % headSize)
    failDescription("a divisor of the " + std::to_string(c.inputs[0].channels) + " channels", c.node.where("headSize"),
                    std::to_string(headSize));
  const bool ascending = std::adjacent_find(list.begin(), list.end(), std::greater_equal<int>()) == list.end();
  if (!list.empty() && (int(list.size()) != c.inputs[0].channels || !ascending))
    failDescription("as many ascending numbers as there are channels, " + std::to_string(c.inputs[0].channels),
                    c.node.where("channels"), std::to_string(list.size()));
  rotaryPairs(c);
  return c.inputs[0];
}

// Both channels of a pair are made of both.
ChannelRule channels(const NodeContext& c) {
  const RotaryPairs pairs = rotaryPairs(c);
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kJoin, rule.perChannel = 2, rule.varies = true;
  rule.sources.resize(2 * std::size_t(c.inputs[0].channels));
  for (std::size_t p = 0; p < pairs.first.size(); p++) {
    const int first = pairs.first[p], second = pairs.second[p] < 0 ? first : pairs.second[p];
    for (int channel : {first, second}) {
      rule.sources[2 * std::size_t(channel)] = {0, first};
      rule.sources[2 * std::size_t(channel) + 1] = {0, second};
    }
  }
  return rule;
}

void keep(NodeDescription& node, const NodeContext& before, const Kept& kept) {
  if (int(kept.output.size()) == before.output.channels) return;
  const std::vector<int> all = originals(before);
  FieldValue left;
  for (int c : kept.output) left.push_back(all[std::size_t(c)]);
  node.set("channels", left);
}

Rotary argumentsOf(Emitter& e, int i, bool inverse) {
  const NodeContext c = e.context(i);
  const RotaryPairs pairs = rotaryPairs(c);
  const int in = e.input(i), out = e.output(i);
  Rotary args;
  args.shape = {c.inputs[0].channels, 1, int(c.inputs[0].positionCount())};
  args.pairs = int(pairs.first.size());
  args.first = e.constant(pairs.first), args.second = e.constant(pairs.second);
  args.frequency = e.constant(pairs.frequency);
  args.firstPosition = c.node.integer("firstPosition"), args.inverse = inverse;
  args.inputState = e.state(inverse ? out : in), args.outputState = e.state(inverse ? in : out);
  return args;
}

void forward(Emitter& e, int i) {
  const BufferId output = e.newValue(e.output(i));
  e.program().add(i, argumentsOf(e, i, false)).at(&Rotary::input, e.value(e.input(i))).at(&Rotary::output, output);
}

void backward(Emitter& e, int i) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  e.program()
      .add(i, argumentsOf(e, i, true))
      .at(&Rotary::input, e.gradient(e.output(i)))
      .at(&Rotary::output, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator rotary = [] {
  Operator op;
  op.kind = "rotary";
  op.fields = {{"headSize", FieldType::kInteger, 2, kMostChannels},
               {"rotated", FieldType::kInteger, 2, kMostChannels, {}, "headSize"},
               {"base", FieldType::kNumber, 1, 1e12, 10000},
               {"interleaved", FieldType::kBoolean, 0, 1, 0},
               {"firstPosition", FieldType::kInteger, 0, 1 << 24, 0},
               {"channels", FieldType::kList, 0, kMostChannels - 1, 0}};
  op.infer = infer, op.channels = channels, op.keep = keep;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
