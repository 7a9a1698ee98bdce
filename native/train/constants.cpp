// Which channels are the same for every example, and what they are.
#include "train/prune.h"

namespace selfcompress {
namespace {

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
            const Parameters& parameters, const State& small)
      : network_(network), topology_(topology), channels_(channels), parameters_(parameters), small_(small) {
    of.emplace_back(std::size_t(topology.axes[0].channels));
    for (int i = 0; i < int(network.nodes.size()); i++) ofNode(i);
  }
  std::vector<std::vector<MaybeConstant>> of;

 private:
  const std::vector<MaybeConstant>& input(int i, int k) const {
    return of[std::size_t(topology_.inputs[std::size_t(i)][std::size_t(k)])];
  }

  void ofNode(int i) {
    const ChannelRule& rule = channels_.rule(i);
    std::vector<MaybeConstant> out(std::size_t(topology_.axes[std::size_t(i) + 1].channels));
    if (rule.kind == ChannelRule::Kind::kFresh) fresh(i, rule, out);
    else if (rule.kind == ChannelRule::Kind::kMap) mapped(i, rule, out);
    else if (rule.kind == ChannelRule::Kind::kJoin) joined(i, rule, out);
    else ties(i, rule, out);
    of.push_back(std::move(out));
  }

  void fresh(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    const NodeValues v = valuesOf(parameters_, i, small_);
    const auto bits = v[Role::kBitDepth], bias = v[Role::kBias];
    const std::size_t count = out.size(), inChannels = input(i, 0).size();
    for (std::size_t c = 0; c < count; c++) {
      bool dead = !bits.empty() && bits[c] <= 0;
      if (rule.depthwise(int(inChannels))) {
        const MaybeConstant& read = input(i, 0)[c / (count / inChannels)];
        dead = dead || (read && read->isZero());
      }
      const double value = bias.empty() ? 0 : double(bias[c]);
      if (dead) out[c] = Constant{value, value};
    }
  }

  void mapped(int i, const ChannelRule& rule, std::vector<MaybeConstant>& out) {
    const Operator& op = *network_.nodes[std::size_t(i)].op;
    const NodeContext context = topology_.context(network_, i);
    const NodeValues values = valuesOf(parameters_, i, small_);
    forEachMapped(rule, [&](int o, int k, int c) {
      const MaybeConstant& in = input(i, k)[std::size_t(c)];
      if (!in || (rule.varies && !in->isZero())) return;
      out[std::size_t(o)] = op.constant ? op.constant(context, values, o, {&*in, 1}) : in;
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
};

}  // namespace

std::vector<std::vector<MaybeConstant>> constantsOf(const NetworkDescription& network, const Topology& topology,
                                                    const ChannelAnalysis& channels, const Parameters& parameters,
                                                    const State& small) {
  return std::move(Constants(network, topology, channels, parameters, small).of);
}

}  // namespace selfcompress
