#include "cuda/host/memory.h"

#include <atomic>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <new>

#include "cuda/host/execution.h"
#include "cuda/host/scheduler.h"

namespace selfcompress::cuda::host {
namespace {

constexpr std::size_t kGuard = 256;
// Freed memory is kept for a while, so that its use is noticed.
constexpr std::size_t kKeptBytes = std::size_t(64) << 20, kKeptCount = 4096;

struct Heap {
  std::mutex mutex;
  std::map<std::uintptr_t, Allocation> all;  // by the start of the memory, guards included
  std::deque<std::uintptr_t> freed;
  std::size_t freedBytes = 0;
};
Heap& heap() {
  static Heap* heap = new Heap;  // outlives every static object that may release memory
  return *heap;
}
std::atomic<std::uint64_t> heapVersion{1};

std::size_t wordsOf(std::size_t bytes) { return (bytes + 3) / 4; }

bool guardsIntact(const Allocation& a) {
  std::uint32_t word;
  for (std::size_t i = 0; i < kGuard; i += 4) {
    std::memcpy(&word, a.data - kGuard + i, 4);
    if (word != kPoison) return false;
    std::memcpy(&word, a.data + a.bytes + i, 4);
    if (word != kPoison) return false;
  }
  return true;
}

std::string hex(const void* p) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", p);
  return text;
}

}  // namespace

void fillWithPoison(void* memory, std::size_t bytes) {
  auto* to = static_cast<unsigned char*>(memory);
  for (std::size_t i = 0; i + 4 <= bytes; i += 4) std::memcpy(to + i, &kPoison, 4);
  for (std::size_t i = bytes / 4 * 4; i < bytes; i++) to[i] = 0xad;
}

void* allocateDevice(std::size_t bytes, bool zeroed) {
  std::size_t whole = (bytes + 2 * kGuard + 255) / 256 * 256;
  auto* memory = static_cast<unsigned char*>(std::aligned_alloc(256, whole));
  auto* words = static_cast<Word*>(std::calloc(wordsOf(bytes) + 1, sizeof(Word)));
  if (!memory || !words) {
    std::free(memory), std::free(words);
    throw std::bad_alloc();
  }
  Allocation a{memory + kGuard, bytes, words, false};
  fillWithPoison(memory, kGuard);
  fillWithPoison(a.data + bytes, kGuard);
  if (zeroed) std::memset(a.data, 0, bytes);
  else fillWithPoison(a.data, bytes);
  std::lock_guard lock(heap().mutex);
  heap().all[reinterpret_cast<std::uintptr_t>(memory)] = a;
  heapVersion++;
  return a.data;
}

void releaseDevice(void* data) {
  if (!data) return;
  Heap& h = heap();
  std::lock_guard lock(h.mutex);
  auto found = h.all.find(reinterpret_cast<std::uintptr_t>(data) - kGuard);
  if (found == h.all.end() || found->second.freed)
    throw KernelFault("release of " + hex(data) + ", which is not device memory");
  Allocation& a = found->second;
  a.freed = true;
  heapVersion++;
  std::free(a.words);
  a.words = nullptr;
  bool intact = guardsIntact(a);
  fillWithPoison(a.data, a.bytes);
  h.freed.push_back(found->first);
  h.freedBytes += a.bytes;
  while (h.freedBytes > kKeptBytes || h.freed.size() > kKeptCount) {
    auto oldest = h.all.find(h.freed.front());
    h.freed.pop_front();
    h.freedBytes -= oldest->second.bytes;
    std::free(oldest->second.data - kGuard);
    h.all.erase(oldest);
  }
  if (!intact)
    throw KernelFault("memory next to an allocation of " + std::to_string(a.bytes) + " bytes was overwritten");
}

const Allocation* findAllocation(const void* at) {
  Heap& h = heap();
  std::lock_guard lock(h.mutex);
  auto next = h.all.upper_bound(reinterpret_cast<std::uintptr_t>(at));
  if (next == h.all.begin()) return nullptr;
  const Allocation& a = std::prev(next)->second;
  return static_cast<const unsigned char*>(at) <= a.data + a.bytes + kGuard ? &a : nullptr;
}

const Allocation& allocationOf(const void* at) {
  struct Line {
    const void* at = nullptr;
    std::uint64_t version = 0;
    const Allocation* found = nullptr;
  };
  static thread_local Line lines[256];
  Line& line = lines[(reinterpret_cast<std::uintptr_t>(at) >> 2) * 0x9e3779b97f4a7c15ull >> 56];
  std::uint64_t version = heapVersion.load(std::memory_order_relaxed);
  if (line.at == at && line.version == version) return *line.found;
  const Allocation* found = findAllocation(at);
  if (!found) fault("the pointer " + hex(at) + " is not device memory");
  if (found->freed) fault("the pointer " + hex(at) + " is device memory that was released");
  line = {at, version, found};
  return *found;
}

void checkRange(const char* what, const void* device, std::size_t bytes) {
  if (!bytes) return;
  const Allocation* a = findAllocation(device);
  auto* at = static_cast<const unsigned char*>(device);
  if (!a) throw KernelFault(std::string(what) + ": " + hex(device) + " is not device memory");
  if (a->freed) throw KernelFault(std::string(what) + ": " + hex(device) + " is device memory that was released");
  if (at < a->data || bytes > a->bytes || std::size_t(at - a->data) > a->bytes - bytes)
    throw KernelFault(std::string(what) + ": " + std::to_string(bytes) + " bytes from byte " +
                      std::to_string(at - a->data) + " of an allocation of " + std::to_string(a->bytes));
}

void outOfBounds(bool shared, const Bounds& bounds, const void* at, std::int64_t index, std::size_t elementBytes,
                 std::int64_t count) {
  std::string text = count > 1 ? "elements " + std::to_string(index) + " to " + std::to_string(index + count - 1)
                               : "element " + std::to_string(index);
  if (!bounds.begin) fault(text + " of a null pointer");
  std::int64_t offset = static_cast<const unsigned char*>(at) - bounds.begin;
  std::string base = offset ? " from element " + std::to_string(offset / std::int64_t(elementBytes)) : "";
  fault(text + base + " of " + (shared ? "a shared array" : "global memory") + " of " +
        std::to_string(bounds.bytes / elementBytes) + " elements of " + std::to_string(elementBytes) + " bytes");
}

void misaligned(bool shared, std::int64_t index, std::size_t bytes) {
  fault("element " + std::to_string(index) + " of " + (shared ? "a shared array" : "global memory") +
        " is not at a multiple of " + std::to_string(bytes) + " bytes");
}

Word* sharedWords(const void* at) {
  Scheduler& s = Scheduler::ofThisThread();
  return s.sharedWords() + (static_cast<const unsigned char*>(at) - s.block().shared) / 4;
}

unsigned char* sharedBytes(std::int64_t byteOffset, std::int64_t count, std::size_t elementBytes,
                           std::size_t alignment) {
  const Block& b = *current->block;
  std::int64_t end = byteOffset + count * std::int64_t(elementBytes);
  if (byteOffset < 0 || count < 0 || end > std::int64_t(b.sharedBytes))
    fault("a shared array from byte " + std::to_string(byteOffset) + " to " + std::to_string(end) +
          ", but the launch asked for " + std::to_string(b.sharedBytes) + " bytes");
  if (byteOffset % std::int64_t(std::max(alignment, std::size_t(4))))
    fault("a shared array at byte " + std::to_string(byteOffset) + ", which is not a multiple of " +
          std::to_string(alignment));
  return b.shared + byteOffset;
}

}  // namespace selfcompress::cuda::host
