// attention: the core of multi-head attention, between the projections: queries, keys and values in, the heads' outputs
// one after the other out. Head dimensions and heads are channels.
#include <algorithm>

#include "graph/emitter.h"
#include "ops/attention/heads.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {

AttentionGeometry attentionGeometry(const NodeContext& c, const HeadLayout& h) {
  AttentionGeometry g;
  g.queryChannels = h.queryChannels, g.keyChannels = h.keyChannels, g.valueChannels = h.valueChannels;
  g.outputChannels = h.outputChannels;
  g.queries = int(c.inputs[0].positionCount()), g.keys = int(c.inputs[1].positionCount());
  g.scale = float(h.scale), g.causal = c.node.flag("causal");
  return g;
}

namespace ops {
namespace {

enum Input { kQuery, kKey, kValue };

Axes infer(const NodeContext& c) {
  const HeadLayout h = headLayout(c);
  if (c.inputs[kKey].positionCount() != c.inputs[kValue].positionCount())
    failDescription("as many positions of keys as of values", c.node.where("inputs"),
                    c.inputs[kKey].text() + " and " + c.inputs[kValue].text());
  if (h.outputChannels < 1) failDescription("at least one channel of values", c.node.where("valueSizes"), "none");
  return c.inputs[kQuery].withChannels(h.outputChannels);
}

// A channel of the output is made of one channel of the values alone. A constant value comes through the softmax as it
// is, unless a query sees nothing.
ChannelRule channels(const NodeContext& c) {
  const HeadLayout h = headLayout(c);
  const AttentionGeometry g = attentionGeometry(c, h);
  ChannelRule rule;
  for (int head = 0; head < h.heads; head++) {
    const std::size_t k = std::size_t(head / h.sharing());
    if (h.valueSize[k]) rule.parts.push_back({kValue, h.valueFirst[k], h.valueSize[k], 1});
  }
  rule.varies = g.visible(0) < 1;
  rule.averages = g.visible(0) == g.keys;
  for (std::size_t k = 0; k < h.size.size(); k++)
    for (int d = 0; d < h.size[k]; d++) {
      ChannelRule::Contraction& sum = rule.contractions.emplace_back();
      sum.b.push_back({kKey, h.keyFirst[k] + d});
      for (int s = 0; s < h.sharing(); s++) {
        const std::size_t head = k * std::size_t(h.sharing()) + std::size_t(s);
        sum.a.push_back({kQuery, h.queryFirst[head] + d});
        // A single key has all of the attention.
        for (int j = 0; j < h.valueSize[k] && g.keys > 1; j++) sum.uses.push_back(h.outputFirst[head] + j);
      }
    }
  return rule;
}

int keptWithin(std::span<const int> kept, int first, int count) {
  return int(std::lower_bound(kept.begin(), kept.end(), first + count) -
             std::lower_bound(kept.begin(), kept.end(), first));
}

// Heads of which nothing is left go; the scale stays what it was.
void keep(NodeDescription& node, const NodeContext& before, const Kept& kept) {
  if (int(kept.inputs[kKey].size()) == before.inputs[kKey].channels &&
      int(kept.inputs[kValue].size()) == before.inputs[kValue].channels)
    return;
  const HeadLayout h = headLayout(before);
  FieldValue sizes, valueSizes;
  for (std::size_t k = 0; k < h.size.size(); k++) {
    const int size = keptWithin(kept.inputs[kKey], h.keyFirst[k], h.size[k]),
              values = keptWithin(kept.inputs[kValue], h.valueFirst[k], h.valueSize[k]);
    if (size + values == 0) continue;
    sizes.push_back(size), valueSizes.push_back(values);
  }
  node.set("scale", {h.scale});
  node.set("keyHeads", {double(sizes.size())});
  node.set("heads", {double(sizes.size()) * h.sharing()});
  node.set("headSizes", sizes), node.set("valueSizes", valueSizes);
}

template <class Args>
Args argumentsOf(Emitter& e, int i) {
  const NodeContext c = e.context(i);
  const HeadLayout h = headLayout(c);
  Args args;
  args.geometry = attentionGeometry(c, h);
  args.heads = {h.heads,
                h.keyHeads,
                e.constant(h.queryFirst),
                e.constant(h.outputFirst),
                e.constant(h.keyFirst),
                e.constant(std::vector<std::int32_t>(h.size.begin(), h.size.end())),
                e.constant(h.valueFirst),
                e.constant(std::vector<std::int32_t>(h.valueSize.begin(), h.valueSize.end()))};
  args.states = {e.state(e.input(i, kQuery)), e.state(e.input(i, kKey)), e.state(e.input(i, kValue)),
                 e.state(e.output(i))};
  return args;
}

void forward(Emitter& e, int i) {
  const BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, argumentsOf<AttentionForward>(e, i))
      .at(&AttentionForward::query, e.value(e.input(i, kQuery)))
      .at(&AttentionForward::key, e.value(e.input(i, kKey)))
      .at(&AttentionForward::value, e.value(e.input(i, kValue)))
      .at(&AttentionForward::output, output);
}

void backward(Emitter& e, int i) {
  // All three come out of one operation; what nobody needs is thrown away.
  Emitter::GradientTarget target[3];
  for (int k = 0; k < 3; k++) {
    const int t = e.input(i, k);
    if (e.needsGradient(t)) target[k] = e.gradientTarget(t, kNoBuffer);
    else target[k].write = e.program().floats(laneElements(e.shape(t), e.batchSize()));
  }
  e.program()
      .add(i, argumentsOf<AttentionBackward>(e, i))
      .at(&AttentionBackward::query, e.value(e.input(i, kQuery)))
      .at(&AttentionBackward::key, e.value(e.input(i, kKey)))
      .at(&AttentionBackward::value, e.value(e.input(i, kValue)))
      .at(&AttentionBackward::gradOutput, e.gradient(e.output(i)))
      .at(&AttentionBackward::gradQuery, target[kQuery].write)
      .at(&AttentionBackward::gradKey, target[kKey].write)
      .at(&AttentionBackward::gradValue, target[kValue].write);
  for (int k = 0; k < 3; k++)
    if (e.needsGradient(e.input(i, k))) e.finish(target[k], e.input(i, k));
}

}  // namespace

const Operator attention = [] {
  Operator op;
  op.kind = "attention";
  op.leastInputs = op.mostInputs = 3;
  op.fields = {{"heads", FieldType::kInteger, 1, 1 << 16},
               {"keyHeads", FieldType::kInteger, 1, 1 << 16, {}, "heads"},
               {"causal", FieldType::kBoolean, 0, 1, 0},
               {"scale", FieldType::kNumber, 0, 1e6, 0},
               {"headSizes", FieldType::kList, 0, kMostChannels, 0},
               {"valueSizes", FieldType::kList, 0, kMostChannels, 0}};
  op.infer = infer, op.channels = channels, op.keep = keep;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
