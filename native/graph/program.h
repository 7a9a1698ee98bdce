// A program: calls of a backend in order, over buffers that share one arena.
#pragma once

#include <functional>
#include <vector>

#include "graph/data_set.h"
#include "graph/memory_plan.h"
#include "selfcompress/backend.h"

namespace selfcompress {

// What a call may depend on besides what was fixed when it was compiled.
struct Execution {
  Backend& backend;
  std::byte* arena;
  const MemoryPlan& memory;
  int batch;  // images, 1..the batch size of the network
  const DataSet* data = nullptr;
  const std::int32_t* indices = nullptr;  // device memory, [batch]
  const std::int32_t* labels = nullptr;   // device memory, [batch]
  Augmentation augmentation = {};

  float* at(BufferId id) const {
    return id == kNoBuffer ? nullptr : reinterpret_cast<float*>(arena + memory.offset(id));
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
  }
  template <class T>
  T* allocate(std::size_t count) {  // zeroed
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
    owned_.reserve(owned_.size() + 1);
    owned_.push_back(backend_.allocate(count * sizeof(T)));
    bytes_ += count * sizeof(T);
    return static_cast<T*>(owned_.back());
  }
  std::size_t bytes() const { return bytes_; }

 private:
  Backend& backend_;
  std::vector<void*> owned_;
  std::size_t bytes_ = 0;
};

}  // namespace selfcompress
