#include "reference/reference_backend.h"

namespace selfcompress {

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
          int row = y + t.shiftY, column = x + t.shiftX;
          double raw = 0;
          if (row >= 0 && row < s.height && column >= 0 && column < s.width) {
            if (t.flip) column = s.width - 1 - column;
            std::size_t at = ((std::size_t(index) * s.channels + c) * s.height + row) * s.width + column;
            raw = a.bytes ? a.bytes[at] / 255.0 : double(a.floats[at]);
          }
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
