// A program: calls of a backend in order, over buffers that share one arena.
#pragma once

#include <functional>
#include <vector>

#include "graph/memory_plan.h"
#include "selfcompress/backend.h"

namespace selfcompress {

// Where the operations find the batch: the data set itself, or a copy on the device (batch.h).
struct BatchMemory {
  const std::uint8_t* bytes = nullptr;    // images, or
  const float* floats = nullptr;          // images
  const std::int32_t* indices = nullptr;  // device memory, [batch]: which of these images and targets
  const std::int32_t* labels = nullptr;   // device memory, [batch]: of the batch
  const float* targets = nullptr;
  const float *mean = nullptr, *invStd = nullptr;
  const void* numbers = nullptr;  // device memory: StepScalars that came with the batch, or nullptr
};

// What a call may depend on besides what was fixed when it was compiled.
struct Execution {
  Backend& backend;
  std::byte* arena;
  const MemoryPlan& memory;
  int batch;  // images, 1..the batch size of the network
  BatchMemory input = {};
  Augmentation augmentation = {};

  template <class T = float>
  T* at(BufferId id) const {
    return id == kNoBuffer ? nullptr : reinterpret_cast<T*>(arena + memory.offset(id));
  }
};

class Program {
 public:
  using Call = std::function<void(const Execution&)>;

  // A buffer for `floats` floats (or bytes); its lifetime is that of the calls which touch it.
  BufferId floats(std::int64_t count) { return memory_.add(std::size_t(count) * sizeof(float)); }
  BufferId bytes(std::size_t count) { return memory_.add(count); }
  void add(std::initializer_list<BufferId> touched, Call call) {
    for (BufferId id : touched)
      if (id != kNoBuffer) memory_.use(id, int(calls_.size()));
    calls_.push_back(std::move(call));
  }
  std::size_t size() const { return calls_.size(); }
  void place(bool share) { memory_.place(share); }
  const MemoryPlan& memory() const { return memory_; }
  void run(const Execution& execution, std::size_t from, std::size_t to) const {
    for (std::size_t i = from; i < to; i++) calls_[i](execution);
  }

 private:
  std::vector<Call> calls_;
  MemoryPlan memory_;
};

// Owns memory of a backend that lives as long as a network.
class DeviceMemory {
 public:
  explicit DeviceMemory(Backend& backend) : backend_(backend) {}
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() {
    for (void* p : owned_) backend_.release(p);
    for (void* p : staging_) backend_.releaseStaging(p);
  }
  template <class T>
  T* allocate(std::size_t count) {  // zeroed
    owned_.reserve(owned_.size() + 1);
    owned_.push_back(backend_.allocate(bytesOf<T>(count)));
    bytes_ += count * sizeof(T);
    return static_cast<T*>(owned_.back());
  }
  template <class T>
  T* allocateStaging(std::size_t count) {
    staging_.reserve(staging_.size() + 1);
    staging_.push_back(backend_.allocateStaging(bytesOf<T>(count)));
    return static_cast<T*>(staging_.back());
  }
  std::size_t bytes() const { return bytes_; }  // without staging memory, which is the host's

 private:
  template <class T>
  static std::size_t bytesOf(std::size_t count) {
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
    return count * sizeof(T);
  }
  Backend& backend_;
  std::vector<void*> owned_, staging_;
  std::size_t bytes_ = 0;
};

}  // namespace selfcompress
