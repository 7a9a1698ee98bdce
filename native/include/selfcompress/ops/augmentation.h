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
  float colour = 0;  // brightness, contrast and saturation by factors uniform in [1 - colour, 1 + colour]; at most 1
  float mixup = 0;   // a of the Beta(a, a) that an image's share of its sum with another is drawn from; at most 2
  float cutmix = 0;  // the same, of the area that is left of an image where a part of another is pasted into it
};
SELFCOMPRESS_HOST_DEVICE static inline bool mixes(const Augmentation& a) { return a.mixup > 0 || a.cutmix > 0; }
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

// ---- Colour, of raw pixel values in [0, 1], before everything else: in this order brightness, contrast, saturation.

struct ColourFactors {
  float brightness = 1, contrast = 1, saturation = 1;
};
SELFCOMPRESS_HOST_DEVICE static inline ColourFactors colourFactors(const Augmentation& a, const StepCounter* counter,
                                                                   int position) {
  if (!counter || a.colour <= 0) return {};
  const std::uint64_t key =
      mix64(mix64(mix64(counter->seed) ^ counter->step) ^ (0x636f6c20ull << 32 | std::uint32_t(position)));
  const std::int64_t limit = std::int64_t(double(a.colour) * double(kOneInParts));
  auto factor = [&](std::uint64_t number) {
    return float(kOneInParts + uniformAround(limit, key + number)) * (1.0f / float(kOneInParts));
  };
  return {factor(1), factor(2), factor(3)};
}
SELFCOMPRESS_HOST_DEVICE static inline float unitClip(float x) { return x < 0 ? 0.0f : x > 1 ? 1.0f : x; }
// x moved away from `other` by a factor, or towards it.
SELFCOMPRESS_HOST_DEVICE static inline float blend(float x, float other, float factor) {
  return unitClip(factor * x + (1 - factor) * other);
}
SELFCOMPRESS_HOST_DEVICE static inline float greyOf(float red, float green, float blue) {
  return 0.2989f * red + 0.587f * green + 0.114f * blue;
}

// ---- Mixing with another image of the batch, the next one: its order is random already.

struct Mixing {
  int partner = -1;  // position in the batch; -1: none
  float share = 1;   // of the image itself, in the label too
  bool pastes = false;
  int top = 0, bottom = 0, left = 0, right = 0;  // half-open: the pixels that are the partner's, with `pastes`
};

constexpr int kLogBits = 24;
// -log2(number / 2^32) in parts of 2^-24, for 1 <= number <= 2^32.
SELFCOMPRESS_HOST_DEVICE static inline std::int64_t octavesBelow(std::uint64_t number) {
  std::int64_t octaves = 0;
  while (number < std::uint64_t(1) << 32) number <<= 1, octaves += std::int64_t(1) << kLogBits;
  std::uint64_t mantissa = number >> 1;  // 2^31 is 1
  for (int bit = kLogBits - 1; bit >= 0; bit--) {
    mantissa = mantissa * mantissa >> 31;
    if (mantissa >> 32) mantissa >>= 1, octaves -= std::int64_t(1) << bit;
  }
  return octaves;
}
// 2^-octaves in parts of 1; the Taylor series of exp for what is left of whole octaves.
SELFCOMPRESS_HOST_DEVICE static inline std::int64_t halved(std::int64_t octaves) {
  constexpr std::int64_t kLn2 = 186065279;  // in parts of 1
  const std::int64_t whole = octaves >> kLogBits, rest = octaves & ((std::int64_t(1) << kLogBits) - 1);
  if (whole > kOneBits) return 0;
  const std::int64_t x = rest * kLn2 >> kLogBits;
  std::int64_t sum = kOneInParts;
  for (int i = 12; i >= 1; i--) sum = kOneInParts - (x * sum >> kOneBits) / i;
  return sum >> whole;
}

