// Weights as the kernels read them: unpacked once and kept, or anew in every run.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace selfcompress::engine {

class Panel {
 public:
  // make(float* floats) writes all of them. keep: into memory of the panel's own, once; else to `scratch`.
  template <class Make>
  const float* get(bool keep, std::int64_t floats, float* scratch, Make make) const {
    if (!keep) {
      make(scratch);
      return scratch;
    }
    std::call_once(made_, [&] {
      std::vector<float> values(static_cast<std::size_t>(floats));
      make(values.data());
      values_ = std::move(values);
      bytes_ = values_.size() * sizeof(float);
    });
    return values_.data();
  }
  std::size_t bytes() const { return bytes_; }

 private:
  mutable std::once_flag made_;
  mutable std::vector<float> values_;
  mutable std::atomic<std::size_t> bytes_{0};
};

}  // namespace selfcompress::engine
