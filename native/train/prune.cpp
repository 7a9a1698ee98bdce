// What can go, and what is left of every tensor.
#include "train/prune.h"

#include <algorithm>
#include <cmath>

namespace selfcompress {
namespace {

// The same in both modes to float rounding, so that a bias can take its place.
bool foldable(const Constant& c) {
  return std::fabs(c.train - c.evaluate) <= 1e-6 * std::max(1.0, std::max(std::fabs(c.train), std::fabs(c.evaluate)));
}

class Removable {
 public:
  Removable(const NetworkDescription& network, const Topology& topology, const ChannelAnalysis& channels,
            const Parameters& parameters, const std::vector<LayerRule>& rules,
            const std::vector<std::vector<MaybeConstant>>& constants)
      : network_(network),
        topology_(topology),
        channels_(channels),
        parameters_(parameters),
        rules_(rules),
        constants_(constants),
        pinned_(std::size_t(channels.classCount()), false) {
    pinTensor(0);
    pinTensor(topology.output);
    for (int i = 0; i < int(network.nodes.size()); i++) {
      const ChannelRule& rule = channels.rule(i);
      if (rule.kind == ChannelRule::Kind::kFresh) pinRead(i, rule);
      else if (rule.kind == ChannelRule::Kind::kSum || rule.kind == ChannelRule::Kind::kProduct) pinUntied(i);
      if (rule.mixing != ChannelRule::Mixing::kNone) pinMixed(i, rule);
      for (int k : rule.pinned) pinTensor(topology.inputs[std::size_t(i)][std::size_t(k)]);
      if (rule.readsItself) pinTensor(i + 1);  // its units are counted by what it reads, and that stays
    }
    do changed_ = false, settle();
    while (changed_);
  }

  bool canGo(int tensor, int channel) const { return !pinned_[std::size_t(channels_.classOf(tensor, channel))]; }
  bool any() const {
    for (int t = 0; t < int(topology_.axes.size()); t++)
      for (int c = 0; c < count(t); c++)
        if (canGo(t, c)) return true;
    return false;
  }
  // Groups of a grouped convolution of which nothing is left.
  bool wholeGroup(int i, int group) const {
    const ChannelRule& rule = channels_.rule(i);
    return allGo(topology_.inputs[std::size_t(i)][0], rule.groups, group) && allGo(i + 1, rule.groups, group);
  }

 private:
  int count(int t) const { return topology_.axes[std::size_t(t)].channels; }
  void pin(int tensor, int channel) {
    auto&& p = pinned_[std::size_t(channels_.classOf(tensor, channel))];
    if (!p) changed_ = true;
    p = true;
  }
  void pinTensor(int t) {
    for (int c = 0; c < count(t); c++) pin(t, c);
  }

  // What a sum over channels reads has to be a constant that its bias can take over.
  void pinRead(int i, const ChannelRule& rule) {
    const int t = topology_.inputs[std::size_t(i)][0];
    if (rule.readsNothing || rule.depthwise(count(t))) return;  // the latter is in the class of what it reads
    const bool canFold = !rule.padded && parameters_.find(i, Role::kBias);
    for (int c = 0; c < count(t); c++) {
      const MaybeConstant& value = constants_[std::size_t(t)][std::size_t(c)];
      if (!value || !(value->isZero() || (canFold && foldable(*value)))) pin(t, c);
    }
  }
  // What a norm over channels reads has to be zero, as its statistics count it; what comes out its readers judge.
  void pinMixed(int i, const ChannelRule& rule) {
    const int t = topology_.inputs[std::size_t(i)][0];
    for (int c = 0; c < count(t); c++) {
      const MaybeConstant& value = constants_[std::size_t(t)][std::size_t(c)];
      if (rule.mixing == ChannelRule::Mixing::kAll || !value || !value->isZero()) pin(t, c);
    }
  }
  // A factor of one channel that many channels share is nobody's partner.
  void pinUntied(int i) {
    for (int t : topology_.inputs[std::size_t(i)])
      if (count(t) != count(i + 1)) pinTensor(t);
  }

  // Factors that somebody sums up stay, unless their product is zero.
  void pinContraction(int i, const ChannelRule::Contraction& sum) {
    auto tensor = [&](const ChannelRule::Source& s) { return topology_.inputs[std::size_t(i)][std::size_t(s.input)]; };
    auto allZero = [&](const std::vector<ChannelRule::Source>& side) {
      return std::all_of(side.begin(), side.end(), [&](const ChannelRule::Source& s) {
        const MaybeConstant& value = constants_[std::size_t(tensor(s))][std::size_t(s.channel)];
        return value && value->isZero();
      });
    };
    const bool used = std::any_of(sum.uses.begin(), sum.uses.end(), [&](int c) { return !canGo(i + 1, c); });
    if (used && !allZero(sum.a) && !allZero(sum.b)) pin(tensor(sum.a[0]), sum.a[0].channel);
  }

