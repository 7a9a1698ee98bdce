// The host's branch of device.h: the same names, as a model of CUDA's execution that checks every access and every
// collective operation (threads.h, memory.h).
#pragma once

#include <tuple>
#include <type_traits>

#include "cuda/host/memory.h"
#include "cuda/host/threads.h"

namespace selfcompress::cuda {

class Stream;

template <class T>
class Global : public host::Range<T, false> {
  using Base = host::Range<T, false>;

 public:
  explicit Global(T* data) : Base(data, boundsOf(data)) {}
  Global operator+(std::int64_t n) const { return Global(this->data_ + n, this->bounds_); }
  explicit operator bool() const { return this->data_ != nullptr; }

 private:
  Global(T* data, const host::Bounds& bounds) : Base(data, bounds) {}
  static host::Bounds boundsOf(const void* data) {
    if (!data) return {};
    const host::Allocation& a = host::allocationOf(data);
    return {a.data, a.bytes, a.words};
  }
};

template <class T>
class Shared : public host::Range<T, true> {
  using Base = host::Range<T, true>;

 public:
  Shared(T* data, int count)
      : Base(data,
             {reinterpret_cast<const unsigned char*>(data), std::size_t(count) * sizeof(T), host::sharedWords(data)}) {}
  Shared operator+(int n) const { return Shared(this->data_ + n, this->bounds_); }

 private:
  Shared(T* data, const host::Bounds& bounds) : Base(data, bounds) {}
};

namespace host {
// Checks that the array lies in the block's shared memory and is aligned.
unsigned char* sharedBytes(std::int64_t byteOffset, std::int64_t count, std::size_t elementBytes,
                           std::size_t alignment);
void launchModel(Stream&, Launch&&);
}  // namespace host

template <class T>
inline Shared<T> sharedArray(int byteOffset, int count) {
  return Shared<T>(reinterpret_cast<T*>(host::sharedBytes(byteOffset, count, sizeof(T), alignof(T))), count);
}

template <class... Parameters, class... Arguments>
void launch(Stream& stream, const char* operation, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t sharedBytes, const Arguments&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments));
  std::tuple<std::decay_t<Parameters>...> copies(arguments...);
  host::Launch launch{operation,
                      grid,
                      block,
                      sharedBytes,
                      [kernel, copies] { std::apply(kernel, copies); },
                      {},
                      reinterpret_cast<const void*>(kernel)};
  std::apply(
      [&](const auto&... value) {
        [[maybe_unused]] auto note = [&](const auto& v) {
          if constexpr (std::is_pointer_v<std::decay_t<decltype(v)>>) launch.pointers.push_back(v);
        };
        (note(value), ...);
      },
      copies);
  host::launchModel(stream, std::move(launch));
}

}  // namespace selfcompress::cuda

// ---- collective operations, in the global namespace as in CUDA ----

inline void __syncthreads(std::source_location site = std::source_location::current()) {
  selfcompress::cuda::host::blockBarrier("__syncthreads", 0, site);
}
inline int __syncthreads_or(int predicate, std::source_location site = std::source_location::current()) {
  return selfcompress::cuda::host::blockBarrier("__syncthreads_or", predicate, site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, std::source_location site = std::source_location::current()) {
  selfcompress::cuda::host::WarpCall call{"__syncwarp", mask, nullptr, true, site};
  selfcompress::cuda::host::warpCall(call);
}

namespace selfcompress::cuda::host {

[[noreturn]] void shuffleFromAbsent(const WarpCall&, int lane);
void noteAtomicAt(const void*, std::size_t bytes, bool exact);

template <class T>
struct Shuffle : WarpCall {
  T in, out;
  int lane;  // the source, out of range: the value stays
};
template <class T>
void combineShuffle(WarpCall* const lanes[32]) {
  for (int i = 0; i < 32; i++) {
    if (!lanes[i]) continue;
    auto& me = *static_cast<Shuffle<T>*>(lanes[i]);
    if (!lanes[me.lane]) shuffleFromAbsent(*lanes[i], me.lane);
    me.out = static_cast<Shuffle<T>*>(lanes[me.lane])->in;
  }
}
// `lane` maps the caller's lane and the width to the source lane.
template <class T>
T shuffle(const char* name, unsigned mask, T value, int lane, std::source_location site) {
  static_assert(std::is_arithmetic_v<T>, "CUDA shuffles numbers");
  Shuffle<T> call{{name, mask, combineShuffle<T>, false, site}, value, value, lane};
  warpCall(call);
  return call.out;
}
inline int laneOfCaller() { return int(current->number % 32); }

struct Vote : WarpCall {
  int predicate;
  unsigned out;
};
void combineVote(WarpCall* const lanes[32]);
inline unsigned vote(const char* name, unsigned mask, int predicate, std::source_location site) {
  Vote call{{name, mask, combineVote, false, site}, predicate, 0};
  warpCall(call);
  return call.out;
}

template <class T>
T atomicAddModel(T* at, T value) {
  tick();
  noteAtomicAt(at, sizeof(T), std::is_integral_v<T>);
  T before = *at;
  *at = T(before + value);
  return before;
}

}  // namespace selfcompress::cuda::host

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              std::source_location site = std::source_location::current()) {
  namespace host = selfcompress::cuda::host;
  int lane = host::laneOfCaller();
  return host::shuffle("__shfl_sync", mask, value, (lane & ~(width - 1)) + (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int laneMask, int width = 32,
                  std::source_location site = std::source_location::current()) {
  namespace host = selfcompress::cuda::host;
  int lane = host::laneOfCaller(), from = lane ^ laneMask, last = (lane & ~(width - 1)) + width - 1;
  return host::shuffle("__shfl_xor_sync", mask, value, from <= last ? from : lane, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   std::source_location site = std::source_location::current()) {
  namespace host = selfcompress::cuda::host;
  int lane = host::laneOfCaller(), last = (lane & ~(width - 1)) + width - 1;
  return host::shuffle("__shfl_down_sync", mask, value, lane + int(delta) <= last ? lane + int(delta) : lane, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 std::source_location site = std::source_location::current()) {
  namespace host = selfcompress::cuda::host;
  int lane = host::laneOfCaller(), first = lane & ~(width - 1);
  return host::shuffle("__shfl_up_sync", mask, value, lane - int(delta) >= first ? lane - int(delta) : lane, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location site = std::source_location::current()) {
  return selfcompress::cuda::host::vote("__ballot_sync", mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, std::source_location site = std::source_location::current()) {
  return selfcompress::cuda::host::vote("__any_sync", mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, std::source_location site = std::source_location::current()) {
  return selfcompress::cuda::host::vote("__all_sync", mask, predicate, site) == mask;
}
inline int atomicAdd(int* at, int value) { return selfcompress::cuda::host::atomicAddModel(at, value); }
inline unsigned atomicAdd(unsigned* at, unsigned value) { return selfcompress::cuda::host::atomicAddModel(at, value); }
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long value) {
  return selfcompress::cuda::host::atomicAddModel(at, value);
}
inline float atomicAdd(float* at, float value) { return selfcompress::cuda::host::atomicAddModel(at, value); }
inline double atomicAdd(double* at, double value) { return selfcompress::cuda::host::atomicAddModel(at, value); }
