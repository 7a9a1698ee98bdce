#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

double rawPixel(const GatherImages& a, int index, int c, int row, int column) {
  const Shape s = a.shape;
  if (row < 0 || row >= s.height || column < 0 || column >= s.width) return 0;
  const std::size_t at = ((std::size_t(index) * s.channels + c) * s.height + row) * s.width + column;
  return a.bytes ? a.bytes[at] / 255.0 : double(a.floats[at]);
}

// Raw value at a place between pixels.
double interpolated(const GatherImages& a, int index, int c, Place place) {
  double sum = 0;
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      const double y = beyondPixel(place.y), x = beyondPixel(place.x), weight = (i ? y : 1 - y) * (j ? x : 1 - x);
      if (weight != 0) sum += weight * rawPixel(a, index, c, pixelAt(place.y) + i, pixelAt(place.x) + j);
    }
  return sum;
}

}  // namespace

void ReferenceBackend::run(const GatherImages& a) {
  const Shape s = a.shape;
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++) {
    const int index = n < a.batch ? a.indices[n] : -1;
    const ImageTransform t = imageTransform(a.augmentation, s, a.counter, n);
    for (int c = 0; c < s.channels; c++)
      for (int y = 0; y < s.height; y++)
        for (int x = 0; x < s.width; x++) {
          float& out = a.output[laneOffset(s, n, c, y, x)];
          out = 0;
          bool cut = y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight;
          if (index < 0 || cut) continue;
          const int column = x + t.shiftX;
          double raw = t.isAffine ? interpolated(a, index, c, placeOf(t, s, y, x))
                                  : rawPixel(a, index, c, y + t.shiftY, t.flip ? s.width - 1 - column : column);
          out = float((raw - double(a.mean[c])) * double(a.invStd[c]));
        }
  }
}

void ReferenceBackend::run(const ToLanes& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int i = 0; i < int(a.shape.elements()); i++)
      a.lanes[laneOffset({int(a.shape.elements()), 1, 1}, n, i, 0, 0)] =
          n < a.batch ? a.plain[std::size_t(n) * a.shape.elements() + i] : 0.0f;
}

void ReferenceBackend::run(const FromLanes& a) {
  for (int n = 0; n < a.batch; n++)
    for (int i = 0; i < int(a.shape.elements()); i++)
      a.plain[std::size_t(n) * a.shape.elements() + i] =
          a.lanes[laneOffset({int(a.shape.elements()), 1, 1}, n, i, 0, 0)];
}

}  // namespace selfcompress
