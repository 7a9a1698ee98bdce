// From a data set in plain memory to a batch in the lanes layout, augmented on the way; and the plain <-> lanes conversions.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

struct StepCounter {          // device memory; identifies the random numbers of one step
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

// Random choices per image are keyed by (seed, step, position in the batch), never by thread.
struct Augmentation {
  int shift = 0;        // pad with `shift` pixels of raw value 0 and crop back at a uniform offset in [-shift, shift], both axes
  bool flip = false;    // mirror left-right with probability 1/2
  int cutout = 0;       // side of a square, centred anywhere in the image (clipped at its border), set to the channel mean (0 after normalisation); 0: none
};

// lanes[i,c,h,w] = (raw - mean[c]) * invStd[c], raw = image indices[i] of the data set (uint8 values are divided by 255).
struct GatherImages {
  Shape shape;
  int batch = 0;
  const std::uint8_t* bytes = nullptr;    // [count][C][H][W], or
  const float* floats = nullptr;          // the same as float; exactly one of the two is given
  const std::int32_t* indices = nullptr;  // [batch]; -1: an image of zeros (after normalisation)
  const float* mean = nullptr;            // [C]
  const float* invStd = nullptr;          // [C]
  Augmentation augmentation;
  const StepCounter* counter = nullptr;   // may be nullptr without augmentation
  float* output = nullptr;                // lanes; padding lanes are zero
};

struct GatherLabels {
  int batch = 0;
  const std::int32_t* labels = nullptr;   // [count]
  const std::int32_t* indices = nullptr;
  std::int32_t* output = nullptr;         // [batch]
};

// plain NCHW [batch][C][H][W] <-> lanes. ToLanes zeroes padding lanes.
struct ToLanes { Shape shape; int batch = 0; const float* plain = nullptr; float* lanes = nullptr; };
struct FromLanes { Shape shape; int batch = 0; const float* lanes = nullptr; float* plain = nullptr; };

}  // namespace selfcompress
