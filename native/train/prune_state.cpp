// Cutting parameters and moments.
#include "selfcompress/backend.h"
#include "train/prune.h"

namespace selfcompress {
namespace {

using Indices = std::vector<std::int64_t>;

// Elements of a row-major tensor whose index on every axis is in that axis's list, appended in order; `block` elements
// at a time, those of the last axes, which are taken whole.
void gather(const std::vector<float>& from, const std::vector<std::int64_t>& sizes, const std::vector<Indices>& lists,
            std::size_t axis, std::int64_t at, std::int64_t block, std::vector<float>& to) {
  if (axis == lists.size()) {
    const auto first = from.begin() + std::ptrdiff_t(at * block);
    to.insert(to.end(), first, first + std::ptrdiff_t(block));
    return;
  }
  for (std::int64_t index : lists[axis]) gather(from, sizes, lists, axis + 1, at * sizes[axis] + index, block, to);
}

// Those of `all` that belong to a group of this size: as they are where the axis holds all groups, else counted from
// the group's start.
Indices groupsShare(const std::vector<int>& all, std::int64_t perGroup, int group, bool local) {
  Indices share;
  for (int i : all)
    if (i / perGroup == group) share.push_back(local ? i - group * perGroup : i);
  return share;
}

class Cut {
 public:
  Cut(const NetworkDescription& network, const Topology& topology, const ChannelAnalysis& channels,
      const Parameters& parameters, const Pruning& pruning)
      : network_(network), topology_(topology), channels_(channels), parameters_(parameters), pruning_(pruning) {}

  State run(State state) {
    State averages = averagesOf(state);
    for (int i = 0; i < int(network_.nodes.size()); i++) {
      fold(i, state, pruning_.constants);
      if (!averages.empty()) fold(i, averages, pruning_.averageConstants);
    }
    State result;
    for (const Parameter& p : parameters_.all()) {
      if (!averages.empty()) result[p.name + kAverage] = cut(p, averages.at(p.name));
      result[p.name] = cut(p, state.at(p.name));
      for (int m = 0; m < p.moments; m++) {
        const std::string name = p.name + (m ? "/moment2" : "/moment1");
        result[name] = cut(p, state.at(name));
      }
    }
    return result;
  }

 private:
  // By the names of their parameters.
  State averagesOf(const State& state) const {
    State averages;
    for (const Parameter& p : parameters_.all())
      if (auto found = state.find(p.name + kAverage); found != state.end()) averages[p.name] = found->second;
    return averages;
  }
  int input(int i) const { return topology_.inputs[std::size_t(i)][0]; }
  int count(int t) const { return topology_.axes[std::size_t(t)].channels; }
  // Inputs of a layer's weights that are left: every position of every kept channel.
  std::vector<int> keptInputs(int i) const {
    const int repeat = channels_.rule(i).repeat;
    std::vector<int> kept;
    for (int c : pruning_.kept[std::size_t(input(i))])
      for (int r = 0; r < repeat; r++) kept.push_back(c * repeat + r);
    return kept;
  }

  std::vector<float> cut(const Parameter& p, const std::vector<float>& values) const {
    const ChannelRule& rule = channels_.rule(p.node);
    const std::vector<int>& outs = pruning_.kept[std::size_t(p.node) + 1];
    const std::vector<int> ins = keptInputs(p.node);
    const int groups = rule.kind == ChannelRule::Kind::kFresh ? rule.groups : 1;
    const std::int64_t outTotal = count(p.node + 1), inTotal = std::int64_t(count(input(p.node))) * rule.repeat;
    std::vector<float> result;
    for (int g = 0; g < groups; g++) {
      std::vector<Indices> lists;
      for (const ParameterAxis& axis : p.axes) {
        Indices& list = lists.emplace_back();
        if (axis.of == ParameterAxis::Of::kOutput && axis.blocks > 1)
          for (int b = 0; b < axis.blocks; b++)
            for (int o : outs) list.push_back(b * outTotal + o);
        else if (axis.of == ParameterAxis::Of::kOutput)
          list = groupsShare(outs, outTotal / groups, g, axis.size != outTotal);
        else if (axis.of == ParameterAxis::Of::kInput)
          list = groupsShare(ins, inTotal / groups, g, axis.size != inTotal || groups > 1);
        else
          for (std::int64_t k = 0; k < axis.size; k++) list.push_back(k);
      }
      std::int64_t block = 1;
      for (std::size_t axis = p.axes.size(); axis-- > 0 && p.axes[axis].of == ParameterAxis::Of::kOther;) {
        block *= p.axes[axis].size;
        lists.pop_back();
      }
      gather(values, p.shape(), lists, 0, 0, block, result);
    }
    return result;
  }

