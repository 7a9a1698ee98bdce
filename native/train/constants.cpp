// Which channels are the same for every example, and what they are.
#include <algorithm>

#include "train/prune.h"
#include "train/sums.h"
#include "train/uniform.h"

namespace selfcompress {
namespace {

MaybeConstant tied(const ChannelRule& rule, std::span<const MaybeConstant> in) {
  const bool sum = rule.kind == ChannelRule::Kind::kSum;
  Constant result = sum ? Constant{0, 0} : Constant{1, 1};
  bool all = true;
  for (const MaybeConstant& c : in) {
    all = all && c.has_value();
    if (!sum && c && c->isZero() && (&c == &in[0] || !rule.onlyFirst)) return Constant{0, 0};
    if (!c) continue;
    if (sum) result.train += c->train, result.evaluate += c->evaluate;
    else result.train *= c->train, result.evaluate *= c->evaluate;
  }
  return all ? MaybeConstant(result) : std::nullopt;
}

class Constants {
 public:
  Constants(const NetworkDescription& network, const Topology& topology, const ChannelAnalysis& channels,
            const Parameters& parameters, const State& small, const WeightSource& source)
      : network_(network),
        topology_(topology),
        channels_(channels),
        parameters_(parameters),
        small_(small),
        source_(source),
        sums_(network, topology, channels, values_) {
    const auto count = std::size_t(topology.axes[0].channels);
    values_.constants.emplace_back(count);
    values_.uniform.emplace_back(count, topology.shapes[0].pixels() == 1);
    values_.cancels.emplace_back(count, false);
    for (int i = 0; i < int(network.nodes.size()); i++) ofNode(i);
  }
  ChannelValues take() && { return std::move(values_); }

 private:
  const std::vector<MaybeConstant>& input(int i, int k) const {
    return values_.constants[std::size_t(topology_.inputs[std::size_t(i)][std::size_t(k)])];
  }

  void ofNode(int i) {
    const ChannelRule& rule = channels_.rule(i);
    std::vector<MaybeConstant> out(std::size_t(topology_.axes[std::size_t(i) + 1].channels));
    if (rule.kind == ChannelRule::Kind::kFresh) fresh(i, rule, out);
    else if (rule.kind == ChannelRule::Kind::kMap) mapped(i, rule, out);
    else if (rule.kind == ChannelRule::Kind::kJoin) joined(i, rule, out);
    else ties(i, rule, out);
    values_.cancels.push_back(sums_.add(i, valuesOf(parameters_, i, small_), out));
    values_.constants.push_back(std::move(out));
    values_.uniform.push_back(uniformOf(topology_, channels_, i, values_));
  }

  // A row of weights is a constant when it is dead, or everything that it reads is.
  void fresh(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    if (rule.recurs()) return recurrent(i, rule, out);
    const NodeValues v = valuesOf(parameters_, i, small_);
    const auto bits = v[Role::kBitDepth], bias = v[Role::kBias];
    const std::size_t rows = out.size() / std::size_t(rule.groups);
    const std::size_t reads = input(i, 0).size() / std::size_t(rule.groups);
    std::vector<float> weights;
    for (std::size_t g = 0; g < std::size_t(rule.groups); g++) {
      const std::vector<Constant> read = rule.readsNothing ? std::vector<Constant>{} : allConstant(i, g * reads, reads);
      const bool zeros = std::all_of(read.begin(), read.end(), [](const Constant& c) { return c.isZero(); });
      for (std::size_t row = g * rows; row < (g + 1) * rows; row++) {
        const double value = bias.empty() ? 0 : double(bias[row]);
        const bool dead = !bits.empty() && bits[row] <= 0;
        if (dead || (zeros && !read.empty())) out[row] = Constant{value, value};
        else if (!read.empty() && !rule.padded) out[row] = sumOf(i, rule, row, read, value, weights);
      }
    }
  }
  // A unit is zero at all times where all of its candidate is: what it reads, its bias, and its row of weights, which
  // is dead or reads zeros alone.
  void recurrent(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    const NodeValues v = valuesOf(parameters_, i, small_);
    const auto bits = v[Role::kBitDepth], bias = v[Role::kBias];
    const std::size_t first = std::size_t(rule.recurrence.candidate) * out.size();
    std::vector<bool> zero;
    for (std::size_t row = first; row < first + out.size(); row++) {
      const MaybeConstant& read = input(i, 0)[row];
      zero.push_back(read && read->isZero() && (bias.empty() || bias[row] == 0));
    }
    const bool all = std::find(zero.begin(), zero.end(), false) == zero.end();
    for (std::size_t u = 0; u < out.size(); u++)
      if (zero[u] && (all || (!bits.empty() && bits[first + u] <= 0))) out[u] = Constant{};
  }
  // Of channels first..first+count-1 that a node reads; empty: one of them is none.
  std::vector<Constant> allConstant(int i, std::size_t first, std::size_t count) const {
    std::vector<Constant> all;
    for (std::size_t c = first; c < first + count; c++) {
      const MaybeConstant& value = input(i, 0)[c];
      if (!value) return {};
      all.push_back(*value);
    }
    return all;
  }
  MaybeConstant sumOf(int i, const ChannelRule& rule, std::size_t row, const std::vector<Constant>& read, double bias,
                      std::vector<float>& weights) const {
    const Operator& op = *network_.nodes[std::size_t(i)].op;
    if (op.constant)
      return op.constant(topology_.context(network_, i), valuesOf(parameters_, i, small_), int(row), read);
    if (weights.empty()) weights = weightsOf(i);
    if (weights.empty()) return std::nullopt;
    const std::size_t area = std::size_t(rule.repeat) * std::size_t(rule.kernelArea);
    const float* w = weights.data() + row * read.size() * area;
    Constant sum{bias, bias};
    for (const Constant& c : read) {
      const double weight = sumOfWeights(rule, w);
      sum.train += c.train * weight, sum.evaluate += c.evaluate * weight, w += area;
    }
    return sum;
  }
  std::vector<float> weightsOf(int i) const {
    const Parameter* weight = parameters_.find(i, Role::kWeight);
    if (!weight) return {};
    const auto held = small_.find(weight->name);
    if (held != small_.end()) return quantizedWeights(parameters_, i, held->second, small_);
    return source_ ? quantizedWeights(parameters_, i, source_(*weight), small_) : std::vector<float>{};
  }

