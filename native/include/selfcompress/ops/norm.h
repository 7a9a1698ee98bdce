// Batch normalisation over images and pixels, per channel (Ioffe & Szegedy 2015; running statistics as PyTorch keeps
// them):
//
//     train:  mean = E[x]   var = E[(x-mean)^2]   y = (x - mean) / sqrt(var + epsilon) * weight + bias
//             runningMean += momentum * (mean - runningMean)
//             runningVar  += momentum * (var * m/(m-1) - runningVar)          m = batch * pixels (m = 1: no correction)
//     eval:   the same with the running statistics
//
// An activation behind it can be part of it, forward and backward: y becomes f(y), and backward takes the gradient of
// f(y). It computes y again from the input, to the bit as forward did, so that neither y nor f(y) is read.
//
// Channels whose state is kZero are skipped (neither read nor written); in training their running statistics move
// towards mean 0, var 0. Padding lanes take no part in the statistics, and their gradients are written as zero.
#pragma once

#include "selfcompress/ops/activation.h"
#include "selfcompress/ops/moments.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

// The activations that it applies: those with f(0) = 0, so that a channel that is exactly zero stays one, which cost
// little beside the memory that need not be moved.
#define SELFCOMPRESS_NORM_ACTIVATIONS(X) X(kRelu) X(kClip) X(kLeakyRelu) X(kHardSwish) X(kSilu)
#define SELFCOMPRESS_ALTERNATIVE(kKind) , kKind
enum class NormActivation { kNone SELFCOMPRESS_NORM_ACTIVATIONS(SELFCOMPRESS_ALTERNATIVE) };
#undef SELFCOMPRESS_ALTERNATIVE

// One of them with its scalars.
struct AppliedActivation {
  NormActivation kind = NormActivation::kNone;
  float alpha = 0, beta = 0;
};

struct BatchNormForward {
  Shape shape;
  int batch = 0;
  bool training = false;
  float epsilon = 1e-5f, momentum = 0.1f;
  const float* input = nullptr;   // lanes
  const float* weight = nullptr;  // [channels], or nullptr: 1
  const float* bias = nullptr;    // [channels], or nullptr: 0
  float* runningMean = nullptr;   // [channels]; read in eval, updated in training
  float* runningVar = nullptr;
  const std::int32_t* inputState = nullptr;    // ChannelState of the input, or nullptr: all live. A kZero or kConstant
                                               // input channel is known to be constant
  const std::int32_t* outputState = nullptr;   // ChannelState of the output; kZero outputs are not written
  float* savedMean = nullptr;                  // [channels], training: batch mean, for backward
  float* savedInvStd = nullptr;                // [channels], training: 1/sqrt(var+epsilon)
  float* savedShift = nullptr;                 // [channels] or nullptr, training: for a backward with an activation,
                                               // bias - mean * weight * invStd from a mean that is not rounded
  AppliedActivation activation = {};           // applied to the result
  float* output = nullptr;                     // lanes; may be `input`
  const ChannelMoments* statistics = nullptr;  // [channels], training: those of `input`, or nullptr: taken here
};

// dx = weight * invStd * (g - mean(g) - xhat * mean(g * xhat)), dWeight = sum g * xhat, dBias = sum g, where g =
// gradOutput * f'(xhat * weight + bias), f being the activation.
struct BatchNormBackward {
  Shape shape;
  int batch = 0;
  const float* input = nullptr;       // lanes, the input of forward
  const float* gradOutput = nullptr;  // lanes
  const float* weight = nullptr;      // [channels] or nullptr
  const float* bias = nullptr;        // [channels] or nullptr: 0; not read without an activation
  const float* savedMean = nullptr;
  const float* savedInvStd = nullptr;
  const float* savedShift = nullptr;  // of forward; not read without an activation
  const std::int32_t* inputState =
      nullptr;  // dead input channels: gradInput is zero where written at all (kConstant: zeros, kZero: untouched)
  const std::int32_t* outputState = nullptr;  // dead output channels: dWeight = dBias = 0
  AppliedActivation activation = {};          // that of forward
  const float* reluInput =
      nullptr;  // lanes or nullptr: the result is multiplied by (reluInput > 0), for an input that is a ReLU's output
  float* gradInput = nullptr;   // lanes; may be gradOutput
  float* gradWeight = nullptr;  // [channels] or nullptr
  float* gradBias = nullptr;
};

}  // namespace selfcompress
