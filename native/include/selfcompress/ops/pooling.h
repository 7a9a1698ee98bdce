// Max and average pooling, for live channels. Padding takes no part in a maximum; averages divide by the whole window
// (countIncludePad) or by its part inside the image. Output size as for a convolution (rounded down).
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

struct PoolGeometry {
  Shape input;
  int kernelHeight = 2, kernelWidth = 2;
  int strideH = 2, strideW = 2;
  int padH = 0, padW = 0;  // at most half the kernel
  bool countIncludePad = true;
  SELFCOMPRESS_HOST_DEVICE Shape output() const {
    return {input.channels, (input.height + 2 * padH - kernelHeight) / strideH + 1,
            (input.width + 2 * padW - kernelWidth) / strideW + 1};
  }
};

enum class Pool { kMax, kAverage };

struct PoolForward {
  Pool kind = Pool::kMax;
  PoolGeometry geometry;
  int batch = 0;
  const float* input = nullptr;
  const std::int32_t* state = nullptr;  // ChannelState or nullptr; kZero channels are skipped
  float* output = nullptr;
};

// The gradient of a maximum goes to the first pixel (in row order) of the window that holds it; a NaN counts as the
// largest.
struct PoolBackward {
  Pool kind = Pool::kMax;
  PoolGeometry geometry;
  int batch = 0;
  const float* input = nullptr;  // of forward (max only)
  const float* gradOutput = nullptr;
  const std::int32_t* state = nullptr;
  const float* reluInput =
      nullptr;  // lanes or nullptr: the result is multiplied by (reluInput > 0), for an input that is a ReLU's output
  float* gradInput = nullptr;  // every element of a live channel is written
};

}  // namespace selfcompress
