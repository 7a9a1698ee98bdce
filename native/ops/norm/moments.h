// Moments of one channel of a tensor, in two passes.
#pragma once

#include "selfcompress/ops/moments.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

inline ChannelMoments momentsOf(const float* lanes, Shape shape, int batch, int channel) {
  const double count = double(batch) * shape.pixels();
  auto x = [&](int n, int p) { return double(lanes[laneOffset(shape, n, channel, 0, p)]); };
  ChannelMoments m;
  for (int n = 0; n < batch; n++)
    for (int p = 0; p < shape.pixels(); p++) m.mean += x(n, p) / count;
  for (int n = 0; n < batch; n++)
    for (int p = 0; p < shape.pixels(); p++) m.variance += (x(n, p) - m.mean) * (x(n, p) - m.mean) / count;
  return m;
}

}  // namespace selfcompress
