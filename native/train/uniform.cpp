#include "train/uniform.h"

#include <algorithm>

namespace selfcompress {
namespace {

class Rules {
 public:
  Rules(const Topology& topology, const ChannelRule& rule, int i, const ChannelValues& values)
      : rule_(rule),
        values_(values),
        inputs_(topology.inputs[std::size_t(i)]),
        first_(values.uniform[std::size_t(inputs_[0])]),
        out(std::size_t(topology.axes[std::size_t(i) + 1].channels), false) {
    switch (rule.kind) {
      case ChannelRule::Kind::kMap:
        mapped();
        break;
      case ChannelRule::Kind::kJoin:
        if (rule.perChannel == 1 && !rule.varies)
          forEachJoined(rule, [&](int o, int k, int c) { out[std::size_t(o)] = at(k, c); });
        break;
      case ChannelRule::Kind::kFresh:
        fresh();
        break;
      case ChannelRule::Kind::kSum:
      case ChannelRule::Kind::kProduct:
        tied();
        break;
    }
  }

 private:
  bool at(int k, int c) const { return values_.uniform[std::size_t(inputs_[std::size_t(k)])][std::size_t(c)]; }
  bool allOfFirst(int first, int past) const {
    return std::find(first_.begin() + first, first_.begin() + past, false) == first_.begin() + past;
  }

  void mapped() {
    forEachMapped(rule_, [&](int o, int k, int c) { out[std::size_t(o)] = !rule_.varies && at(k, c); });
    if (rule_.mixing != ChannelRule::Mixing::kNone && !rule_.ofExamples)
      forEachMixed(rule_, int(out.size()), [&](int first, int past) {
        if (!allOfFirst(first, past)) std::fill(out.begin() + first, out.begin() + past, false);
      });
    if (!rule_.averages) return;
    // Sums that come to the same for all of `b` make equal shares, those of the same `a` the same at every position.
    std::vector<bool> equal(out.size(), true);
    for (const ChannelRule::Contraction& sum : rule_.contractions)
      if (!values_.areUniform(inputs_, sum.a) && !values_.areUniform(inputs_, sum.b))
        for (int c : sum.uses) equal[std::size_t(c)] = false;
    for (std::size_t c = 0; c < out.size(); c++) out[c] = out[c] || equal[c];
  }
  void fresh() {
    if (rule_.recurs() || rule_.readsNothing || rule_.padded) return;
    const int rows = int(out.size()) / rule_.groups, reads = int(first_.size()) / rule_.groups;
    for (int g = 0; g < rule_.groups; g++)
      std::fill_n(out.begin() + g * rows, rows, allOfFirst(g * reads, (g + 1) * reads));
  }
  void tied() {
    for (std::size_t c = 0; c < out.size(); c++)
      out[c] = std::all_of(inputs_.begin(), inputs_.end(), [&](int t) {
        const std::vector<bool>& in = values_.uniform[std::size_t(t)];
        return in[in.size() == out.size() ? c : 0];
      });
  }

  const ChannelRule& rule_;
  const ChannelValues& values_;
  const std::vector<int>& inputs_;
  const std::vector<bool>& first_;  // input

 public:
  std::vector<bool> out;
};

}  // namespace

std::vector<bool> uniformOf(const Topology& topology, const ChannelAnalysis& channels, int i,
                            const ChannelValues& values) {
  std::vector<bool> out = Rules(topology, channels.rule(i), i, values).out;
  const std::size_t t = std::size_t(i) + 1;
  for (std::size_t c = 0; c < out.size(); c++)
    out[c] = out[c] || topology.shapes[t].pixels() == 1 || values.constants[t][c].has_value();
  return out;
}

}  // namespace selfcompress
