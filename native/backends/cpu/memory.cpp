// Memory of the CPU backend: plain aligned host memory.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

constexpr std::size_t kLarge = std::size_t(256) << 20;

// From here on memory is asked for in huge pages, where the system has them on request: fewer faults when it is first
// used. Once it is, no difference was measured. Only Linux uses it.
[[maybe_unused]] constexpr std::size_t kHugePage = std::size_t(2) << 20;

struct Header {  // just before the aligned address
  void* start;
  std::size_t bytes;
  std::size_t mapped;  // bytes of a mapping of its own; 0: from the heap
};

std::atomic<std::size_t> allocatedBytes{0};

// Bytes that can still be had, and bytes that there are in all. Systems that hand out more memory than they have kill
// the process when it is used: what cannot be there is refused beforehand.
struct Available {
  std::size_t now, total;
};
Available availableBytes() {
#if defined(__linux__)
  unsigned long long free = 0, total = 0, limit = 0, used = 0;
  if (std::FILE* file = std::fopen("/proc/meminfo", "r")) {
    char line[128];
    while (std::fgets(line, sizeof line, file)) {
      std::sscanf(line, "MemTotal: %llu kB", &total);
      if (std::sscanf(line, "MemAvailable: %llu kB", &free) == 1) break;
    }
    std::fclose(file);
  }
  Available available{free ? std::size_t(free) * 1024 : SIZE_MAX, total ? std::size_t(total) * 1024 : SIZE_MAX};
  auto read = [](const char* path, unsigned long long& value) {
    std::FILE* file = std::fopen(path, "r");
    bool ok = file && std::fscanf(file, "%llu", &value) == 1;
    if (file) std::fclose(file);
    return ok;
  };
  if (read("/sys/fs/cgroup/memory.max", limit) && read("/sys/fs/cgroup/memory.current", used)) {
    std::size_t rest = std::size_t(limit > used ? limit - used : 0);
    if (rest < available.now) available.now = rest;
    if (std::size_t(limit) < available.total) available.total = std::size_t(limit);
  }
  return available;
#else
  return {SIZE_MAX, SIZE_MAX};
#endif
}

bool canBeHad(std::size_t bytes) {
  if (bytes > SIZE_MAX / 2) return false;
  if (bytes < kLarge) return true;
  Available available = availableBytes();
  return bytes <= available.now && bytes + allocatedBytes.load() <= available.total;
}

// Zeroed memory for `bytes` and a header; header.start is nullptr if it could not be had.
Header obtain(std::size_t bytes) {
  Header header{nullptr, bytes, 0};
#if defined(__linux__)
  if (bytes >= kHugePage) {
    header.mapped = (bytes + sizeof(Header) + kAlignment + kHugePage - 1) / kHugePage * kHugePage;
    void* start = mmap(nullptr, header.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return header;
    madvise(start, header.mapped, MADV_HUGEPAGE);  // a wish: without it the memory is as good, only slower
    header.start = start;
    return header;
  }
#endif
  header.start = std::calloc(1, bytes + sizeof(Header) + kAlignment);
  return header;
}

}  // namespace

// Memory is zeroed by the system where it hands out fresh pages: nothing is touched before it is used.
void* CpuBackend::allocate(std::size_t bytes) {
  if (!canBeHad(bytes)) throw std::bad_alloc();
  Header header = obtain(bytes);
  if (!header.start) throw std::bad_alloc();
  auto address = reinterpret_cast<std::uintptr_t>(header.start) + sizeof(Header);
  auto* aligned = reinterpret_cast<std::byte*>((address + kAlignment - 1) / kAlignment * kAlignment);
  std::memcpy(aligned - sizeof(Header), &header, sizeof header);
  allocatedBytes += bytes;
  return aligned;
}

void CpuBackend::release(void* memory) {
  if (!memory) return;
  Header header;
  std::memcpy(&header, static_cast<std::byte*>(memory) - sizeof(Header), sizeof header);
  allocatedBytes -= header.bytes;
#if defined(__linux__)
  if (header.mapped) {
    munmap(header.start, header.mapped);
    return;
  }
#endif
  std::free(header.start);
}

void CpuBackend::upload(void* device, const void* host, std::size_t bytes) {
  if (bytes) std::memcpy(device, host, bytes);
}
void CpuBackend::download(void* host, const void* device, std::size_t bytes) {
  if (bytes) std::memcpy(host, device, bytes);
}
void CpuBackend::zero(void* device, std::size_t bytes) { std::memset(device, 0, bytes); }

std::unique_ptr<Backend> makeBackend(Isa isa, Precision precision) {
  if (precision == Precision::kTf32)
    throw std::runtime_error(std::string("Expected a precision that the CPU has (fp32 or bf16) but received \"") +
                             precisionName(precision) + "\"");
  return std::make_unique<CpuBackend>(isa, precision);
}

}  // namespace selfcompress::cpu
