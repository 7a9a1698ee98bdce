// One block of a batch: 16 images of the data set, augmented, normalised and laid out in lanes.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

template <class T>
inline void gatherImage(const GatherImages& a, const T* image, const ImageTransform& t, float factor, float* lane) {
  const int height = a.shape.height, width = a.shape.width;
  for (int c = 0; c < a.shape.channels; c++) {
    const float scale = factor * a.invStd[c], shift = -a.mean[c] * a.invStd[c];
    const T* plane = image + std::int64_t(c) * height * width;
    for (int y = 0; y < height; y++) {
      const int row = y + t.shiftY;
      const bool rowInside = row >= 0 && row < height;
      for (int x = 0; x < width; x++, lane += 16) {
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

template <class T>
inline void gatherTurned(const GatherImages& a, const T* image, const ImageTransform& t, float factor, float* lane) {
  const int height = a.shape.height, width = a.shape.width;
  const std::int64_t area = std::int64_t(height) * width;
  const Place step = stepRight(t);
  for (int y = 0; y < height; y++) {
    Place place = placeOf(t, a.shape, y, 0);
    for (int x = 0; x < width; x++, lane += 16, place.y += step.y, place.x += step.x) {
      const bool cut = y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight;
      const Corners corners = cornersOf(place, height, width);
      for (int c = 0; c < a.shape.channels; c++) {
        const float scale = factor * a.invStd[c], shift = -a.mean[c] * a.invStd[c];
        lane[c * area * 16] = cut ? 0.0f : interpolated(image + c * area, corners) * scale + shift;
      }
    }
  }
}

template <class T>
inline void gatherAugmented(const GatherImages& a, const T* image, const ImageTransform& t, float factor, float* lane) {
  if (t.isAffine) gatherTurned(a, image, t, factor, lane);
  else gatherImage(a, image, t, factor, lane);
}

inline void gatherImages(const GatherImages& a, int block) {
  const std::int64_t elements = std::int64_t(a.shape.channels) * a.shape.height * a.shape.width;
  float* out = a.output + block * elements * 16;
  for (int i = 0; i < 16; i++) {
    const int position = block * 16 + i;
    const std::int32_t index = position < a.batch ? a.indices[position] : -1;
    if (index < 0) {
      for (std::int64_t p = 0; p < elements; p++) out[p * 16 + i] = 0.0f;
      continue;
    }
    const ImageTransform t = imageTransform(a.augmentation, a.shape, a.counter, position);
    if (a.bytes) gatherAugmented(a, a.bytes + index * elements, t, 1.0f / 255.0f, out + i);
    else gatherAugmented(a, a.floats + index * elements, t, 1.0f, out + i);
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
