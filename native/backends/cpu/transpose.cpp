// What a transposed convolution needs beside the convolution that it is made of.
#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {

void CpuBackend::run(const ChannelBias& a) {
  const int channels = a.shape.channels, pixels = a.shape.pixels();
  parallelFor(std::int64_t(blocksOf(a.batch)) * channels, [&](std::int64_t plane) {
    const int c = int(plane % channels);
    const std::int32_t state = a.state ? a.state[c] : std::int32_t(kLive);
    if (state != kZero)
      sequences_.addBias(a.data + plane * pixels * kLanes, pixels, a.bias[c], a.relu, state == kConstant);
  });
}

void CpuBackend::run(const ChannelBiasGradient& a) {
  parallelFor(a.shape.channels, [&](std::int64_t c) {
    const std::int64_t pixels = a.shape.pixels();
    double sum = 0;
    for (int n = 0; n < blocksOf(a.batch) && (!a.state || a.state[c] == kLive); n++)
      sum += sequences_.sumPlane(a.gradOutput + (std::int64_t(n) * a.shape.channels + c) * pixels * kLanes, pixels,
                                 std::min(kLanes, a.batch - n * kLanes));
    a.gradBias[c] = float(sum);
  });
}

void CpuBackend::run(const PermuteWeights& a) {
  const std::int64_t taps = a.taps;
  parallelFor(std::int64_t(a.groups) * a.columns, [&](std::int64_t i) {
    const std::int64_t group = i / a.columns, column = i % a.columns;
    float* to = a.target + i * a.rows * taps;
    const float* from = a.source + (group * a.rows * a.columns + column) * taps;
    for (int r = 0; r < a.rows; r++, to += taps, from += a.columns * taps)
      for (std::int64_t t = 0; t < taps; t++) to[t] = from[t];
  });
}

}  // namespace selfcompress::cpu
