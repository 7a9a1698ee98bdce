// Softmax of some lines side by side: 16 images by up to kLines lines.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// Where the elements of the lines lie.
struct Lines {
  std::int64_t first, element, line;  // floats: of the first element, from one element and from one line to the next
  int length, count;
};
inline Lines linesOf(Shape s, SoftmaxAxis axis, int block, int first, int count) {
  const std::int64_t pixels = pixelsOf(s), base = block * s.channels * pixels * 16;
  if (axis == SoftmaxAxis::kChannels) return {base + first * std::int64_t(16), pixels * 16, 16, s.channels, count};
  return {base + first * std::int64_t(s.width) * 16, 16, s.width * std::int64_t(16), s.width, count};
}

inline void softmaxForwardLines(const SoftmaxForward& a, const Lines& l) {
  F16 top[kLines], all[kLines], part[kLines];
  for (int j = 0; j < l.count; j++) top[j] = minusInfinity(), all[j] = zero();
  for (int i = 0; i < l.length; i++)
    for (int j = 0; j < l.count; j++) top[j] = vmax(top[j], load(a.input + l.first + i * l.element + j * l.line));
  for (int i = 0; i < l.length;) {
    const int end = i + 64 < l.length ? i + 64 : l.length;
    for (int j = 0; j < l.count; j++) part[j] = zero();
    for (; i < end; i++)
      for (int j = 0; j < l.count; j++) {
        const std::int64_t at = l.first + i * l.element + j * l.line;
        const F16 e = vexp(load(a.input + at) - top[j]);
        part[j] = part[j] + e;
        if (!a.logarithm) store(a.output + at, e);
      }
    for (int j = 0; j < l.count; j++) all[j] = all[j] + part[j];
  }
  for (int j = 0; j < l.count; j++) all[j] = a.logarithm ? vlog(all[j]) : set(1.0f) / all[j];
  for (int i = 0; i < l.length; i++)
    for (int j = 0; j < l.count; j++) {
      const std::int64_t at = l.first + i * l.element + j * l.line;
      store(a.output + at, a.logarithm ? load(a.input + at) - top[j] - all[j] : load(a.output + at) * all[j]);
    }
}

inline void softmaxBackwardLines(const SoftmaxBackward& a, const Lines& l, M16 used) {
  F16 all[kLines], part[kLines];
  for (int j = 0; j < l.count; j++) all[j] = zero();
  for (int i = 0; i < l.length;) {
    const int end = i + 64 < l.length ? i + 64 : l.length;
    for (int j = 0; j < l.count; j++) part[j] = zero();
    for (; i < end; i++)
      for (int j = 0; j < l.count; j++) {
        const std::int64_t at = l.first + i * l.element + j * l.line;
        const F16 g = load(a.gradOutput + at);
        part[j] = a.logarithm ? part[j] + g : fma(g, load(a.output + at), part[j]);
      }
    for (int j = 0; j < l.count; j++) all[j] = all[j] + part[j];
  }
  for (int i = 0; i < l.length; i++)
    for (int j = 0; j < l.count; j++) {
      const std::int64_t at = l.first + i * l.element + j * l.line;
      const F16 g = load(a.gradOutput + at), y = load(a.output + at);
      store(a.gradInput + at, select(used, a.logarithm ? g - vexp(y) * all[j] : y * (g - all[j]), zero()));
    }
}

inline void softmaxForward(const SoftmaxForward& a, int block, int first, int count) {
  if (a.axis == SoftmaxAxis::kChannels) return softmaxForwardLines(a, linesOf(a.shape, a.axis, block, first, count));
  for (int i = first; i < first + count; i++) softmaxForwardLines(a, linesOf(a.shape, a.axis, block, i, 1));
}
inline void softmaxBackward(const SoftmaxBackward& a, int block, int first, int count) {
  const M16 used = lanesBelow(imagesOf(a.batch, block));
  if (a.axis == SoftmaxAxis::kChannels)
    return softmaxBackwardLines(a, linesOf(a.shape, a.axis, block, first, count), used);
  for (int i = first; i < first + count; i++) softmaxBackwardLines(a, linesOf(a.shape, a.axis, block, i, 1), used);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
