// Where the elements of a batch of activations lie in memory: one type for training, inference and plain arrays.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class Layout {
  kNhwc,   // [image][height][width][channel]: TensorFlow's arrays, and the engine for one image
  kLanes,  // [block][channel][height][width][kLanes images]: training, and the engine for many (selfcompress/tensor.h)
  kNchw,   // [image][channel][height][width]: plain arrays
};

// Images that lie side by side, innermost.
inline int imagesOf(Layout layout) { return layout == Layout::kLanes ? kLanes : 1; }

// The value of an image, or of a block of them, as nested loops that are alike in all layouts:
// [outer][height][width][inner].
struct Planes {
  std::int64_t outer, height, width, inner;
};
inline Planes planesOf(Shape s, Layout layout) {
  if (layout == Layout::kNhwc) return {1, s.height, s.width, s.channels};
  return {s.channels, s.height, s.width, imagesOf(layout)};
}

}  // namespace selfcompress
