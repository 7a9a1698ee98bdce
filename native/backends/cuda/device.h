// What a kernel may use, the same text for a GPU and for the host: compiled by nvcc it is CUDA, compiled by a C++
// compiler with SELFCOMPRESS_CUDA_HOST it is the model of CUDA's execution in host/, which checks what a GPU does not.
//
// Rules for kernels:
// - Memory is reached through Global<T> (`global(pointer)`) and Shared<T> (`sharedArray<T>(byteOffset, count)`), never
//   through raw pointers: on the host both check bounds, and shared memory starts as poison. `array[i]` is read into a
//   variable of its type, not `auto`, and a structure as a whole: `array[i].field` is not.
// - All shared memory is dynamic; its size is given at the launch.
// - Launches go through `launch`, asynchronous copies and tensor cores through ptx.h.
// - Only these intrinsics: __syncthreads, __syncthreads_or, __syncwarp, __shfl_sync, __shfl_xor_sync, __shfl_down_sync,
//   __ballot_sync, __any_sync, atomicAdd (int, unsigned, unsigned long long, float, double) and <cmath>'s functions.
// - Results may not depend on the order in which threads or blocks run.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(SELFCOMPRESS_CUDA_HOST)
#include "cuda/host/execution.h"
#else
#include <cuda_runtime.h>
#endif

namespace selfcompress::cuda {

// The stream that a backend queues its work on, with what belongs to it. Defined in runtime.h.
class Stream;

// Scratch memory of the stream, for results between two launches of one operation (the next operation may use it
// again). 256-byte aligned, not zeroed. Throws std::length_error above kScratchBytes.
inline constexpr std::size_t kScratchBytes = std::size_t(32) << 20;
void* scratch(Stream&, std::size_t bytes);
// Properties of the stream's device that launch configurations may depend on.
struct DeviceLimits {
  int multiprocessors = 1;
  int computeCapability = 75;                  // 10 * major + minor
  std::size_t sharedBytesPerBlock = 48 << 10;  // dynamic, with opt-in
};
const DeviceLimits& limits(const Stream&);

#if !defined(SELFCOMPRESS_CUDA_HOST)

template <class T>
class Global {
 public:
  __host__ __device__ explicit Global(T* data) : data_(data) {}
  __device__ T& operator[](std::int64_t i) const { return data_[i]; }
  __device__ Global operator+(std::int64_t n) const { return Global(data_ + n); }
  __device__ explicit operator bool() const { return data_ != nullptr; }
  // Four floats with one 128-bit access; i is a multiple of 4 and the base 16-byte aligned.
  __device__ float4 load4(std::int64_t i) const { return *reinterpret_cast<const float4*>(data_ + i); }
  // In assembly: nvcc may cut an assignment into four stores of 32 bits.
  __device__ void store4(std::int64_t i, float4 v) const {
    asm volatile("st.global.v4.f32 [%0], {%1,%2,%3,%4};\n" ::"l"(__cvta_generic_to_global(data_ + i)), "f"(v.x),
                 "f"(v.y), "f"(v.z), "f"(v.w)
                 : "memory");
  }
  // The bare pointer to element i, for atomicAdd and ptx.h; checked for `count` elements on the host.
  __device__ T* at(std::int64_t i, int = 1) const { return data_ + i; }

 private:
  T* data_;
};

extern __shared__ __align__(128) unsigned char dynamicShared[];

template <class T>
class Shared {
 public:
  __device__ Shared(T* data, int) : data_(data) {}
  __device__ T& operator[](int i) const { return data_[i]; }
  __device__ Shared operator+(int n) const { return Shared(data_ + n, 0); }
  __device__ float4 load4(int i) const { return *reinterpret_cast<const float4*>(data_ + i); }
  __device__ void store4(int i, float4 v) const { *reinterpret_cast<float4*>(data_ + i) = v; }
  __device__ T* at(int i, int = 1) const { return data_ + i; }

 private:
  T* data_;
};
template <class T>
__device__ inline Shared<T> sharedArray(int byteOffset, int count) {
  return Shared<T>(reinterpret_cast<T*>(dynamicShared + byteOffset), count);
}

// Queues a launch; a failure is an exception that names the operation.
void launchRaw(Stream&, const char* operation, const void* kernel, dim3 grid, dim3 block, std::size_t sharedBytes,
               void** arguments);

template <class... Parameters, class... Arguments>
void launch(Stream& stream, const char* operation, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t sharedBytes, const Arguments&... arguments) {
  [&](Parameters... copies) {
    void* pointers[] = {&copies...};
    launchRaw(stream, operation, reinterpret_cast<const void*>(kernel), grid, block, sharedBytes, pointers);
  }(arguments...);
}

#endif

template <class T>
__device__ inline Global<T> global(T* pointer) {
  return Global<T>(pointer);
}

}  // namespace selfcompress::cuda
