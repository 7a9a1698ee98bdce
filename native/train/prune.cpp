// What can go, and what is left of every tensor.
#include "train/prune.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace selfcompress {
namespace {

// The same in both modes to float rounding, so that a bias can take its place.
bool foldable(const Constant& c) {
  return std::fabs(c.train - c.evaluate) <= 1e-6 * std::max(1.0, std::max(std::fabs(c.train), std::fabs(c.evaluate)));
}

// Which channels of every tensor somebody makes something of, on the way to the output: not those that only dead rows
// of weights read, nor the partners of a zero.
class Seen {
 public:
  Seen(const NetworkDescription& network, const Topology& topology, const ChannelAnalysis& channels,
       const Parameters& parameters, const State& small, const ChannelValues& values)
      : topology_(topology), channels_(channels), parameters_(parameters), small_(small), values_(values) {
    for (const Axes& axes : topology.axes) of_.emplace_back(std::size_t(axes.channels), false);
    of_[std::size_t(topology.output)].assign(of_[std::size_t(topology.output)].size(), true);
    for (int i = int(network.nodes.size()) - 1; i >= 0; i--) readBy(i);
  }
  bool operator()(int tensor, int channel) const { return of_[std::size_t(tensor)][std::size_t(channel)]; }
  bool anyOf(int tensor) const {
    const auto& channels = of_[std::size_t(tensor)];
    return std::find(channels.begin(), channels.end(), true) != channels.end();
  }
  // Whether a row of a layer with weights lives, and is seen itself.
  bool reads(int i, int row) const {
    const Parameter* bits = parameters_.find(i, Role::kBitDepth);
    const bool dead = bits && small_.at(bits->name)[std::size_t(row)] <= 0;
    return !dead && (*this)(i + 1, row);
  }
  // Whether somebody makes something of the sums: a constant comes through the same whatever they are.
  bool used(int i, const ChannelRule::Contraction& sum) const {
    if (sum.uses.empty()) return anyOf(i + 1);
    return std::any_of(sum.uses.begin(), sum.uses.end(), [&](int c) {
      return (*this)(i + 1, c) && !values_.constants[std::size_t(i) + 1][std::size_t(c)];
    });
  }
  // Whether the sums come out the same without these products.
  bool addsNothing(int i, const ChannelRule::Contraction& sum) const {
    const std::vector<int>& inputs = topology_.inputs[std::size_t(i)];
    return values_.areZero(inputs, sum.a) || values_.areUniform(inputs, sum.b);
  }

 private:
  int input(int i, int k) const { return topology_.inputs[std::size_t(i)][std::size_t(k)]; }
  void see(int i, int k, int channel) { of_[std::size_t(input(i, k))][std::size_t(channel)] = true; }