  void mapped(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    const Operator& op = *network_.nodes[std::size_t(i)].op;
    const NodeContext context = topology_.context(network_, i);
    const NodeValues values = valuesOf(parameters_, i, small_);
    std::vector<Constant> all, zeros;  // of the set that the channel is mixed with
    int past = 0;
    std::size_t sets = 0;
    forEachMapped(rule, [&](int o, int k, int c) {
      if (rule.mixing != ChannelRule::Mixing::kNone && c == past) {
        const int count = rule.mixed.empty() ? int(input(i, 0).size()) : rule.mixed[sets++];
        all = allConstant(i, std::size_t(c), std::size_t(count)), past += count;
        const bool none = rule.mixing == ChannelRule::Mixing::kLayerNorm &&
                          sums_.addUpToZero(topology_.inputs[std::size_t(i)][0], c, past, rule.ofExamples);
        zeros.assign(none ? std::size_t(count) : 0, Constant{});
      }
      MaybeConstant in = input(i, k)[std::size_t(c)];
      if (!in && rule.normalises && rule.ofExamples && values_.areUniform(topology_.inputs[std::size_t(i)], {{k, c}}))
        in = Constant{};
      if (!in || (rule.varies && !in->isZero())) return;
      std::span<const Constant> read = all.empty() ? std::span<const Constant>(&*in, 1) : all;
      // Where the mean is zero, a zero comes out as it does among zeros.
      if (all.empty() && in->isZero() && !zeros.empty()) read = zeros;
      out[std::size_t(o)] = op.constant ? op.constant(context, values, o, read) : in;
    });
  }

  // The same constant from all sources; with `varies` only zero.
  void joined(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    std::vector<bool> begun(out.size(), false);
    for (std::size_t s = 0; s < rule.sources.size(); s++)
      if (rule.sources[s].input < 0)
        out[s / std::size_t(rule.perChannel)] = Constant{}, begun[s / std::size_t(rule.perChannel)] = true;
    forEachJoined(rule, [&](int o, int k, int c) {
      const MaybeConstant& in = input(i, k)[std::size_t(c)];
      MaybeConstant& joint = out[std::size_t(o)];
      const bool same = in && joint && in->train == joint->train && in->evaluate == joint->evaluate;
      if (!begun[std::size_t(o)]) joint = rule.varies && in && !in->isZero() ? std::nullopt : in;
      else if (!same) joint = std::nullopt;
      begun[std::size_t(o)] = true;
    });
  }

  void ties(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    const Operator& op = *network_.nodes[std::size_t(i)].op;
    const NodeContext context = topology_.context(network_, i);
    const NodeValues values = valuesOf(parameters_, i, small_);
    const auto inputs = topology_.inputs[std::size_t(i)].size();
    for (std::size_t c = 0; c < out.size(); c++) {
      std::vector<MaybeConstant> in;
      std::vector<Constant> all;
      for (std::size_t k = 0; k < inputs; k++) {
        const auto& of = input(i, int(k));
        in.push_back(of[of.size() == out.size() ? c : 0]);
        if (in.back()) all.push_back(*in.back());
      }
      out[c] = op.constant && all.size() == inputs ? op.constant(context, values, int(c), all) : tied(rule, in);
    }
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  const ChannelAnalysis& channels_;
  const Parameters& parameters_;
  const State& small_;
  const WeightSource& source_;
  ChannelValues values_;
  Sums sums_;
};

}  // namespace

NodeValues valuesOf(const Parameters& parameters, int node, const State& small) {
  NodeValues values;
  for (int r = 0; r < kRoles; r++) {
    const Parameter* p = parameters.find(node, Role(r));
    if (!p) continue;
    auto found = small.find(p->name);
    if (found != small.end()) values.of[r] = found->second;
  }
  return values;
}

ChannelValues channelValues(const NetworkDescription& network, const Topology& topology,
                            const ChannelAnalysis& channels, const Parameters& parameters, const State& small,
                            const WeightSource& source) {
  return Constants(network, topology, channels, parameters, small, source).take();
}

}  // namespace selfcompress