  bool allGo(int t, int groups, int group) const {
    const int size = count(t) / groups;
    for (int c = group * size; c < (group + 1) * size; c++)
      if (!canGo(t, c)) return false;
    return true;
  }
  int goingOf(int t, int groups, int group) const {
    const int size = count(t) / groups;
    int going = 0;
    for (int c = group * size; c < (group + 1) * size; c++) going += canGo(t, c);
    return going;
  }
  // Pins the last of a group's channels that could go, so that not more than `most` do.
  void limitGroup(int t, int groups, int group, int most) {
    const int size = count(t) / groups;
    for (int c = (group + 1) * size - 1, going = goingOf(t, groups, group); going > most; c--)
      if (canGo(t, c)) pin(t, c), going--;
  }

  void settle() {
    for (int i = 0; i < int(network_.nodes.size()); i++) {
      const ChannelRule& rule = channels_.rule(i);
      const int t = topology_.inputs[std::size_t(i)][0];
      if (rule.kind == ChannelRule::Kind::kFresh && rule.groups > 1 && !rule.depthwise(count(t))) {
        equalise(i, t, rule.groups);
        equalise(i, i + 1, rule.groups);
      }
    }
    for (int i = 0; i < int(network_.nodes.size()); i++)
      for (const ChannelRule::Contraction& sum : channels_.rule(i).contractions) pinContraction(i, sum);
    for (int i = 0; i < int(network_.nodes.size()); i++) keepMultiple(i + 1, rules_[std::size_t(i)].multipleOf);
    for (int t = 0; t < int(topology_.axes.size()); t++) {  // no tensor is emptied
      bool all = true;
      for (int c = 0; c < count(t) && all; c++) all = canGo(t, c);
      if (all) pin(t, 0);
    }
  }
  void keepMultiple(int t, int multiple) {
    if (multiple == 1) return;
    const int stay = count(t) - goingOf(t, 1, 0);
    limitGroup(t, 1, 0, std::max(0, count(t) - (stay + multiple - 1) / multiple * multiple));
  }
  // Of the groups that stay, each loses as many channels of t.
  void equalise(int i, int t, int groups) {
    int most = INT32_MAX;
    for (int g = 0; g < groups; g++)
      if (!wholeGroup(i, g)) most = std::min(most, goingOf(t, groups, g));
    for (int g = 0; g < groups; g++)
      if (!wholeGroup(i, g)) limitGroup(t, groups, g, most);
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  const ChannelAnalysis& channels_;
  const Parameters& parameters_;
  const std::vector<LayerRule>& rules_;
  const std::vector<std::vector<MaybeConstant>>& constants_;
  std::vector<bool> pinned_;
  bool changed_ = false;
};

}  // namespace

std::optional<Pruning> findRemovable(const NetworkDescription& network, const Topology& topology,
                                     const ChannelAnalysis& channels, const Parameters& parameters,
                                     const std::vector<LayerRule>& rules, const State& small) {
  Pruning result;
  result.constants = constantsOf(network, topology, channels, parameters, small);
  const Removable removable(network, topology, channels, parameters, rules, result.constants);
  if (!removable.any()) return std::nullopt;
  for (int t = 0; t < int(topology.axes.size()); t++) {
    std::vector<int>& kept = result.kept.emplace_back();
    for (int c = 0; c < topology.axes[std::size_t(t)].channels; c++)
      if (!removable.canGo(t, c)) kept.push_back(c);
  }
  result.network = network;
  for (int i = 0; i < int(network.nodes.size()); i++) {
    NodeDescription& node = result.network.nodes[std::size_t(i)];
    if (node.op->keep) {
      Kept kept{{}, result.kept[std::size_t(i) + 1]};
      for (int t : topology.inputs[std::size_t(i)]) kept.inputs.push_back(result.kept[std::size_t(t)]);
      node.op->keep(node, topology.context(network, i), kept);
    }
    if (!node.op->resize) continue;
    const ChannelRule& rule = channels.rule(i);
    const int t = topology.inputs[std::size_t(i)][0];
    int groups = rule.groups;
    if (rule.depthwise(topology.axes[std::size_t(t)].channels)) groups = int(result.kept[std::size_t(t)].size());
    else if (rule.groups > 1)
      for (int g = 0; g < rule.groups; g++) groups -= removable.wholeGroup(i, g);
    node.op->resize(node,
                    {int(result.kept[std::size_t(i) + 1].size()), topology.axes[std::size_t(i) + 1].channels, groups});
  }
  return result;
}

}  // namespace selfcompress