  void readBy(int i) {
    const ChannelRule& rule = channels_.rule(i);
    // What cancels does so whatever it is.
    for (int c = 0; c < int(of_[std::size_t(i) + 1].size()); c++)
      if (values_.cancels[std::size_t(i) + 1][std::size_t(c)]) of_[std::size_t(i) + 1][std::size_t(c)] = false;
    if (!anyOf(i + 1)) return;
    auto pass = [&](int out, int k, int c) {
      const bool forgotten = rule.forgets && values_.constants[std::size_t(input(i, k))][std::size_t(c)];
      if ((*this)(i + 1, out) && !forgotten) see(i, k, c);
    };
    if (rule.mixing != ChannelRule::Mixing::kNone)
      return forEachMixed(rule, int(of_[std::size_t(i) + 1].size()), [&](int first, int past) {
        bool seen = false;
        for (int c = first; c < past; c++) seen = seen || (*this)(i + 1, c);
        for (int c = first; c < past && seen; c++) see(i, 0, c);
      });
    if (rule.recurs()) return readByRecurrence(i, rule.recurrence);
    switch (rule.kind) {
      case ChannelRule::Kind::kMap:
        forEachMapped(rule, pass);
        break;
      case ChannelRule::Kind::kJoin:
        forEachJoined(rule, pass);
        break;
      case ChannelRule::Kind::kFresh:
        if (!rule.readsNothing) readByWeights(i, rule);
        break;
      case ChannelRule::Kind::kSum:
      case ChannelRule::Kind::kProduct:
        readByTie(i, rule);
        break;
    }
    for (const ChannelRule::Contraction& sum : rule.contractions) readByContraction(i, sum);
  }
  void readByWeights(int i, const ChannelRule& rule) {
    const int rows = int(of_[std::size_t(i) + 1].size()), ins = int(of_[std::size_t(input(i, 0))].size());
    for (int g = 0; g < rule.groups; g++) {
      bool read = false;
      for (int o = g * (rows / rule.groups); o < (g + 1) * (rows / rule.groups); o++) read = read || reads(i, o);
      for (int c = g * (ins / rule.groups); c < (g + 1) * (ins / rule.groups) && read; c++) see(i, 0, c);
    }
  }
  // Units see one another through the rows that live, of gates that make a difference to a unit that is seen. Of one
  // that is always zero only the candidate does, as it has to stay so.
  void readByRecurrence(int i, const ChannelRule::Recurrence& r) {
    std::vector<bool>& seen = of_[std::size_t(i) + 1];
    const int units = int(seen.size());
    const Parameter *bits = parameters_.find(i, Role::kBitDepth), *bias = parameters_.find(i, Role::kBias);
    auto lives = [&](int row) { return !bits || !(small_.at(bits->name)[std::size_t(row)] <= 0); };
    auto works = [&](int u) { return seen[std::size_t(u)] && !values_.isZero(i + 1, u); };
    auto isScaled = [&](int u) {  // by the reset gate of u
      const int first = r.candidate * units;
      if (!r.resetsFirst) return lives(first + u) || (bias && small_.at(bias->name)[std::size_t(first + u)] != 0);
      for (int v = 0; v < units; v++)
        if (works(v) && lives(first + v)) return true;
      return false;
    };
    auto matters = [&](int gate, int u) { return works(u) && (gate != r.reset || isScaled(u)); };
    bool reads = false;
    for (int row = 0; row < r.gates * units; row++) reads = reads || (matters(row / units, row % units) && lives(row));
    if (reads) seen.assign(seen.size(), true);
    for (int row = 0; row < r.gates * units; row++)
      if (seen[std::size_t(row % units)] && (row / units == r.candidate || matters(row / units, row % units)))
        see(i, 0, row);
  }
  // A factor is not seen beside a zero; what is divided by is one only of the numerator.
  void readByTie(int i, const ChannelRule& rule) {
    const int inputs = int(topology_.inputs[std::size_t(i)].size());
    auto place = [&](int k, int c) {
      return of_[std::size_t(input(i, k))].size() == of_[std::size_t(i) + 1].size() ? c : 0;
    };
    for (int c = 0; c < int(of_[std::size_t(i) + 1].size()); c++)
      for (int k = 0; k < inputs && (*this)(i + 1, c); k++) {
        bool hidden = false;
        for (int other = 0; other < (rule.onlyFirst ? 1 : inputs) && rule.kind == ChannelRule::Kind::kProduct; other++)
          hidden = hidden || (other != k && values_.isZero(input(i, other), place(other, c)));
        if (!hidden) see(i, k, place(k, c));
      }
  }
  void readByContraction(int i, const ChannelRule::Contraction& sum) {
    if (!used(i, sum)) return;
    const std::vector<int>& inputs = topology_.inputs[std::size_t(i)];
    if (!values_.areUniform(inputs, sum.b))
      for (const ChannelRule::Source& s : sum.a) see(i, s.input, s.channel);
    if (!values_.areZero(inputs, sum.a))
      for (const ChannelRule::Source& s : sum.b) see(i, s.input, s.channel);
  }

