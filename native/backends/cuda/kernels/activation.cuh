// The activations and their gradients (ops/activation.h).
#pragma once

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {

__device__ inline float normalCdf(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }
__device__ inline float normalPdf(float x) { return 0.39894228040143268f * expf(-0.5f * x * x); }
__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ inline float sigmoidSlope(float x) {
  const float e = expf(-fabsf(x)), s = 1.0f / (1.0f + e);
  return e * s * s;
}
// min(max(x, low), high) that leaves NaN a NaN.
__device__ inline float clipped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// geluTanh is x * sigmoid(of this); beyond 30 its slope is that of x or of 0.
__device__ inline float geluTanhArgument(float x) { return x * (x * x * 0.071354816f + 1.59576912f); }
__device__ inline float geluTanhSlope(float x) {
  x = clipped(x, -30.0f, 30.0f);
  const float u = geluTanhArgument(x);
  return x * sigmoidSlope(u) * (x * x * 0.214064449f + 1.59576912f) + sigmoid(u);
}

// x * Phi(x) and x * sigmoid(x) are 0 at -infinity, where the product would be NaN.
template <Activation kKind>
__device__ inline float activated(float x, float alpha, float beta) {
  const bool lowest = x < -3.4e38f;
  if constexpr (kKind == Activation::kRelu) return relu(x);
  if constexpr (kKind == Activation::kGelu) return lowest ? 0.0f : x * normalCdf(x);
  if constexpr (kKind == Activation::kSilu) return lowest ? 0.0f : x * sigmoid(x);
  if constexpr (kKind == Activation::kGeluTanh) return lowest ? 0.0f : x * sigmoid(geluTanhArgument(x));
  if constexpr (kKind == Activation::kSigmoid) return sigmoid(x);
  if constexpr (kKind == Activation::kTanh) return tanhf(x);
  if constexpr (kKind == Activation::kHardSigmoid) return clipped(x * alpha + beta, 0, 1);
  if constexpr (kKind == Activation::kHardSwish) return x < -3 ? 0.0f : x * clipped(x * (1.0f / 6) + 0.5f, 0, 1);
  if constexpr (kKind == Activation::kLeakyRelu) return x > 0 ? x : alpha * x;
  if constexpr (kKind == Activation::kClip) return clipped(x, alpha, beta);
  if constexpr (kKind == Activation::kElu) return x > 0 ? x : alpha * expm1f(x);
  if constexpr (kKind == Activation::kSoftplus) return relu(x) + log1pf(expf(-fabsf(x)));
  if constexpr (kKind == Activation::kExp) return expf(x);
  if constexpr (kKind == Activation::kLog) return logf(x);
  if constexpr (kKind == Activation::kSqrt) return sqrtf(x);
  if constexpr (kKind == Activation::kAbs) return fabsf(x);
  if constexpr (kKind == Activation::kSquare) return x * x;
  if constexpr (kKind == Activation::kReciprocal) return 1.0f / x;
  return x * alpha + beta;  // kAffine
}
template <Activation kKind>
__device__ inline float gradientOf(float x, float g, float alpha, float beta) {
  if constexpr (kKind == Activation::kRelu) return x > 0 ? g : 0.0f;
  if constexpr (kKind == Activation::kGelu) return g * (normalCdf(x) + x * normalPdf(x));
  if constexpr (kKind == Activation::kSilu) {
    const float s = sigmoid(x);
    return g * (s * (1.0f + x * (1.0f - s)));
  }
  if constexpr (kKind == Activation::kGeluTanh) return g * geluTanhSlope(x);
  if constexpr (kKind == Activation::kSigmoid) return g * sigmoidSlope(x);
  if constexpr (kKind == Activation::kTanh) return g * 4.0f * sigmoidSlope(x + x);
  if constexpr (kKind == Activation::kHardSigmoid) {
    const float u = x * alpha + beta;
    return u > 0 && u < 1 ? g * alpha : 0.0f;
  }
  if constexpr (kKind == Activation::kHardSwish) return x < -3 ? 0.0f : x > 3 ? g : g * (x * (1.0f / 3) + 0.5f);
  if constexpr (kKind == Activation::kLeakyRelu) return x > 0 ? g : g * alpha;
  if constexpr (kKind == Activation::kClip) return x > alpha && x < beta ? g : 0.0f;
  if constexpr (kKind == Activation::kElu) return x > 0 ? g : g * alpha * expf(x);
  if constexpr (kKind == Activation::kSoftplus) return g * sigmoid(x);
  if constexpr (kKind == Activation::kExp) return g * expf(x);
  if constexpr (kKind == Activation::kLog) return g / x;
  if constexpr (kKind == Activation::kSqrt) return g * (0.5f / sqrtf(x));
  if constexpr (kKind == Activation::kAbs) return x > 0 ? g : x < 0 ? -g : x;
  if constexpr (kKind == Activation::kSquare) return g * (x + x);
  if constexpr (kKind == Activation::kReciprocal) return g * (-1.0f / (x * x));
  return g * alpha;  // kAffine
}

}  // namespace selfcompress::cuda