// Beta(a, a) by Johnk's method: of U^(1/a) and V^(1/a), whose sum is at most 1, the first one's part of it; in parts of
// 2^-24. For a <= 2 at least one pair in six will do.
SELFCOMPRESS_HOST_DEVICE static inline std::int64_t betaShare(float a, std::uint64_t key) {
  const std::int64_t given = std::int64_t(double(a) * double(1 << 20)), parts = given < 1 ? 1 : given;
  for (;; key++) {
    const std::uint64_t draw = mix64(key);
    const std::int64_t x = octavesBelow((draw >> 32) + 1) * (1 << 20) / parts,
                       y = octavesBelow((draw & 0xffffffffull) + 1) * (1 << 20) / parts;
    if (halved(x) + halved(y) > kOneInParts) continue;
    const std::int64_t ratio = halved(x > y ? x - y : y - x);  // of the smaller to the larger
    return ((x > y ? ratio : kOneInParts) << kLogBits) / (kOneInParts + ratio);
  }
}

// The largest integer whose square is at most `square` < 2^52.
SELFCOMPRESS_HOST_DEVICE static inline std::int64_t wholeRoot(std::int64_t square) {
  std::int64_t root = 0;
  for (int bit = 25; bit >= 0; bit--) {
    const std::int64_t more = root | std::int64_t(1) << bit;
    if (more * more <= square) root = more;
  }
  return root;
}

// cutmix's box: as large as the share of the area that the partner is to have, centred anywhere, clipped at the border
// (Yun et al. 2019). The label's share is that of the pixels that are left.
SELFCOMPRESS_HOST_DEVICE static inline void pasteBox(Mixing& m, Shape shape, std::int64_t share, std::uint64_t key) {
  const std::int64_t one = std::int64_t(1) << kLogBits, side = wholeRoot((one - share) << kLogBits);
  const int height = int((shape.height * side + one / 2) >> kLogBits),
            width = int((shape.width * side + one / 2) >> kLogBits);
  const int top = int((mix64(key + 1) >> 32) % std::uint64_t(shape.height)) - height / 2,
            left = int((mix64(key + 2) >> 32) % std::uint64_t(shape.width)) - width / 2;
  m.pastes = true;
  m.top = top < 0 ? 0 : top, m.left = left < 0 ? 0 : left;
  m.bottom = top + height < shape.height ? top + height : shape.height;
  m.right = left + width < shape.width ? left + width : shape.width;
  const std::int64_t all = std::int64_t(shape.height) * shape.width,
                     pasted = std::int64_t(m.bottom - m.top) * (m.right - m.left);
  m.share = float(((all - pasted) << kLogBits) / all) * 0x1p-24f;
}

// What the image at `position` of a batch is mixed with; with both kinds each image gets one of them, by chance.
SELFCOMPRESS_HOST_DEVICE static inline Mixing mixingOf(const Augmentation& a, Shape shape, const StepCounter* counter,
                                                       int position, int batch) {
  Mixing m;
  if (!counter || !mixes(a) || batch < 2) return m;
  const std::uint64_t key =
      mix64(mix64(mix64(counter->seed) ^ counter->step) ^ (0x6d697820ull << 32 | std::uint32_t(position)));
  const bool pastes = a.cutmix > 0 && (a.mixup <= 0 || mix64(key + 3) >> 63);
  const std::int64_t share = betaShare(pastes ? a.cutmix : a.mixup, mix64(key + 4));
  m.partner = position + 1 < batch ? position + 1 : 0;
  m.share = float(share) * 0x1p-24f;
  if (pastes) pasteBox(m, shape, share, key);
  return m;
}
// Whether a pixel is the partner's alone.
SELFCOMPRESS_HOST_DEVICE static inline bool isPasted(const Mixing& m, int y, int x) {
  return y >= m.top && y < m.bottom && x >= m.left && x < m.right;
}
// A pixel of the result, of the image's own value and the partner's.
SELFCOMPRESS_HOST_DEVICE static inline float mixed(const Mixing& m, float own, float partner, int y, int x) {
  if (m.pastes) return isPasted(m, y, x) ? partner : own;
  return m.share * own + (1 - m.share) * partner;
}

}  // namespace selfcompress
