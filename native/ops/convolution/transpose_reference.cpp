// What a transposed convolution needs beside the convolution that it is made of.
#include "reference/reference_backend.h"

namespace selfcompress {

void ReferenceBackend::run(const ChannelBias& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int c = 0; c < a.shape.channels; c++)
      for (int p = 0; p < a.shape.pixels() && (!a.state || a.state[c] != kZero); p++) {
        float& to = a.data[laneOffset(a.shape, n, c, 0, p)];
        const float v = a.state && a.state[c] == kConstant ? a.bias[c] : to + a.bias[c];
        to = a.relu && v < 0 ? 0.0f : v;
      }
}

void ReferenceBackend::run(const ChannelBiasGradient& a) {
  for (int c = 0; c < a.shape.channels; c++) {
    double sum = 0;
    for (int n = 0; n < a.batch && (!a.state || a.state[c] == kLive); n++)
      for (int p = 0; p < a.shape.pixels(); p++) sum += double(a.gradOutput[laneOffset(a.shape, n, c, 0, p)]);
    a.gradBias[c] = float(sum);
  }
}

void ReferenceBackend::run(const PermuteWeights& a) {
  for (std::int64_t g = 0; g < a.groups; g++)
    for (std::int64_t r = 0; r < a.rows; r++)
      for (std::int64_t c = 0; c < a.columns; c++)
        for (std::int64_t t = 0; t < a.taps; t++)
          a.target[((g * a.columns + c) * a.rows + r) * a.taps + t] =
              a.source[((g * a.rows + r) * a.columns + c) * a.taps + t];
}

}  // namespace selfcompress
