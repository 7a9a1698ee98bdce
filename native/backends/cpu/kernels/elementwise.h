// Residual addition and copies of channels, one plane at a time.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline void add(const Add& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), n = std::int64_t(a.shape.height) * a.shape.width * 16;
  const bool noA = a.stateA && a.stateA[channel] == kZero, noB = a.stateB && a.stateB[channel] == kZero;
  for (std::int64_t i = at; i < at + n; i += 16) {
    F16 v = noA ? (noB ? zero() : load(a.b + i)) : noB ? load(a.a + i) : load(a.a + i) + load(a.b + i);
    store(a.output + i, a.relu ? vmax(zero(), v) : v);
  }
}

inline void copyChannels(const CopyChannels& a, int block, int index) {
  const float* from = a.source + planeOffset(a.input, block, a.inFirst + index);
  float* to = a.target + planeOffset(a.output, block, a.outFirst + index);
  const std::int64_t n = std::int64_t(a.input.height) * a.input.width * 16;
  for (std::int64_t i = 0; i < n; i += 16) store(to + i, a.accumulate ? load(to + i) + load(from + i) : load(from + i));
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
