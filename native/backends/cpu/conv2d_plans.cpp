#include "cpu/conv2d_plans.h"

#include <algorithm>

#include "cpu/threads.h"

namespace selfcompress::cpu {
namespace {

// More than the convolutions of a step of any network we know, in training and in evaluation; the one that was not used
// for longest makes room. Plans of live channels that are no longer met are dropped after so many calls.
constexpr std::size_t kMostPlans = 2048;
constexpr std::uint64_t kForgetAfter = 16 * kMostPlans;

int countOf(ChannelList list, int channels) { return list.index ? *list.count : channels; }

bool isList(const std::vector<int>& known, ChannelList list, int channels) {
  int count = countOf(list, channels);
  if (int(known.size()) != count) return false;
  return !list.index || std::equal(known.begin(), known.end(), list.index);
}

std::vector<int> toVector(ChannelList list, int channels) {
  std::vector<int> result;
  for (int i = 0; i < countOf(list, channels); i++) result.push_back(list.index ? list.index[i] : i);
  return result;
}

}  // namespace

ConvPlans::Entry& ConvPlans::entryOf(Kind kind, const Conv2dGeometry& g, bool pairs, int batch, int threads,
                                     ChannelList liveIn, ChannelList liveOut) {
  calls_++;
  for (Entry& e : entries_)
    if (e.kind == kind && e.geometry == g && e.pairs == pairs && e.batch == batch && e.threads == threads &&
        isList(e.liveIn, liveIn, g.inChannels) && isList(e.liveOut, liveOut, g.outChannels)) {
      e.used = calls_;
      return e;
    }
  std::erase_if(entries_, [&](const Entry& e) { return e.used + kForgetAfter < calls_; });
  Entry entry{kind, pairs, batch, threads, g, toVector(liveIn, g.inChannels), toVector(liveOut, g.outChannels),
              {},   {},    calls_};
  if (kind == Kind::kGradWeight)
    entry.weight =
        std::make_unique<WeightPlan>(makeWeightPlan(g, batch, pairs, entry.liveIn, entry.liveOut, kernels_, threads));
  else
    entry.pass = std::make_unique<PassPlan>(
        makePassPlan(g, kind == Kind::kForward, pairs, entry.liveIn, entry.liveOut, kernels_));
  if (entries_.size() < kMostPlans) return entries_.emplace_back(std::move(entry));
  auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                 [](const Entry& a, const Entry& b) { return a.used < b.used; });
  return *oldest = std::move(entry);
}

const PassPlan& ConvPlans::pass(const Conv2dGeometry& g, bool forward, bool pairs, ChannelList liveIn,
                                ChannelList liveOut) {
  return *entryOf(forward ? Kind::kForward : Kind::kGradInput, g, pairs, 0, 0, liveIn, liveOut).pass;
}

const WeightPlan& ConvPlans::weight(const Conv2dGeometry& g, int batch, bool pairs, ChannelList liveIn,
                                    ChannelList liveOut) {
  return *entryOf(Kind::kGradWeight, g, pairs, batch, threads(), liveIn, liveOut).weight;
}

}  // namespace selfcompress::cpu
