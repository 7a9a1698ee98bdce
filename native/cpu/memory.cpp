// Memory of the CPU backend: plain aligned host memory.
#include <cstdlib>
#include <cstring>
#include <new>

#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {

void* CpuBackend::allocate(std::size_t bytes) {
  std::size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (size < bytes) throw std::bad_alloc();
  void* memory = ::operator new(size ? size : kAlignment, std::align_val_t(kAlignment));
  std::memset(memory, 0, size);
  return memory;
}

void CpuBackend::release(void* memory) { ::operator delete(memory, std::align_val_t(kAlignment)); }
void CpuBackend::upload(void* device, const void* host, std::size_t bytes) { if (bytes) std::memcpy(device, host, bytes); }
void CpuBackend::download(void* host, const void* device, std::size_t bytes) { if (bytes) std::memcpy(host, device, bytes); }
void CpuBackend::zero(void* device, std::size_t bytes) { std::memset(device, 0, bytes); }

std::unique_ptr<Backend> makeBackend(Isa isa) { return std::make_unique<CpuBackend>(isa); }

}  // namespace selfcompress::cpu
