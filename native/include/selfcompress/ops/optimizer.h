// Optimizers, one call per parameter tensor. g = clipScale * gradient.
//
//     sgd:    m = momentum * m + g + weightDecay * w       w -= lr * (nesterov ? g + weightDecay * w + momentum * m :
//     m) adam:   g += weightDecay * w (adamw instead: w -= lr * weightDecay * w first)
//             m = beta1 * m + (1-beta1) * g    v = beta2 * v + (1-beta2) * g^2
//             w -= lr * (m / (1-beta1^t)) / (sqrt(v / (1-beta2^t)) + epsilon)
//
// (as PyTorch computes them). Elements of frozen channels, those whose bitDepth is <= 0, are left as they are, moments
// too.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class Optimizer { kSgd, kAdam, kAdamW };

struct OptimizerStep {
  Optimizer kind = Optimizer::kAdam;
  std::int64_t count = 0;  // elements of the tensor
  float* parameter = nullptr;
  const float* gradient = nullptr;
  float* moment1 = nullptr;             // momentum, or Adam's m
  float* moment2 = nullptr;             // Adam's v; nullptr for SGD
  const float* learningRate = nullptr;  // one float in device memory
  const double* stepNumber = nullptr;   // t, counted from 1, one double in device memory
  const float* clipScale = nullptr;     // one float in device memory, or nullptr: 1
  float momentum = 0;
  bool nesterov = false;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f, weightDecay = 0;
  const float* frozenBitDepth = nullptr;  // [count / perChannel]: channels with b <= 0 are frozen; or nullptr
  std::int64_t perChannel = 1;
};

// Exponential moving average of parameters, after the step with number t (counted from 1):
//
//     d = min(decay, (1 + t) / (10 + t))      average = average + (1 - d) (parameter - average)
//
// (the decay rises as that of TensorFlow's ExponentialMovingAverage, so that short trainings soon forget their start),
// and exactly 0 where the parameter is: a channel that died, and what DecayDead brought to 0, is so in the average at
// once.
struct AverageParameters {
  std::int64_t count = 0;
  float decay = 0;
  const double* stepNumber = nullptr;  // t, one double in device memory
  const float* parameter = nullptr;    // [count]
  float* average = nullptr;            // [count]
};

// sum of squares of a gradient, added in double to *sum in an order that depends on count alone.
struct SumOfSquares {
  std::int64_t count = 0;
  const float* values = nullptr;
  double* sum = nullptr;
};
// scale = min(1, maxNorm / (sqrt(sum) + 1e-6)); norm = sqrt(sum); *sum is set to zero for the next step. NaN norm:
// scale is NaN.
struct ClipScale {
  double* sum = nullptr;
  float maxNorm = 0;
  float* scale = nullptr;
  float* norm = nullptr;
};

// After the step, for the bit depths of all layers in one piece: b = min(max(b, least), most), and exactly 0 where that
// is not above 0 (a dead channel). A NaN stays what it is.
struct ClampBitDepth {
  std::int64_t count = 0;
  const float* least = nullptr;  // [count]; above 0 for channels that may not die, such as those of the output
  const float* most = nullptr;   // [count]; at most 24, float's significand
  float* bitDepth = nullptr;     // [count]
};

// A family is the set of layers whose channels are tied at the same index; it is never emptied. After ClampBitDepth:
// a class of channels (one index of a family) is alive when all members of one of its sets have a bit depth above 0.
// Of a family without a living class the one with the largest bit depth before the step stays (of a set its smallest
// member counts; only classes that were alive then, the first of equals), and the members of the last class alive have
// at least 1 bit.
//
// Everything is device memory. Classes of family f: familyStart[f] <= c < familyStart[f + 1]; sets of class c, and
// members of set s, likewise; a member is an index into bitDepth.
struct KeepFamilies {
  int families = 0;
  const std::int32_t *familyStart = nullptr, *classStart = nullptr, *setStart = nullptr, *member = nullptr;
  const float* before = nullptr;  // bit depths before the step
  float* bitDepth = nullptr;
};

// Optimizing bit depth and range instead of bit depth and exponent. With rho = e + b (the range of a channel ends at
// 2^(rho - 1)), a falling bit depth makes the steps of the quantizer coarser instead of clipping weights:
//
//     dL/db at fixed rho = dL/db - dL/de          dL/drho = dL/de          e = rho - b
//
// RangeGradients turns gradBitDepth into the former and remembers b; after the optimizer has updated b by its gradient
// and e as if it were rho, KeepRange subtracts the change of b from e. Dead channels are left alone.
struct RangeGradients {
  int channels = 0;
  const float* bitDepth = nullptr;
  const float* gradExponent = nullptr;  // nullptr: only remembers the bit depths
  float* gradBitDepth = nullptr;
  float* previousBitDepth = nullptr;  // [channels], written
};
struct KeepRange {
  int channels = 0;
  const float* previousBitDepth = nullptr;
  const float* bitDepth = nullptr;
  float* exponent = nullptr;
};

// Bias of dead channels and shift of norms behind them are driven to zero so that the channel can be removed:
// value *= 1 - rate for channels that are dead in `state`, and exactly 0 once below 1e-6 in magnitude.
// With running statistics given (a norm), a dead channel's runningMean is treated in the same way.
struct DecayDead {
  int channels = 0;
  const std::int32_t* state = nullptr;  // ChannelState of the layer's output
  float rate = 0.05f;
  float* value = nullptr;        // may be nullptr
  float* runningMean = nullptr;  // may be nullptr
};

}  // namespace selfcompress
