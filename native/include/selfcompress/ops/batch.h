// From a data set in plain memory to a batch in the lanes layout, augmented on the way; and the plain <-> lanes
// conversions.
#pragma once

#include "selfcompress/ops/augmentation.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

// lanes[i,c,h,w] = (raw - mean[c]) * invStd[c], raw = image indices[i] of the data set (uint8 values are divided by
// 255). Augmented: raw values change colour, the image is moved and cut, normalised, and mixed with the next one of the
// batch, to which the same was done. With `colour` images have 1 or 3 channels; contrast is about the mean of the grey
// values of the whole image.
struct GatherImages {
  Shape shape;
  int batch = 0;
  const std::uint8_t* bytes = nullptr;    // [count][C][H][W], or
  const float* floats = nullptr;          // the same as float; exactly one of the two is given
  const std::int32_t* indices = nullptr;  // [batch]; -1: an image of zeros (after normalisation)
  const float* mean = nullptr;            // [C]
  const float* invStd = nullptr;          // [C]
  Augmentation augmentation;
  const StepCounter* counter = nullptr;  // may be nullptr without augmentation
  float* output = nullptr;               // lanes; padding lanes are zero
};

// plain NCHW [batch][C][H][W] <-> lanes. ToLanes zeroes padding lanes.
struct ToLanes {
  Shape shape;
  int batch = 0;
  const float* plain = nullptr;
  float* lanes = nullptr;
};
struct FromLanes {
  Shape shape;
  int batch = 0;
  const float* lanes = nullptr;
  float* plain = nullptr;
};

}  // namespace selfcompress
