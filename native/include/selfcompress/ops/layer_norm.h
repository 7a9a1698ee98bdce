// Norms of one example, the same in training and in evaluation.
//
// Layer norm (Ba, Kiros & Hinton 2016), over the channels of every position, N being the divisor:
//
//     mean = sum_c x_c / N      var = sum_c (x_c - mean)^2 / N     y_c = (x_c - mean) / sqrt(var + epsilon) w_c + b_c
//
// RMS norm (Zhang & Sennrich 2019): mean = 0 and var = sum_c x_c^2 / N in the same formula.
//
// Group norm (Wu & He 2018): the mean and the variance over the channels of a group and all positions, N = divisor *
// positions; y as above, weight and bias per channel. Instance norm is a group norm with a group for each channel.
//
// The divisor is the number of channels (of a group) that the network had when it was made. Channels that have been
// removed since, and those whose input is kZero, were exactly zero: they count as N - live zeros in the mean and in the
// variance, and the result is that of the network before. For divisor = number of channels and all of them live, the
// equations are the usual ones.
//
// States: a kZero input channel counts as zeros and is not read; an output channel that is not kZero is written all the
// same (ops/elementwise.h, StateThroughLayerNorm). kZero outputs are not written.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

struct LayerNormForward {
  Shape shape;
  int batch = 0;
  int divisor = 0;  // N, at least 1
  bool rms = false;
  float epsilon = 1e-5f;
  const float* input = nullptr;               // lanes
  const float* weight = nullptr;              // [channels], or nullptr: 1
  const float* bias = nullptr;                // [channels], or nullptr: 0
  const std::int32_t* inputState = nullptr;   // ChannelState or nullptr
  const std::int32_t* outputState = nullptr;  // ChannelState or nullptr
  float* savedMean = nullptr;                 // lanes {1,height,width}, for backward; not written by an RMS norm.
  float* savedInvStd = nullptr;  // lanes {1,height,width}: 1 / sqrt(var + epsilon). Both nullptr: evaluation
  float* output = nullptr;       // lanes; may be `input`
};

// With g = dL/dy, r = savedInvStd, xhat = (x - mean) r and h = g w, sums over the channels whose output is live:
//
//     dx_c = r (h_c - sum h / N - xhat_c sum h xhat / N)     (RMS norm: without sum h)
//     dw_c = sum over examples and positions of g_c xhat_c   db_c = sum of g_c
//
// dw and db are 0 where the output is dead. kZero input channels of gradInput are not written; padding lanes are zero.
struct LayerNormBackward {
  Shape shape;
  int batch = 0;
  int divisor = 0;
  bool rms = false;
  const float* input = nullptr;
  const float* gradOutput = nullptr;
  const float* weight = nullptr;
  const float* savedMean = nullptr;
  const float* savedInvStd = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* gradInput = nullptr;   // lanes; may be gradOutput
  float* gradWeight = nullptr;  // [channels] or nullptr
  float* gradBias = nullptr;    // [channels] or nullptr
};

struct GroupNormForward {
  Shape shape;
  int batch = 0;
  int groups = 1;
  const std::int32_t* groupStart = nullptr;  // [groups + 1], ascending from 0 to channels: the channels of each group.
                                             // nullptr: channels / groups each
  int divisor = 0;                           // channels that every group had when the network was made
  float epsilon = 1e-5f;
  const float* input = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* savedMean = nullptr;    // lanes {groups,1,1}, or both nullptr
  float* savedInvStd = nullptr;  // lanes {groups,1,1}
  float* output = nullptr;       // lanes; may be `input`
};

// As LayerNormBackward, with sums over the channels of the group and all positions.
struct GroupNormBackward {
  Shape shape;
  int batch = 0;
  int groups = 1;
  const std::int32_t* groupStart = nullptr;
  int divisor = 0;
  const float* input = nullptr;
  const float* gradOutput = nullptr;
  const float* weight = nullptr;
  const float* savedMean = nullptr;
  const float* savedInvStd = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* gradInput = nullptr;  // may be gradOutput
  float* gradWeight = nullptr;
  float* gradBias = nullptr;
};

// First channel of a group; groupStart as above.
SELFCOMPRESS_HOST_DEVICE static inline int firstOfGroup(const std::int32_t* groupStart, int channels, int groups,
                                                        int group) {
  return groupStart ? groupStart[group] : channels / groups * group;
}

}  // namespace selfcompress
