// Where the plane of a channel lies.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline std::int64_t planeOffset(Shape s, int block, int channel) {
  return (std::int64_t(block) * s.channels + channel) * (std::int64_t(s.height) * s.width) * 16;
}
inline std::int64_t pixelsOf(Shape s) { return std::int64_t(s.height) * s.width; }
inline bool isZeroChannel(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }
inline bool isDeadChannel(const std::int32_t* state, int channel) { return state && state[channel] != kLive; }
// Images of a block that count.
inline int imagesOf(int batch, int block) { return batch - block * 16 < 16 ? batch - block * 16 : 16; }

// Double-precision sum of `count` vectors, `stride` floats apart.
inline double sumOfVectors(const float* vectors, std::int64_t stride, std::int64_t count) {
  double all = 0;
  for (std::int64_t i = 0; i < count;) {
    const std::int64_t end = i + 16 < count ? i + 16 : count;
    F16 part = zero();
    for (; i < end; i++) part = part + load(vectors + i * stride);
    all += sumDouble(part, 16);
  }
  return all;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
