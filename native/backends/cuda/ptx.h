// Asynchronous copies and tensor cores, by the names and lane layouts of the PTX manual.
//
// Fragments of a warp's mma, for lane l, group = l / 4, t = l % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k8" with
// .tf32 and "for mma.m16n8k16" with .bf16):
//
// clang-format off
//   accumulator 16x8 float      d[0],d[1]: row group, columns 2t, 2t+1        d[2],d[3]: row group + 8, the same columns
//   A 16x8 tf32                 a[0]: (group, t)  a[1]: (group+8, t)  a[2]: (group, t+4)  a[3]: (group+8, t+4)
//   B 8x8 tf32                  b[0]: (row t, column group)           b[1]: (row t+4, column group)
//   A 16x16 bf16, two a word    a[0]: (group, 2t..2t+1)  a[1]: (group+8, 2t..)  a[2]: (group, 2t+8..)  a[3]: (group+8, 2t+8..)
//   B 16x8 bf16, two a word     b[0]: (rows 2t..2t+1, column group)   b[1]: (rows 2t+8..2t+9, column group)
// clang-format on
//
// The element with the lower index is in the lower half of a word.
#pragma once

#include "cuda/device.h"

namespace selfcompress::cuda {

#if defined(SELFCOMPRESS_CUDA_HOST)
// host/ptx_host.h: the same functions, as collective operations of 32 fibers; copies happen at the wait.
}  // namespace selfcompress::cuda
#include "cuda/host/ptx_host.h"
namespace selfcompress::cuda {
#else

// 16 bytes from global to shared memory, zeros if !valid (`from` is not read then). Both 16-byte aligned.
// On compute capability 7.5 it is a plain copy.
__device__ inline void cpAsync16(void* to, const void* from, bool valid) {
#if __CUDA_ARCH__ >= 800
  unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
#else
  *static_cast<float4*>(to) = valid ? *static_cast<const float4*>(from) : float4{0, 0, 0, 0};
#endif
}
// The same through the first-level cache: for data that threads of the same multiprocessor are about to copy again.
__device__ inline void cpAsync16Cached(void* to, const void* from, bool valid) {
#if __CUDA_ARCH__ >= 800
  unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  int bytes = valid ? 16 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
#else
  cpAsync16(to, from, valid);
#endif
}
__device__ inline void cpAsyncCommit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
// Waits until at most kPending of this thread's latest groups are under way. Other threads' copies are visible only
// after a __syncthreads() that follows.
template <int kPending>
__device__ inline void cpAsyncWait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
#endif
}

// Round to nearest, ties away, to TF32 (10 bits of significand).
__device__ inline std::uint32_t toTf32(float value) {
  std::uint32_t result = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(result) : "f"(value));
#endif
  return result;
}
// Two floats, rounded to nearest even, as a word of bf16: `low` in the lower half.
__device__ inline std::uint32_t packBf16(float low, float high) {
  std::uint32_t result = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(result) : "f"(high), "f"(low));
#endif
  return result;
}
// d += A * B
__device__ inline void mmaTf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
__device__ inline void mmaBf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
#endif

}  // namespace selfcompress::cuda
