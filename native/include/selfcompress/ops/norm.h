// Batch normalisation over images and pixels, per channel (Ioffe & Szegedy 2015; running statistics as PyTorch keeps
// them):
//
//     train:  mean = E[x]   var = E[(x-mean)^2]   y = (x - mean) / sqrt(var + epsilon) * weight + bias
//             runningMean += momentum * (mean - runningMean)
//             runningVar  += momentum * (var * m/(m-1) - runningVar)          m = batch * pixels (m = 1: no correction)
//     eval:   the same with the running statistics
//
// Channels whose state is kZero are skipped (neither read nor written); in training their running statistics move
// towards mean 0, var 0. Padding lanes take no part in the statistics, and their gradients are written as zero.
#pragma once

#include "selfcompress/ops/moments.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

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
  bool relu = false;                           // max(y, 0) applied to the result
  float* output = nullptr;                     // lanes; may be `input`
  const ChannelMoments* statistics = nullptr;  // [channels], training: those of `input`, or nullptr: taken here
};

// dx = weight * invStd * (g - mean(g) - xhat * mean(g * xhat)), dWeight = sum g * xhat, dBias = sum g, where g =
// gradOutput, masked by (reluOutput > 0) if that is given.
struct BatchNormBackward {
  Shape shape;
  int batch = 0;
  const float* input = nullptr;       // lanes, the input of forward
  const float* gradOutput = nullptr;  // lanes
  const float* weight = nullptr;      // [channels] or nullptr
  const float* savedMean = nullptr;
  const float* savedInvStd = nullptr;
  const std::int32_t* inputState =
      nullptr;  // dead input channels: gradInput is zero where written at all (kConstant: zeros, kZero: untouched)
  const std::int32_t* outputState = nullptr;  // dead output channels: dWeight = dBias = 0
  const float* reluOutput = nullptr;          // lanes or nullptr
  const float* reluInput =
      nullptr;  // lanes or nullptr: the result is multiplied by (reluInput > 0), for an input that is a ReLU's output
  float* gradInput = nullptr;   // lanes; may be gradOutput
  float* gradWeight = nullptr;  // [channels] or nullptr
  float* gradBias = nullptr;
};

}  // namespace selfcompress
