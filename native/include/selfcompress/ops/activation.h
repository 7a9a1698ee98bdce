// Element-wise functions of one tensor, with two scalars alpha and beta where the table names them:
//
//     relu         max(x, 0)                          hardSigmoid  clip(alpha x + beta, 0, 1)     (PyTorch: 1/6, 1/2)
//     gelu         x * Phi(x), Phi the normal         hardSwish    x * clip(x / 6 + 1/2, 0, 1)
//                  distribution function (erf form)   leakyRelu    x > 0 ? x : alpha x
//     geluTanh     x / 2 * (1 + tanh(sqrt(2/pi)       clip         min(max(x, alpha), beta)
//                  * (x + 0.044715 x^3)))             elu          x > 0 ? x : alpha (exp(x) - 1)
//     silu         x / (1 + exp(-x))                  softplus     log(1 + exp(x))
//     sigmoid      1 / (1 + exp(-x))                  affine       alpha x + beta
//     tanh, exp, log, sqrt, abs, square (x^2), reciprocal (1/x)
//
// Where a function has a corner, its derivative there is that of PyTorch: 0 for relu, clip (as of relu6), hardSigmoid
// and abs, alpha for leakyRelu and elu, x / 3 + 1/2 for hardSwish. Square roots and logarithms are taken of whatever
// the input holds: NaN below 0. Padding lanes of the result, and of its gradient, are written as zero: a logarithm of
// what they hold need not be finite.
//
// And dropout: y = x * keep / (1 - p), keep drawn per element from a counter-based generator keyed by (seed, step,
// site, n, c, h, w): the same whatever the number of threads.
#pragma once

#include <cmath>

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class Activation {
  kRelu,
  kGelu,
  kSilu,
  kGeluTanh,
  kSigmoid,
  kTanh,
  kHardSigmoid,
  kHardSwish,
  kLeakyRelu,
  kClip,
  kElu,
  kSoftplus,
  kExp,
  kLog,
  kSqrt,
  kAbs,
  kSquare,
  kReciprocal,
  kAffine,
};

// f(0): what a channel that is exactly zero becomes. A function with f(0) != 0 makes a constant channel of it.
static inline float activationOfZero(Activation kind, float alpha, float beta) {
  switch (kind) {
    case Activation::kSigmoid:
      return 0.5f;
    case Activation::kHardSigmoid:
      return beta < 0 ? 0.0f : beta > 1 ? 1.0f : beta;
    case Activation::kClip:
      return 0 < alpha ? alpha : 0 > beta ? beta : 0.0f;
    case Activation::kSoftplus:
      return 0.69314718056f;
    case Activation::kExp:
      return 1;
    case Activation::kLog:
      return -HUGE_VALF;
    case Activation::kReciprocal:
      return HUGE_VALF;
    case Activation::kAffine:
      return beta;
    default:
      return 0;
  }
}

struct ActivationForward {
  Activation kind = Activation::kRelu;
  Shape shape;
  int batch = 0;
  const float* input = nullptr;
  const std::int32_t* state = nullptr;  // ChannelState of the input or nullptr; kZero channels are not read, and where
                                        // f(0) is not 0 they are filled with it, else not written
  float* output = nullptr;              // may be `input`
  float alpha = 0, beta = 0;
};

struct ActivationBackward {
  Activation kind = Activation::kRelu;
  Shape shape;
  int batch = 0;
  const float* input = nullptr;  // of forward; for relu either the input or the output serves
  const float* gradOutput = nullptr;
  const std::int32_t* state = nullptr;  // kZero channels are skipped
  float* gradInput = nullptr;           // may be gradOutput
  float alpha = 0, beta = 0;
};

// PReLU: y = x > 0 ? x : slope * x, slope learned per channel, or one for all (He et al. 2015).
struct PReluForward {
  Shape shape;
  int batch = 0;
  const float* input = nullptr;
  const float* slope = nullptr;         // [channels], or [1] if `shared`
  bool shared = false;                  // one slope for all channels
  const std::int32_t* state = nullptr;  // ChannelState or nullptr; kZero channels are skipped
  float* output = nullptr;              // may be `input`
};
// dx = g * (x > 0 ? 1 : slope), dSlope = sum over images and pixels of g * x where x <= 0; 0 for dead channels.
struct PReluBackward {
  Shape shape;
  int batch = 0;
  const float* input = nullptr;
  const float* gradOutput = nullptr;
  const float* slope = nullptr;
  bool shared = false;
  const std::int32_t* state = nullptr;
  float* gradInput = nullptr;  // may be gradOutput; kZero channels are not written
  float* gradSlope = nullptr;  // as slope
};

struct StepCounter;  // backend.h

// Forward and backward are the same operation: multiply by the mask.
struct Dropout {
  Shape shape;
  int batch = 0;
  float probability = 0;   // of dropping, in [0, 1)
  std::uint32_t site = 0;  // which dropout layer of the network
  const StepCounter* counter = nullptr;
  const float* input = nullptr;
  const std::int32_t* state = nullptr;
  float* output = nullptr;  // may be `input`
};

// The generator: element `offset` (in floats, of the lanes layout) is kept when
// uniformFrom(mix64(dropoutKey(...) + offset)) >= probability. Functions that kernels of a higher instruction set use
// too have internal linkage, so that every file keeps its own copy.
SELFCOMPRESS_HOST_DEVICE static inline std::uint64_t mix64(std::uint64_t x) {  // splitmix64 (Steele, Lea & Flood 2014)
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
SELFCOMPRESS_HOST_DEVICE static inline float uniformFrom(std::uint64_t bits) {  // [0, 1)
  return float(bits >> 40) * 0x1p-24f;
}
SELFCOMPRESS_HOST_DEVICE static inline std::uint64_t dropoutKey(std::uint64_t seed, std::uint64_t step,
                                                                std::uint32_t site) {
  return mix64(mix64(mix64(seed) ^ step) ^ (0x64726f70ull << 32 | site));
}

}  // namespace selfcompress
