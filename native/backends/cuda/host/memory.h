// The model's memory: every allocation of device memory is known, every access is checked: inside the allocation,
// aligned, not freed, ordered with the accesses of other threads; shared memory is written before it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "cuda/host/threads.h"

namespace selfcompress::cuda::host {

// The latest accesses to four bytes.
struct Word {
  Access write, read;
};

struct Allocation {
  unsigned char* data = nullptr;
  std::size_t bytes = 0;
  Word* words = nullptr;  // one for each four bytes
  bool freed = false;
};

inline constexpr std::uint32_t kPoison = 0xffc0dead;  // a NaN, and an unlikely integer
void fillWithPoison(void*, std::size_t bytes);

// Device memory, 256-byte aligned, with guards on both sides that find writes past its ends; zeroed, or poison.
void* allocateDevice(std::size_t bytes, bool zeroed);
void releaseDevice(void*);  // throws KernelFault if a guard was overwritten
// The allocation that has this address in it or in its guards; nullptr: no device memory.
const Allocation* findAllocation(const void*);
// The same for a pointer that the current thread is about to use: a fault if it is host memory or freed.
const Allocation& allocationOf(const void*);
// A fault, named `what`, unless all of the range is within one living allocation.
void checkRange(const char* what, const void* device, std::size_t bytes);

// ---- accesses by the current thread, `me` ----
struct Bounds {
  const unsigned char* begin = nullptr;
  std::size_t bytes = 0;
  Word* words = nullptr;
};
[[noreturn]] void outOfBounds(bool shared, const Bounds&, const void* at, std::int64_t index, std::size_t elementBytes,
                              std::int64_t count);
[[noreturn]] void misaligned(bool shared, std::int64_t index, std::size_t bytes);
void slowRead(Word&, const Access& me, bool shared);
void slowWrite(Word&, const Access& me, bool shared, bool sameValue);
void noteAtomic(Word&, const Access& me, bool shared, bool exact);  // !exact: the sum depends on the order
void noteUnknown(Word&, const Access& me);
void noteCopyBegins(Word&, const Access& me);
void noteCopyEnds(Word&, const Access& me);

template <bool kShared>
inline void noteRead(Word& w, const Access& me) {
  bool ordered = kShared ? w.write.epoch == me.epoch && (w.write.phase < me.phase || w.write.who == me.who)
                         : w.write.epoch != me.epoch;
  if (ordered && (w.read == me || (w.read.who == kMany && w.read.epoch == me.epoch && w.read.phase == me.phase)) &&
      !(w.write.who & kPending))
    return;
  slowRead(w, me, kShared);
}
template <bool kShared>
inline const Access& me() {
  return kShared ? current->inShared : current->inGlobal;
}
template <bool kShared, class T>
inline T load(const T* at, Word* words) {
  for (std::size_t k = 0; k < (sizeof(T) + 3) / 4; k++) noteRead<kShared>(words[k], me<kShared>());
  return *at;
}
template <bool kShared, class T>
inline void store(T* at, Word* words, const T& value) {
  const Access& a = me<kShared>();
  if constexpr (sizeof(T) % 4 == 0) {
    bool same = std::memcmp(at, &value, sizeof(T)) == 0;
    for (std::size_t k = 0; k < sizeof(T) / 4; k++) slowWrite(words[k], a, kShared, same);
  } else {
    noteUnknown(words[0], a);
  }
  *at = value;
}

// What `array[i]` gives: a read where a value is needed, a write where it is assigned to. It cannot be kept: write
// `float x = array[i]`, not `auto`. A structure is read and written as a whole.
template <class T, bool kShared>
class Element {
 public:
  Element(T* at, Word* words) : at_(at), words_(words) {}
  Element(const Element&) = default;
  operator T() const&& { return load<kShared>(at_, words_); }
  T operator=(T value) const&& {
    store<kShared>(at_, words_, value);
    return value;
  }
  T operator=(const Element& other) const&& { return std::move(*this) = load<kShared>(other.at_, other.words_); }
  template <class V>
  T operator+=(V v) const&& {
    return set(T(get() + v));
  }
  template <class V>
  T operator-=(V v) const&& {
    return set(T(get() - v));
  }
  template <class V>
  T operator*=(V v) const&& {
    return set(T(get() * v));
  }
  template <class V>
  T operator/=(V v) const&& {
    return set(T(get() / v));
  }
  template <class V>
  T operator|=(V v) const&& {
    return set(T(get() | v));
  }
  template <class V>
  T operator&=(V v) const&& {
    return set(T(get() & v));
  }
  template <class V>
  T operator^=(V v) const&& {
    return set(T(get() ^ v));
  }
  T operator++() const&& { return set(T(get() + 1)); }
  T operator--() const&& { return set(T(get() - 1)); }
  T operator++(int) const&& {
    T before = get();
    set(T(before + 1));
    return before;
  }

