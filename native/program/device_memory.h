// Memory of a backend that lives as long as a network.
#pragma once

#include <vector>

#include "selfcompress/backend.h"

namespace selfcompress {

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
