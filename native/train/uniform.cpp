#include "train/uniform.h"

#include <algorithm>

namespace selfcompress {

Uniform::Uniform(const Topology& topology, const ChannelAnalysis& channels) : topology_(topology), channels_(channels) {
  of.emplace_back(std::size_t(topology.axes[0].channels), topology.shapes[0].pixels() == 1);
}

bool Uniform::allOf(int tensor, int first, int past) const {
  for (int c = first; c < past; c++)
    if (!(*this)(tensor, c)) return false;
  return true;
}

void Uniform::mapped(int i, const ChannelRule& rule, const std::vector<std::vector<MaybeConstant>>& constants) {
  std::vector<bool>& out = of.back();
  forEachMapped(rule, [&](int o, int k, int c) {
    if (!rule.varies) out[std::size_t(o)] = (*this)(input(i, k), c);
  });
  if (rule.mixing != ChannelRule::Mixing::kNone && !rule.ofExamples) {
    int first = 0;
    const std::vector<int> sets = rule.mixed.empty() ? std::vector<int>{int(out.size())} : rule.mixed;
    for (int count : sets) {
      if (!allOf(input(i, 0), first, first + count)) std::fill_n(out.begin() + first, count, false);
      first += count;
    }
  }
  if (!rule.averages) return;
  // Sums that come to the same everywhere make equal shares.
  std::vector<bool> equal(out.size(), true);
  for (const ChannelRule::Contraction& sum : rule.contractions) {
    const bool zeros = std::all_of(sum.a.begin(), sum.a.end(), [&](const ChannelRule::Source& s) {
      const MaybeConstant& value = constants[std::size_t(input(i, s.input))][std::size_t(s.channel)];
      return value && value->isZero();
    });
    const bool same = std::all_of(sum.b.begin(), sum.b.end(),
                                  [&](const ChannelRule::Source& s) { return (*this)(input(i, s.input), s.channel); });
    if (zeros || same) continue;
    for (int c : sum.uses) equal[std::size_t(c)] = false;
  }
  for (std::size_t c = 0; c < out.size(); c++) out[c] = out[c] || equal[c];
}

void Uniform::add(int i, const std::vector<std::vector<MaybeConstant>>& constants) {
  const ChannelRule& rule = channels_.rule(i);
  const std::size_t t = std::size_t(i) + 1;
  const int count = topology_.axes[t].channels;
  of.emplace_back(std::size_t(count), false);
  std::vector<bool>& out = of.back();
  switch (rule.kind) {
    case ChannelRule::Kind::kMap:
      mapped(i, rule, constants);
      break;
    case ChannelRule::Kind::kJoin:
      if (rule.perChannel == 1 && !rule.varies)
        forEachJoined(rule, [&](int o, int k, int c) { out[std::size_t(o)] = (*this)(input(i, k), c); });
      break;
    case ChannelRule::Kind::kFresh: {
      if (rule.recurs() || rule.readsNothing || rule.padded) break;
      const int rows = count / rule.groups, reads = topology_.axes[std::size_t(input(i, 0))].channels / rule.groups;
      for (int g = 0; g < rule.groups; g++)
        std::fill_n(out.begin() + g * rows, rows, allOf(input(i, 0), g * reads, (g + 1) * reads));
      break;
    }
    case ChannelRule::Kind::kSum:
    case ChannelRule::Kind::kProduct:
      for (int c = 0; c < count; c++) {
        bool all = true;
        for (int in : topology_.inputs[std::size_t(i)])
          all = all && (*this)(in, topology_.axes[std::size_t(in)].channels == count ? c : 0);
        out[std::size_t(c)] = all;
      }
      break;
  }
  for (std::size_t c = 0; c < out.size(); c++)
    out[c] = out[c] || topology_.shapes[t].pixels() == 1 || constants[t][c].has_value();
}

}  // namespace selfcompress