 private:
  T get() const {
    T value = load<kShared>(at_, words_);
    tick();  // another thread may come between the read and the write
    return value;
  }
  T set(T value) const {
    store<kShared>(at_, words_, value);
    return value;
  }
  T* at_;
  Word* words_;
};

// Told of every access of the current thread to shared memory, if set: for tests of how kernels use the banks.
inline void (*sharedTrace)(std::size_t byteOffset, std::size_t bytes) = nullptr;

template <class T, bool kShared>
class Range {
 public:
  Range(T* data, const Bounds& bounds) : data_(data), bounds_(bounds) {}

  decltype(auto) operator[](std::int64_t i) const {
    T* at = checked(i, 1);
    if constexpr (std::is_const_v<T>) {
      return std::remove_const_t<T>(load<kShared>(const_cast<std::remove_const_t<T>*>(at), words(at)));
    } else {
      return Element<T, kShared>(at, words(at));
    }
  }
  float4 load4(std::int64_t i) const {
    static_assert(sizeof(T) == 4);
    return load<kShared>(reinterpret_cast<const float4*>(aligned16(i)), words(data_ + i));
  }
  void store4(std::int64_t i, float4 v) const {
    static_assert(sizeof(T) == 4);
    store<kShared>(reinterpret_cast<float4*>(aligned16(i)), words(data_ + i), v);
  }
  // The bare pointer to element i, for atomicAdd and ptx.h.
  T* at(std::int64_t i, int count = 1) const { return checked(i, count); }

 protected:
  T* checked(std::int64_t i, std::int64_t count) const {
    tick();
    std::uintptr_t address = reinterpret_cast<std::uintptr_t>(data_) + std::uintptr_t(i) * sizeof(T);
    std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(bounds_.begin);
    std::size_t wanted = std::size_t(count) * sizeof(T);
    if (offset > bounds_.bytes || bounds_.bytes - offset < wanted) [[unlikely]]
      outOfBounds(kShared, bounds_, data_, i, sizeof(T), count);
    if (address % alignof(T) != 0) [[unlikely]]
      misaligned(kShared, i, alignof(T));
    if constexpr (kShared)
      if (sharedTrace) [[unlikely]]
        sharedTrace(address - reinterpret_cast<std::uintptr_t>(current->block->shared), wanted);
    return reinterpret_cast<T*>(address);
  }
  T* aligned16(std::int64_t i) const {
    T* at = checked(i, 4);
    if (reinterpret_cast<std::uintptr_t>(at) % 16 != 0) [[unlikely]]
      misaligned(kShared, i, 16);
    return at;
  }
  Word* words(const void* at) const {
    return bounds_.words + ((static_cast<const unsigned char*>(at) - bounds_.begin) >> 2);
  }

  T* data_;
  Bounds bounds_;
};

// The words of the block's shared memory that starts at `at`.
Word* sharedWords(const void* at);

}  // namespace selfcompress::cuda::host
