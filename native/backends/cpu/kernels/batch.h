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
    if (a.bytes) gatherImage(a, a.bytes + index * elements, t, 1.0f / 255.0f, out + i);
    else gatherImage(a, a.floats + index * elements, t, 1.0f, out + i);
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
