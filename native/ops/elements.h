// How the reference goes over the elements of a tensor in lanes.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

inline bool isZeroChannel(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }
inline bool isDeadChannel(const std::int32_t* state, int channel) { return state && state[channel] != kLive; }

// Images of a batch with the padding lanes.
inline int lanesOfBatch(int batch) { return blocksOf(batch) * kLanes; }

// Whether the element at an offset belongs to no image of the batch.
inline bool isPadding(std::size_t offset, Shape shape, int batch) {
  return int(offset / (std::size_t(shape.elements()) * kLanes)) * kLanes + int(offset % kLanes) >= batch;
}

// visit(offset, channel) for every element of the channels that are not kZero, padding lanes included.
template <class Visit>
void forElements(Shape shape, int batch, const std::int32_t* state, Visit visit) {
  for (int n = 0; n < lanesOfBatch(batch); n++)
    for (int c = 0; c < shape.channels; c++)
      for (int p = 0; p < shape.pixels() && !isZeroChannel(state, c); p++) visit(laneOffset(shape, n, c, 0, p), c);
}

}  // namespace selfcompress