  // Adds to a layer's bias what its removed constant inputs contributed: v * sum_k q(w).
  void fold(int i, State& state, const std::vector<std::vector<MaybeConstant>>& constants) const {
    const ChannelRule& rule = channels_.rule(i);
    const Parameter *weight = parameters_.find(i, Role::kWeight), *bias = parameters_.find(i, Role::kBias);
    const int t = input(i), inChannels = count(t), outs = count(i + 1);
    if (rule.kind != ChannelRule::Kind::kFresh || rule.readsNothing || rule.recurs() || !bias) return;
    if (rule.depthwise(inChannels)) return;
    std::vector<double> value(std::size_t(inChannels), 0.0);
    bool any = false;
    for (int c = 0; c < inChannels; c++)
      if (const MaybeConstant& constant = constants[std::size_t(t)][std::size_t(c)]; constant)
        value[std::size_t(c)] = constant->evaluate;
    for (int c : pruning_.kept[std::size_t(t)]) value[std::size_t(c)] = 0;
    for (double v : value) any = any || v != 0;
    if (!any) return;
    const std::vector<float> q = quantizedWeights(parameters_, i, state.at(weight->name), state);
    const int perGroup = inChannels / rule.groups, area = rule.repeat * rule.kernelArea;
    std::vector<float>& biases = state.at(bias->name);
    for (int o = 0; o < outs; o++) {
      double sum = double(biases[std::size_t(o)]);
      for (int c = 0; c < perGroup; c++) {
        const double v = value[std::size_t(o / (outs / rule.groups) * perGroup + c)];
        if (v != 0) sum += v * sumOfWeights(rule, q.data() + (std::int64_t(o) * perGroup + c) * area);
      }
      biases[std::size_t(o)] = float(sum);
    }
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  const ChannelAnalysis& channels_;
  const Parameters& parameters_;
  const Pruning& pruning_;
};

}  // namespace

std::vector<float> quantizedWeights(const Parameters& parameters, int node, const std::vector<float>& weights,
                                    const State& small) {
  const Parameter *bits = parameters.find(node, Role::kBitDepth), *exponent = parameters.find(node, Role::kExponent);
  if (!bits) return weights;
  std::vector<float> q(weights.size());
  makeReferenceBackend()->run(QuantizeForward{int(bits->count), std::int64_t(weights.size()) / bits->count,
                                              weights.data(), small.at(bits->name).data(),
                                              small.at(exponent->name).data(), q.data()});
  return q;
}

double sumOfWeights(const ChannelRule& rule, const float* weights) {
  double sum = 0;
  for (int tap : rule.taps) sum += double(weights[tap]);
  for (int k = 0; k < rule.repeat * rule.kernelArea && rule.taps.empty(); k++) sum += double(weights[k]);
  return sum;
}

State pruneState(const NetworkDescription& before, const Topology& topology, const ChannelAnalysis& channels,
                 const Parameters& parameters, const Pruning& pruning, State state) {
  return Cut(before, topology, channels, parameters, pruning).run(std::move(state));
}

}  // namespace selfcompress
