// Steps that are queued as a whole, once they were recorded.
#pragma once

#include <functional>
#include <map>
#include <tuple>

#include "selfcompress/backend.h"

namespace selfcompress {

// What a step depends on that is fixed when it is recorded; everything else lies in device memory.
struct StepKey {
  int slot = 0, batch = 0;
  bool bytes = false, targets = false;  // what the data set has
  Augmentation augmentation;
  auto fields() const {
    const auto& [shift, flip, cutout, rotate, scale, colour, mixup, cutmix] = augmentation;
    return std::tuple(slot, batch, bytes, targets, shift, flip, cutout, rotate, scale, colour, mixup, cutmix);
  }
  bool operator<(const StepKey& other) const { return fields() < other.fields(); }
};

class RecordedSteps {
 public:
  explicit RecordedSteps(Backend& backend, bool enabled) : backend_(backend), enabled_(enabled) {}

  // Queues the operations of a step. The first step of a kind runs as it is: a device may have to load its kernels,
  // which a recording may not do; the second one is recorded, and from then on they are replayed.
  void run(const StepKey&, const std::function<void()>& queueOperations);
  std::int64_t replays() const { return replays_; }

 private:
  static constexpr std::size_t kMost = 32;  // kinds; with more of them it starts anew
  struct Step {
    bool ran = false;
    std::unique_ptr<Recording> recording;
  };
  std::unique_ptr<Recording> record(const std::function<void()>& queueOperations);

  Backend& backend_;
  bool enabled_;
  std::map<StepKey, Step> steps_;
  std::int64_t replays_ = 0;
};

}  // namespace selfcompress
