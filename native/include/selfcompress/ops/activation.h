// Element-wise activations, for live channels.
//
//     relu: max(x, 0)     gelu: x * Phi(x), Phi the normal distribution function (erf form)     silu: x / (1 + exp(-x))
//
// and dropout: y = x * keep / (1 - p), keep drawn per element from a counter-based generator keyed by (seed, step,
// site, n, c, h, w): the same whatever the number of threads.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class Activation { kRelu, kGelu, kSilu };

struct ActivationForward {
  Activation kind = Activation::kRelu;
  Shape shape;
  int batch = 0;
  const float* input = nullptr;
  const std::int32_t* state = nullptr;  // ChannelState or nullptr; kZero channels are skipped
  float* output = nullptr;              // may be `input`
};

struct ActivationBackward {
  Activation kind = Activation::kRelu;
  Shape shape;
  int batch = 0;
  const float* input = nullptr;  // of forward; for relu either the input or the output serves
  const float* gradOutput = nullptr;
  const std::int32_t* state = nullptr;
  float* gradInput = nullptr;  // may be gradOutput
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
