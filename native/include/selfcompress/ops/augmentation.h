// Random changes of training images. What happens to an image is decided in integers alone, so that every backend,
// compiler and processor takes the same pixels.
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
  int cutout = 0;    // side of a square, centred anywhere in the image (clipped at its border), set to the channel mean
                     // (0 after normalisation); 0: none
  float rotate = 0;  // turn about the image's centre by an angle uniform in [-rotate, rotate], degrees; at most 180
  float scale = 0;   // magnify about the centre by a factor uniform in [1 - scale, 1 + scale]; at most 0.9
};
// Functions that kernels of a higher instruction set use are static, see activation.h.
SELFCOMPRESS_HOST_DEVICE static inline bool isAffine(const Augmentation& a) { return a.rotate != 0 || a.scale != 0; }

// Places between pixels are counted in parts of a pixel, numbers near 1 in parts of 1.
constexpr int kPixelBits = 29, kOneBits = 28;
constexpr std::int64_t kOneInParts = std::int64_t(1) << kOneBits;

// What happens to the image at `position` of the batch. Without isAffine, pixel (y, x) of the result comes from
// (y + shiftY, x + shiftX) of the image, after mirroring; pixels outside have raw value 0. With it, it comes from
// `placeOf`, between the four pixels around which raw values are interpolated linearly on both axes; those outside have
// raw value 0, and those of weight 0 do not count. Pixels inside the cutout square are 0 after normalisation.
struct ImageTransform {
  int shiftY = 0, shiftX = 0;
  bool flip = false;
  int cutTop = 0, cutBottom = 0, cutLeft = 0, cutRight = 0;  // half-open; empty: no cutout
  bool isAffine = false;
  std::int64_t cosine = kOneInParts, sine = 0;  // of the angle, divided by the magnification
};

// A place in the image that is read, in parts of a pixel.
struct Place {
  std::int64_t y, x;
};
// The row or column at or before it, and how far it lies beyond: 0 <= beyond < 1, of 24 bits, exactly a float.
SELFCOMPRESS_HOST_DEVICE static inline int pixelAt(std::int64_t place) { return int(place >> kPixelBits); }
SELFCOMPRESS_HOST_DEVICE static inline float beyondPixel(std::int64_t place) {
  return float((place & ((std::int64_t(1) << kPixelBits) - 1)) >> (kPixelBits - 24)) * 0x1p-24f;
}

// The place that pixel (y, x) of the result comes from: turned and reduced about the centre, shifted, then mirrored.
SELFCOMPRESS_HOST_DEVICE static inline Place placeOf(const ImageTransform& t, Shape shape, int y, int x) {
  const std::int64_t fromY = 2 * y - (shape.height - 1), fromX = 2 * x - (shape.width - 1);  // half pixels
  Place p = {(shape.height - 1) * kOneInParts + t.cosine * fromY + t.sine * fromX + t.shiftY * (2 * kOneInParts),
             (shape.width - 1) * kOneInParts + t.cosine * fromX - t.sine * fromY + t.shiftX * (2 * kOneInParts)};
  if (t.flip) p.x = (shape.width - 1) * (2 * kOneInParts) - p.x;
  return p;
}
// From the place of a pixel to that of its right neighbour.
SELFCOMPRESS_HOST_DEVICE static inline Place stepRight(const ImageTransform& t) {
  return {2 * t.sine, t.flip ? -2 * t.cosine : 2 * t.cosine};
}

// Uniform among the integers of [-limit, limit], limit < 2^31; the number of a key.
SELFCOMPRESS_HOST_DEVICE static inline std::int64_t uniformAround(std::int64_t limit, std::uint64_t key) {
  return std::int64_t((std::uint64_t(2 * limit + 1) * (mix64(key) >> 32)) >> 32) - limit;
}

// Sets cosine and sine for an angle in parts of 1 radian, |angle| <= pi: their Taylor series at a quarter of it,
// doubled twice, and both divided by `magnification`.
SELFCOMPRESS_HOST_DEVICE static inline void turn(ImageTransform& t, std::int64_t angle, std::int64_t magnification) {
  const std::int64_t x = angle / 4, square = x * x >> kOneBits;
  std::int64_t sine = kOneInParts, cosine = kOneInParts;
  for (int i = 10; i >= 2; i -= 2) {
    sine = kOneInParts - (square * sine >> kOneBits) / (i * (i + 1));
    cosine = kOneInParts - (square * cosine >> kOneBits) / (i * (i - 1));
  }
  sine = x * sine >> kOneBits;
  for (int doubling = 0; doubling < 2; doubling++) {
    const std::int64_t both = sine * cosine >> kOneBits;
    cosine = (cosine * cosine - sine * sine) >> kOneBits;
    sine = 2 * both;
  }
  t.cosine = cosine * kOneInParts / magnification;
  t.sine = sine * kOneInParts / magnification;
}

SELFCOMPRESS_HOST_DEVICE static inline ImageTransform imageTransform(const Augmentation& a, Shape shape,
                                                                     const StepCounter* counter, int position) {
  ImageTransform t;
  if (!counter || (!a.shift && !a.flip && !a.cutout && !isAffine(a))) return t;
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
  if (isAffine(a)) {
    const double radian = 3.14159265358979323846 / 180 * double(kOneInParts);
    t.isAffine = true;
    turn(t, uniformAround(std::int64_t(double(a.rotate) * radian), key + 6),
         kOneInParts + uniformAround(std::int64_t(double(a.scale) * double(kOneInParts)), key + 7));
  }
  return t;
}

}  // namespace selfcompress
