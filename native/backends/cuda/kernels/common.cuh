// What the kernels of this folder share: the index of a thread's float4 in a tensor of activations, sums over a warp
// and over a block in a fixed order, and sizes of grids.
//
// In the lanes layout a pixel of 16 images is 64 bytes, four float4s, so a tensor of activations is always a whole
// number of float4s. Element-wise kernels give one to each thread: neighbouring threads read neighbouring 16 bytes.
#pragma once

#include <stdexcept>

#include "cuda/kernels.h"

namespace selfcompress::cuda {

inline constexpr int kThreads = 256;              // of a block, where nothing else is said
inline constexpr int kWarps = kThreads / 32;      //
inline constexpr int kPixelVectors = kLanes / 4;  // float4s of a pixel
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Blocks that `items` take; kernels index items with 32 bits.
inline unsigned blocksFor(std::int64_t items, int perBlock = kThreads) {
  if (items >= std::int64_t(1) << 32) throw std::length_error("CUDA: a tensor of more than 64 GiB");
  return unsigned((items + perBlock - 1) / perBlock);
}

// Planes (one channel of one block of images) as float4s.
struct Planes {
  unsigned channels = 1, perPlane = 1, total = 0;
};
inline Planes planesOf(Shape shape, int batch) {
  std::int64_t perPlane = std::int64_t(shape.pixels()) * kPixelVectors,
               total = perPlane * shape.channels * blocksOf(batch);
  blocksFor(total);
  return {unsigned(shape.channels), unsigned(perPlane), unsigned(total)};
}
__device__ inline unsigned channelOf(const Planes& planes, unsigned vector) {
  return vector / planes.perPlane % planes.channels;
}

__device__ inline unsigned threadInGrid() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline bool isZero(const std::int32_t* state, unsigned channel) {
  return state && global(state)[channel] == kZero;
}
// max(x, 0) that leaves NaN a NaN.
__device__ inline float relu(float x) { return x < 0 ? 0.0f : x; }

template <class F>
__device__ inline float4 map(float4 a, F f) {
  return float4{f(a.x), f(a.y), f(a.z), f(a.w)};
}
template <class F>
__device__ inline float4 map(float4 a, float4 b, F f) {
  return float4{f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)};
}
__device__ inline float sumOf(float4 v) { return (v.x + v.y) + (v.z + v.w); }
// Element j keeps its value for j < count, the others become 0.
__device__ inline float4 firstOf(float4 v, int count) {
  return float4{count > 0 ? v.x : 0.0f, count > 1 ? v.y : 0.0f, count > 2 ? v.z : 0.0f, count > 3 ? v.w : 0.0f};
}

// Every lane gets the sum over the warp.
template <class T>
__device__ inline T warpSum(T value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// Every thread gets the sums over the block: of T within a warp, of double over the warps in ascending order. All
// threads of a block of whole warps call it; `partial` is kCount doubles for each warp and not used before or after
// without a barrier in between.
template <int kCount, class T>
__device__ inline void blockSums(const T (&values)[kCount], Shared<double> partial, double (&sums)[kCount]) {
  for (int k = 0; k < kCount; k++) {
    T sum = warpSum(values[k]);
    if (threadIdx.x % 32 == 0) partial[int(threadIdx.x / 32) * kCount + k] = double(sum);
  }
  __syncthreads();
  for (int k = 0; k < kCount; k++) sums[k] = 0;
  for (int warp = 0; warp < int(blockDim.x / 32); warp++)
    for (int k = 0; k < kCount; k++) sums[k] += partial[warp * kCount + k];
}
__host__ __device__ inline constexpr std::size_t blockSumBytes(int count) {
  return std::size_t(kWarps) * count * sizeof(double);
}

}  // namespace selfcompress::cuda
