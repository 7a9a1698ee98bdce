// A channel's constants of the quantizer (ops/quantize.h), for the kernels that quantize and those that count codes.
#pragma once

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {

inline constexpr double kLn2 = 0.693147180559945309417232;

struct Range {
  float inverse, scale, low, high, clipSlope;
};
inline constexpr int kRangeBytes = 4 * sizeof(double);
// Powers of two in double precision, one each by three threads. All threads of the block call it.
__device__ inline Range channelRange(float bitDepth, float exponent) {
  Shared<double> powers = sharedArray<double>(0, 3);
  if (threadIdx.x < 3) {
    double e = double(exponent), b = bitDepth > 0 ? double(bitDepth) : 0.0;
    powers[int(threadIdx.x)] = exp2(threadIdx.x == 0 ? b - 1 : threadIdx.x == 1 ? e : -e);
  }
  __syncthreads();
  double half = powers[0], scale = powers[1];
  return {float(powers[2]), float(scale), float(-half), float(half - 1), float(kLn2 * scale * half)};
}
// NaN stays NaN.
__device__ inline float clip(float u, const Range& r) { return u < r.low ? r.low : u > r.high ? r.high : u; }

}  // namespace selfcompress::cuda
