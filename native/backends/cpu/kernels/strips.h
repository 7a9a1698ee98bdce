// Some positions side by side, all channels: a strip of each channel's plane. Channels lie a plane apart, often a power
// of two, and would drive one another out of the caches between two passes; so the first pass copies the strips to
// memory of its thread, and the next ones read them there.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct Strips {
  const float* first = nullptr;
  std::int64_t stride = 0;  // floats from one channel to the next
  float* copies = nullptr;  // where the first pass puts them, or nullptr: they lie side by side as they are
  std::int64_t copied = 0;  // floats from one copy to the next
  // What the passes after the first one read.
  const float* again(int channel) const { return copies ? copies + channel * copied : first + channel * stride; }
};
// room: floats for channels * count vectors, or nullptr: no copies.
inline Strips stripsOf(const float* tensor, Shape shape, int block, int position, int count, float* room) {
  Strips s;
  s.stride = pixelsOf(shape) * 16;
  s.first = tensor + planeOffset(shape, block, 0) + position * std::int64_t(16);
  s.copies = count == pixelsOf(shape) ? nullptr : room;
  s.copied = count * std::int64_t(16);
  return s;
}
// Of the second tensor.
inline float* secondRoom(float* room, Shape shape, int count) {
  return room ? room + shape.channels * std::int64_t(count) * 16 : nullptr;
}
constexpr int kStripsAhead = 4;  // each strip starts on a page of its own, which no prefetcher follows
inline F16 firstRead(const Strips& s, int channel, int j) {
  const float* from = s.first + channel * s.stride + j * 16;
  const F16 v = load(from);
  if (s.copies) prefetch(from + kStripsAhead * s.stride);
  if (s.copies) store(s.copies + channel * s.copied + j * 16, v);
  return v;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
