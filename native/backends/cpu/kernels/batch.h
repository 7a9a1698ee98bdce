// One block of a batch: 16 images of the data set, augmented, normalised and laid out in lanes.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

template <int kStep, class T>
inline void gatherImage(const GatherImages& a, const T* image, const ImageTransform& t, float factor, float* lane) {
  const int height = a.shape.height, width = a.shape.width;
  for (int c = 0; c < a.shape.channels; c++) {
    const float scale = factor * a.invStd[c], shift = -a.mean[c] * a.invStd[c];
    const T* plane = image + std::int64_t(c) * height * width;
    for (int y = 0; y < height; y++) {
      const int row = y + t.shiftY;
      const bool rowInside = row >= 0 && row < height;
      for (int x = 0; x < width; x++, lane += kStep) {
        int column = x + t.shiftX;
        bool inside = rowInside && column >= 0 && column < width;
        if (t.flip) column = width - 1 - column;
        float raw = inside ? float(plane[row * width + column]) : 0.0f;
        bool cut = y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight;
        *lane = cut ? 0.0f : raw * scale + shift;
      }
    }
  }
}

// Between a and b; what has no weight does not count, or an infinity beside would make NaN of all.
inline float between(float a, float b, float beyond) { return beyond == 0 ? a : a * (1 - beyond) + b * beyond; }

// The four pixels around a place; -1: outside.
struct Corners {
  int at[4];
  float beyondY, beyondX;
};
inline Corners cornersOf(Place place, int height, int width) {
  const int row = pixelAt(place.y), column = pixelAt(place.x);
  Corners corners = {{-1, -1, -1, -1}, beyondPixel(place.y), beyondPixel(place.x)};
  const bool above = row >= 0 && row < height, below = row + 1 >= 0 && row + 1 < height;
  const bool left = column >= 0 && column < width, right = column + 1 >= 0 && column + 1 < width;
  const int first = row * width + column;
  if (above && left) corners.at[0] = first;
  if (above && right) corners.at[1] = first + 1;
  if (below && left) corners.at[2] = first + width;
  if (below && right) corners.at[3] = first + width + 1;
  return corners;
}

template <class T>
inline float interpolated(const T* plane, const Corners& corners) {
  float values[4];
  for (int i = 0; i < 4; i++) values[i] = corners.at[i] < 0 ? 0.0f : float(plane[corners.at[i]]);
  return between(between(values[0], values[1], corners.beyondX), between(values[2], values[3], corners.beyondX),
                 corners.beyondY);
}

template <int kStep, class T>
inline void gatherTurned(const GatherImages& a, const T* image, const ImageTransform& t, float factor, float* lane) {
  const int height = a.shape.height, width = a.shape.width;
  const std::int64_t area = std::int64_t(height) * width;
  const Place step = stepRight(t);
  for (int y = 0; y < height; y++) {
    Place place = placeOf(t, a.shape, y, 0);
    for (int x = 0; x < width; x++, lane += kStep, place.y += step.y, place.x += step.x) {
      const bool cut = y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight;
      const Corners corners = cornersOf(place, height, width);
      for (int c = 0; c < a.shape.channels; c++) {
        const float scale = factor * a.invStd[c], shift = -a.mean[c] * a.invStd[c];
        lane[c * area * kStep] = cut ? 0.0f : interpolated(image + c * area, corners) * scale + shift;
      }
    }
  }
}

template <int kStep, class T>
inline void gatherAugmented(const GatherImages& a, const T* image, const ImageTransform& t, float factor, float* lane) {
  if (t.isAffine) gatherTurned<kStep>(a, image, t, factor, lane);
  else gatherImage<kStep>(a, image, t, factor, lane);
}

// Raw values of an image of 1 or 3 channels in other colours.
template <class T>
inline void colourImage(const GatherImages& a, const T* image, const ColourFactors& f, float unit, float* to) {
  const std::int64_t pixels = std::int64_t(a.shape.height) * a.shape.width, elements = a.shape.channels * pixels;
  const float* green = to + (a.shape.channels == 3 ? pixels : 0);
  const float* blue = to + (a.shape.channels == 3 ? 2 * pixels : 0);
  const bool grey = a.shape.channels == 1;
  for (std::int64_t i = 0; i < elements; i++) to[i] = unitClip(f.brightness * (float(image[i]) * unit));
  double sum = 0;
  for (std::int64_t p = 0; p < pixels; p++) sum += double(grey ? to[p] : greyOf(to[p], green[p], blue[p]));
  const float mean = float(sum / double(pixels));
  for (std::int64_t i = 0; i < elements; i++) to[i] = blend(to[i], mean, f.contrast);
  for (std::int64_t p = 0; p < pixels && !grey; p++) {
    const float own = greyOf(to[p], green[p], blue[p]);
    for (std::int64_t i = p; i < elements; i += pixels) to[i] = blend(to[i], own, f.saturation);
  }
}

// The image at a position of the batch, which is not mixed yet; `colours` is room for one.
template <int kStep>
inline void gatherPosition(const GatherImages& a, int position, float* lane, float* colours) {
  const std::int64_t elements = std::int64_t(a.shape.channels) * a.shape.height * a.shape.width;
  const std::int32_t index = a.indices[position];
  if (index < 0) {
    for (std::int64_t p = 0; p < elements; p++) lane[p * kStep] = 0.0f;
    return;
  }
  const ImageTransform t = imageTransform(a.augmentation, a.shape, a.counter, position);
  const std::uint8_t* bytes = a.bytes ? a.bytes + index * elements : nullptr;
  const float* floats = a.bytes ? nullptr : a.floats + index * elements;
  if (a.augmentation.colour > 0 && a.counter) {
    const ColourFactors factors = colourFactors(a.augmentation, a.counter, position);
    if (bytes) colourImage(a, bytes, factors, 1.0f / 255.0f, colours);
    else colourImage(a, floats, factors, 1.0f, colours);
    bytes = nullptr, floats = colours;
  }
  if (bytes) gatherAugmented<kStep>(a, bytes, t, 1.0f / 255.0f, lane);
  else gatherAugmented<kStep>(a, floats, t, 1.0f, lane);
}

inline void mixImage(Shape shape, const Mixing& m, const float* other, float* lane) {
  for (int c = 0; c < shape.channels; c++)
    for (int y = 0; y < shape.height; y++)
      for (int x = 0; x < shape.width; x++, lane += 16, other++) *lane = mixed(m, *lane, *other, y, x);
}

// room: two images, for those that change colour or are mixed.
inline void gatherImages(const GatherImages& a, int block, float* room) {
  const std::int64_t elements = std::int64_t(a.shape.channels) * a.shape.height * a.shape.width;
  float* out = a.output + block * elements * 16;
  for (int i = 0; i < 16; i++) {
    const int position = block * 16 + i;
    if (position >= a.batch || a.indices[position] < 0) {
      for (std::int64_t p = 0; p < elements; p++) out[p * 16 + i] = 0.0f;
      continue;
    }
    gatherPosition<16>(a, position, out + i, room);
    const Mixing m = mixingOf(a.augmentation, a.shape, a.counter, position, a.batch);
    if (m.partner < 0) continue;
    gatherPosition<1>(a, m.partner, room + elements, room);
    mixImage(a.shape, m, room + elements, out + i);
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
