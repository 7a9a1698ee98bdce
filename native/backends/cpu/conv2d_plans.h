// The plans of a backend's convolutions, kept from step to step: a step looks them up by geometry and live channels.
#pragma once

#include <memory>
#include <vector>

#include "cpu/conv2d_weight_plan.h"

namespace selfcompress::cpu {

class ConvPlans {
 public:
  explicit ConvPlans(const Kernels& kernels) : kernels_(kernels) {}
  // Valid until the next call.
  const PassPlan& pass(const Conv2dGeometry&, bool forward, bool pairs, ChannelList liveIn, ChannelList liveOut);
  const WeightPlan& weight(const Conv2dGeometry&, int batch, bool pairs, ChannelList liveIn, ChannelList liveOut);

 private:
  enum class Kind { kForward, kGradInput, kGradWeight };
  struct Entry {
    Kind kind;
    bool pairs;
    int batch, threads;  // weight gradient only
    Conv2dGeometry geometry;
    std::vector<int> liveIn, liveOut;
    std::unique_ptr<PassPlan> pass;
    std::unique_ptr<WeightPlan> weight;
    std::uint64_t used = 0;
  };
  Entry& entryOf(Kind, const Conv2dGeometry&, bool pairs, int batch, int threads, ChannelList liveIn,
                 ChannelList liveOut);

  const Kernels& kernels_;
  std::vector<Entry> entries_;
  std::uint64_t calls_ = 0;
};

}  // namespace selfcompress::cpu
