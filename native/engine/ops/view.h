// How operators that are plain loops get at elements, in both layouts with one text.
#pragma once

#include "engine/operator.h"

namespace selfcompress::engine {

// Element (channel, position) of image `lane` lies at channel * this->channel + position * this->position + lane; the
// lanes are the innermost.
struct View {
  std::int64_t channel, position;
  int lanes;
  std::int64_t at(std::int64_t c, std::int64_t p) const { return c * channel + p * position; }
};
inline View viewOf(Shape s, Layout layout) {
  if (layout == Layout::kNhwc) return {1, s.channels, 1};
  return {s.pixels() * std::int64_t(kBlock), kBlock, kBlock};
}

// visit(channel, position) for every element of an image, in the order in which they lie.
template <class Visit>
void forElements(Shape s, Layout layout, Visit visit) {
  if (layout == Layout::kNhwc) {
    for (std::int64_t p = 0; p < s.pixels(); p++)
      for (int c = 0; c < s.channels; c++) visit(c, p);
  } else {
    for (int c = 0; c < s.channels; c++)
      for (std::int64_t p = 0; p < s.pixels(); p++) visit(c, p);
  }
}

inline std::int64_t elementsOf(Shape s, Layout layout) { return s.elements() * imagesOf(layout); }

// prepare of a step that is made of its preparation alone.
template <class Made>
std::unique_ptr<Step> prepareStep(const Preparation& p) {
  return std::make_unique<Made>(p);
}

}  // namespace selfcompress::engine