  const Topology& topology_;
  const ChannelAnalysis& channels_;
  const Parameters& parameters_;
  const State& small_;
  const ChannelValues& values_;
  std::vector<std::vector<bool>> of_;  // of every tensor and channel
};

class Removable {
 public:
  Removable(const NetworkDescription& network, const Topology& topology, const ChannelAnalysis& channels,
            const Parameters& parameters, const std::vector<LayerRule>& rules, const State& small,
            const ChannelValues& values)
      : network_(network),
        topology_(topology),
        channels_(channels),
        parameters_(parameters),
        rules_(rules),
        small_(small),
        values_(values),
        seen_(network, topology, channels, parameters, small, values),
        pinned_(std::size_t(channels.classCount()), false) {
    pinTensor(0);
    pinTensor(topology.output);
    for (int i = 0; i < int(network.nodes.size()); i++) pinBy(i);
    settle(Choices::kNone);
    const std::vector<bool> needed = pinned_;
    settle(Choices::kAll);
    keepTensors(needed);
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
  void pinClass(int id) {
    auto&& p = pinned_[std::size_t(id)];
    if (!p) changed_ = true;
    p = true;
  }
  void pin(int tensor, int channel) { pinClass(channels_.classOf(tensor, channel)); }
  void pinTensor(int t) {
    for (int c = 0; c < count(t); c++) pin(t, c);
  }

  void pinBy(int i) {
    const ChannelRule& rule = channels_.rule(i);
    if (rule.kind == ChannelRule::Kind::kSum || rule.kind == ChannelRule::Kind::kProduct) pinUntied(i);
    for (int k : rule.pinned) pinTensor(topology_.inputs[std::size_t(i)][std::size_t(k)]);
    for (int u = 0; u < count(i + 1) && rule.recurs(); u++) pinUnit(i + 1, u);
    for (const ChannelRule::Contraction& sum : rule.contractions) pinContraction(i, sum);
  }
  // A unit that is seen has to be zero at all times.
  void pinUnit(int t, int u) {
    const MaybeConstant& value = values_.constants[std::size_t(t)][std::size_t(u)];
    if (seen_(t, u) && !(value && value->isZero())) pin(t, u);
  }
  // What a row that stays reads has to be a constant that its bias can take over.
  void pinRead(int i, const ChannelRule& rule) {
    const int t = topology_.inputs[std::size_t(i)][0];
    // The latter two are in the class of what they read.
    if (rule.readsNothing || rule.recurs() || rule.depthwise(count(t))) return;
    const bool canFold = !rule.padded && parameters_.find(i, Role::kBias);
    const int ins = count(t) / rule.groups, rows = count(i + 1) / rule.groups;
    for (int g = 0; g < rule.groups; g++) {
      bool read = false;
      for (int o = g * rows; o < (g + 1) * rows && !read; o++) read = !canGo(i + 1, o) && seen_.reads(i, o);
      for (int c = g * ins; c < (g + 1) * ins && read; c++) {
        const MaybeConstant& value = values_.constants[std::size_t(t)][std::size_t(c)];
        if (!value || !(value->isZero() || (canFold && foldable(*value)))) pin(t, c);
      }
    }
  }
  // What a norm over channels reads has to be zero where others of the set stay and are seen, as their statistics count
  // it; what comes out its readers judge.
  void pinMixed(int i, const ChannelRule& rule) {
    const int t = topology_.inputs[std::size_t(i)][0];
    const bool all = rule.mixing == ChannelRule::Mixing::kAll;
    const auto& values = values_.constants[std::size_t(t)];
    forEachMixed(rule, count(t), [&](int first, int past) {
      bool counts = all;
      for (int c = first; c < past && !counts; c++)
        counts = (!values[std::size_t(c)] || !canGo(t, c)) && seen_(i + 1, c) && !ignoresOthers(i, c);
      for (int c = first; c < past && counts; c++)
        if (all || !values_.isZero(t, c)) pin(t, c);
    });
  }
  // Whether a zero comes out of a norm over channels the same, whatever the others of its set are.
  bool ignoresOthers(int i, int c) const {
    const Constant zero;
    return values_.isZero(topology_.inputs[std::size_t(i)][0], c) &&
           network_.nodes[std::size_t(i)].op->constant(topology_.context(network_, i), valuesOf(parameters_, i, small_),
                                                       c, {&zero, 1});
  }
  // A factor of one channel that many channels share is nobody's partner.
  void pinUntied(int i) {
    for (int t : topology_.inputs[std::size_t(i)])
      if (count(t) != count(i + 1)) pinTensor(t);
  }
  // Factors that somebody sums up stay, unless their products make no difference.
  void pinContraction(int i, const ChannelRule::Contraction& sum) {
    if (!seen_.used(i, sum) || seen_.addsNothing(i, sum)) return;
    pin(topology_.inputs[std::size_t(i)][std::size_t(sum.a[0].input)], sum.a[0].channel);
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
  // Pins the last of a group's channels that could go, so that not more than `most` do. One may pin others of its
  // group.
  void limitGroup(int t, int groups, int group, int most) {
    const int size = count(t) / groups;
    std::map<int, int> going;  // by class
    for (int c = group * size; c < (group + 1) * size; c++) going[channels_.classOf(t, c)] += canGo(t, c);
    for (int c = (group + 1) * size - 1, left = goingOf(t, groups, group); left > most; c--)
      if (canGo(t, c)) left -= going.at(channels_.classOf(t, c)), pin(t, c);
  }

  // What has to stay beside what does; of groups and multiples some channels, whichever: that is a choice.
  enum class Choices { kNone, kAll };
  void settle(Choices choices) {
    do {
      changed_ = false;
      for (int i = int(network_.nodes.size()) - 1; i >= 0; i--) {
        const ChannelRule& rule = channels_.rule(i);
        const int t = topology_.inputs[std::size_t(i)][0];
        if (choices == Choices::kAll) keepMultiple(i + 1, rules_[std::size_t(i)].multipleOf);
        if (rule.mixing != ChannelRule::Mixing::kNone) pinMixed(i, rule);
        if (rule.kind != ChannelRule::Kind::kFresh) continue;
        pinRead(i, rule);
        if (rule.groups == 1 || rule.depthwise(count(t)) || choices == Choices::kNone) continue;
        equalise(i, t, rule.groups);
        equalise(i, i + 1, rule.groups);
      }
    } while (changed_);
  }
  void keepMultiple(int t, int multiple) {
    if (multiple == 1) return;
    const int stay = count(t) - goingOf(t, 1, 0);
    limitGroup(t, 1, 0, std::max(0, count(t) - (stay + multiple - 1) / multiple * multiple));
  }
  // Of the groups that stay, each loses as many channels of t, and keeps one.
  void equalise(int i, int t, int groups) {
    int most = count(t) / groups - 1;
    for (int g = 0; g < groups; g++)
      if (!wholeGroup(i, g)) most = std::min(most, goingOf(t, groups, g));
    for (int g = 0; g < groups; g++)
      if (!wholeGroup(i, g)) limitGroup(t, groups, g, most);
  }

  // No tensor is emptied.
  void keepTensors(const std::vector<bool>& needed) {
    std::vector<int> kept;
    for (int id = mostEmptied(); id >= 0; id = mostEmptied()) {
      kept.push_back(id);
      pinClass(id);
      settle(Choices::kAll);
    }
    if (pinned_ == needed) return;  // nothing was chosen
    // One that was chosen early, for a tensor or in a group, may do nothing that the later ones do not.
    for (std::size_t k = 0; k <= kept.size();) {
      const std::vector<bool> all = std::exchange(pinned_, needed);
      for (std::size_t j = 0; j < kept.size(); j++)
        if (j != k) pinClass(kept[j]);
      settle(Choices::kAll);
      const bool better = mostEmptied() < 0 &&
                          std::count(pinned_.begin(), pinned_.end(), true) < std::count(all.begin(), all.end(), true);
      if (better && k < kept.size()) kept.erase(kept.begin() + std::ptrdiff_t(k));
      else k++;
      if (!better) pinned_ = all;
    }
  }
  // Of the classes in tensors of which nothing is left, the one that is in most of them, and of those one that norms
  // over channels count: it would stay beside another one. -1: there are none.
  int mostEmptied() const {
    std::map<int, std::pair<int, int>> tensors;  // by class: how many tensors, how many norms that count it
    for (int t = 0; t < int(topology_.axes.size()); t++) {
      if (!allGo(t, 1, 0)) continue;
      std::set<int> classes;
      for (int c = 0; c < count(t); c++) classes.insert(channels_.classOf(t, c));
      for (int id : classes) tensors[id].first++;
    }
    for (int i = 0; i < int(network_.nodes.size()) && !tensors.empty(); i++) {
      const int t = topology_.inputs[std::size_t(i)][0];
      if (channels_.rule(i).mixing == ChannelRule::Mixing::kNone) continue;
      for (int c = 0; c < count(t); c++)
        if (const auto found = tensors.find(channels_.classOf(t, c)); found != tensors.end() && !values_.isZero(t, c))
          found->second.second++;
    }
    const auto most = std::max_element(tensors.begin(), tensors.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == tensors.end() ? -1 : most->first;
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  const ChannelAnalysis& channels_;
  const Parameters& parameters_;
  const std::vector<LayerRule>& rules_;
  const State& small_;
  const ChannelValues& values_;
  const Seen seen_;
  std::vector<bool> pinned_;
  bool changed_ = false;
};

// What two sets of values agree on, a channel at a time: a constant where both have one, of which the weaker is what
// the rules are asked about.
MaybeConstant commonConstant(const MaybeConstant& a, const MaybeConstant& b) {
  if (!a || !b) return std::nullopt;
  if (!foldable(*a)) return a;
  return a->isZero() || !foldable(*b) ? b : a;
}
ChannelValues commonValues(ChannelValues a, const ChannelValues& b) {
  for (std::size_t t = 0; t < a.constants.size(); t++)
    for (std::size_t c = 0; c < a.constants[t].size(); c++) {
      a.constants[t][c] = commonConstant(a.constants[t][c], b.constants[t][c]);
      a.uniform[t][c] = a.uniform[t][c] && b.uniform[t][c];
      a.cancels[t][c] = a.cancels[t][c] && b.cancels[t][c];
    }
  return a;
}
// The same of values: a row is dead, or a bias 0, where both are.
State commonValues(const Parameters& parameters, State values, const State& others) {
  for (const Parameter& p : parameters.all()) {
    const auto found = values.find(p.name);
    if (found == values.end()) continue;
    for (std::size_t i = 0; i < found->second.size(); i++) {
      float& value = found->second[i];
      if (p.role == Role::kBitDepth ? value <= 0 : value == 0) value = others.at(p.name)[i];
    }
  }
  return values;
}

}  // namespace

std::optional<Pruning> findRemovable(const NetworkDescription& network, const Topology& topology,
                                     const ChannelAnalysis& channels, const Parameters& parameters,
                                     const std::vector<LayerRule>& rules, const State& small,
                                     const WeightSource& weights, const State* averages,
                                     const WeightSource& averageWeights) {
  Pruning result;
  ChannelValues values = channelValues(network, topology, channels, parameters, small, weights);
  result.constants = values.constants;
  State both = small;
  if (averages) {
    const ChannelValues others = channelValues(network, topology, channels, parameters, *averages, averageWeights);
    result.averageConstants = others.constants;
    values = commonValues(std::move(values), others);
    both = commonValues(parameters, std::move(both), *averages);
  }
  const Removable removable(network, topology, channels, parameters, rules, both, values);
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
