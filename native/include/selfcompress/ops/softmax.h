// Softmax and its logarithm, over the channels of every position or over the last axis of positions (width):
//
//     y_i = exp(x_i - m) / sum_j exp(x_j - m), m = max_j x_j          log: y_i = x_i - m - log sum_j exp(x_j - m)
//
// Every channel is live: a channel that is zero takes its share. -infinity is a share of 0; where a whole axis is
// -infinity, or one element is NaN or +infinity, the result is NaN.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class SoftmaxAxis { kChannels, kWidth };

struct SoftmaxForward {
  Shape shape;
  int batch = 0;
  SoftmaxAxis axis = SoftmaxAxis::kChannels;
  bool logarithm = false;
  const float* input = nullptr;  // lanes
  float* output = nullptr;       // lanes; may be `input`
};

// dx_i = y_i (g_i - sum_j g_j y_j), of the logarithm: g_i - exp(y_i) sum_j g_j. Padding lanes are written as zero.
struct SoftmaxBackward {
  Shape shape;
  int batch = 0;
  SoftmaxAxis axis = SoftmaxAxis::kChannels;
  bool logarithm = false;
  const float* output = nullptr;  // of forward
  const float* gradOutput = nullptr;
  float* gradInput = nullptr;  // may be gradOutput
};

}  // namespace selfcompress
