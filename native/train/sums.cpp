#include "train/sums.h"

#include <algorithm>

namespace selfcompress {
namespace {

// A longer sum, as at the end of a long chain of residual blocks, is a term of its own.
constexpr std::size_t kMostTerms = 8;

// Adds factor * from.
void addTo(Sum& sum, const Sum& from, double factor) {
  sum.constant.train += factor * from.constant.train, sum.constant.evaluate += factor * from.constant.evaluate;
  for (const auto& [term, times] : from.terms) {
    auto at = std::lower_bound(sum.terms.begin(), sum.terms.end(), term,
                               [](const auto& entry, const Sum::Term& t) { return entry.first < t; });
    if (at == sum.terms.end() || at->first != term) at = sum.terms.insert(at, {term, 0.0});
    at->second += factor * times;
    if (at->second == 0) sum.terms.erase(at);
  }
}

Sum termOf(int tensor, int channel) { return {{}, {{{tensor, channel}, 1.0}}}; }

}  // namespace

Sums::Sums(const NetworkDescription& network, const Topology& topology, const ChannelAnalysis& channels,
           const ChannelValues& known)
    : network_(network), topology_(topology), channels_(channels), known_(known), of_(1) {}

Sum Sums::of(int tensor, int channel) const {
  const auto& sums = of_[std::size_t(tensor)];
  if (!sums.empty()) return sums[std::size_t(channel)];
  if (const MaybeConstant& constant = known_.constants[std::size_t(tensor)][std::size_t(channel)])
    return {*constant, {}};
  return termOf(tensor, channel);
}

Sum Sums::mapped(int i, const NodeValues& values, int channel, const Sum& in) const {
  const ChannelRule& rule = channels_.rule(i);
  const Operator& op = *network_.nodes[std::size_t(i)].op;
  Sum out;
  if (rule.centres()) out = termOf(i + 1, channel);
  else addTo(out, in, rule.factors[0]);
  if (!op.constant) return out;
  // None where it is no number any more.
  const MaybeConstant constant = op.constant(topology_.context(network_, i), values, channel, {&in.constant, 1});
  if (!constant) return termOf(i + 1, channel);
  out.constant = *constant;
  return out;
}

Sum Sums::tied(int i, int channel) const {
  const std::vector<int>& inputs = topology_.inputs[std::size_t(i)];
  Sum sum;
  for (std::size_t k = 0; k < inputs.size(); k++) {
    const int channels = topology_.axes[std::size_t(inputs[k])].channels;
    addTo(sum, of(inputs[k], channels == topology_.axes[std::size_t(i) + 1].channels ? channel : 0),
          channels_.rule(i).factors[std::min(k, channels_.rule(i).factors.size() - 1)]);
  }
  return sum;
}

// Empty: each channel is a term of its own.
std::vector<Sum> Sums::sumsOf(int i, const NodeValues& values) const {
  const ChannelRule& rule = channels_.rule(i);
  // What makes the same constant of a constant makes the same value of what is the same at all positions.
  const bool keepsUniform = rule.kind == ChannelRule::Kind::kMap && rule.mixing == ChannelRule::Mixing::kNone &&
                            !rule.varies && !network_.nodes[std::size_t(i)].op->constant;
  const bool isSum = !rule.factors.empty() || rule.centres();
  if (!isSum && !keepsUniform) return {};
  std::vector<Sum> sums;
  for (int c = 0; c < topology_.axes[std::size_t(i) + 1].channels; c++)
    sums.push_back(rule.kind == ChannelRule::Kind::kSum ? tied(i, c) : termOf(i + 1, c));
  auto pass = [&](int o, int k, int c) {
    const int t = topology_.inputs[std::size_t(i)][std::size_t(k)];
    if (isSum) sums[std::size_t(o)] = mapped(i, values, o, of(t, c));
    else if (known_.uniform[std::size_t(t)][std::size_t(c)]) sums[std::size_t(o)] = of(t, c);
  };
  if (rule.kind == ChannelRule::Kind::kMap) forEachMapped(rule, pass);
  if (rule.kind == ChannelRule::Kind::kJoin) forEachJoined(rule, pass);
  return sums;
}

bool Sums::addUpToZero(int tensor, int first, int past, bool overPositions) const {
  Sum sum;
  for (int c = first; c < past; c++) addTo(sum, of(tensor, c), 1);
  return sum.constant.isZero() && std::all_of(sum.terms.begin(), sum.terms.end(), [&](const auto& entry) {
           const int t = entry.first.tensor;
           return overPositions && t > 0 && channels_.rule(t - 1).centres();
         });
}

std::vector<bool> Sums::add(int i, const NodeValues& values, std::vector<MaybeConstant>& out) {
  std::vector<Sum> sums = sumsOf(i, values);
  std::vector<bool> cancelled(out.size(), false);
  for (std::size_t c = 0; c < sums.size(); c++) {
    cancelled[c] = !out[c] && sums[c].terms.empty();
    if (cancelled[c]) out[c] = sums[c].constant;
    if (out[c]) sums[c] = {*out[c], {}};
    else if (sums[c].terms.size() > kMostTerms) sums[c] = termOf(i + 1, int(c));
  }
  of_.push_back(std::move(sums));
  return cancelled;
}

}  // namespace selfcompress
