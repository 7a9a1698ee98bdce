// From a data set in plain memory to a batch in the lanes layout, augmented on the way; and the plain <-> lanes
// conversions.
#pragma once

#include "selfcompress/ops/activation.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

struct StepCounter {  // device memory; identifies the random numbers of one step
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

// Random choices per image are keyed by (seed, step, position in the batch), never by thread.
struct Augmentation {
  int shift =
      0;  // pad with `shift` pixels of raw value 0 and crop back at a uniform offset in [-shift, shift], both axes
  bool flip = false;  // mirror left-right with probability 1/2
  int cutout = 0;  // side of a square, centred anywhere in the image (clipped at its border), set to the channel mean
                   // (0 after normalisation); 0: none
};

// lanes[i,c,h,w] = (raw - mean[c]) * invStd[c], raw = image indices[i] of the data set (uint8 values are divided by
// 255).
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

// What happens to the image at `position` of the batch. Pixel (y, x) of the result comes from (y + shiftY, x + shiftX)
// of the image, after mirroring; pixels outside have raw value 0. Pixels inside the cutout square are 0 after
// normalisation.
struct ImageTransform {
  int shiftY = 0, shiftX = 0;
  bool flip = false;
  int cutTop = 0, cutBottom = 0, cutLeft = 0, cutRight = 0;  // half-open; empty: no cutout
};
SELFCOMPRESS_HOST_DEVICE static inline ImageTransform imageTransform(const Augmentation& a, Shape shape,
                                                                     const StepCounter* counter, int position) {
  ImageTransform t;
  if (!counter || (!a.shift && !a.flip && !a.cutout)) return t;
  std::uint64_t key =
      mix64(mix64(mix64(counter->seed) ^ counter->step) ^ (0x61756720ull << 32 | std::uint32_t(position)));
  std::uint64_t range = 2 * std::uint64_t(a.shift) + 1;
  if (a.shift) {
    t.shiftY = int((mix64(key + 1) >> 32) % range) - a.shift;
    t.shiftX = int((mix64(key + 2) >> 32) % range) - a.shift;
  }
  if (a.flip) t.flip = mix64(key + 3) >> 63;
  if (a.cutout) {
    int y = int((mix64(key + 4) >> 32) % std::uint64_t(shape.height)) - a.cutout / 2;
    int x = int((mix64(key + 5) >> 32) % std::uint64_t(shape.width)) - a.cutout / 2;
    t.cutTop = y < 0 ? 0 : y;
    t.cutLeft = x < 0 ? 0 : x;
    t.cutBottom = y + a.cutout < shape.height ? y + a.cutout : shape.height;
    t.cutRight = x + a.cutout < shape.width ? x + a.cutout : shape.width;
  }
  return t;
}

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
