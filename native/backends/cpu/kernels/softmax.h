// Softmax of some lines side by side: 16 images by up to kLines lines.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// Where the elements of the lines lie: floats from one element and from one line to the next.
struct Lines {
  std::int64_t element, line;
  int length, count;
};

// x: the strips are the elements of the axis, each of all the lines.
inline void softmaxForwardLines(bool logarithm, const Strips& x, const Lines& l, float* output, bool past) {
  F16 top[kLines], all[kLines], part[kLines];
  for (int j = 0; j < l.count; j++) top[j] = minusInfinity(), all[j] = zero();
  const std::int64_t line = x.copies ? 16 : l.line;
  for (int i = 0; i < l.length; i++)
    for (int j = 0; j < l.count; j++) {
      const F16 v = load(x.first + i * x.stride + j * l.line);
      if (x.copies) {
        prefetch(x.first + (i + kStripsAhead) * x.stride + j * 16);
        store(x.copies + i * x.copied + j * 16, v);
      }
      top[j] = vmax(top[j], v);
    }
  float* kept = x.copies ? x.copies : output;  // of exponentials
  const std::int64_t keptElement = x.copies ? x.copied : l.element;
  for (int i = 0; i < l.length;) {
    const int end = i + 64 < l.length ? i + 64 : l.length;
    for (int j = 0; j < l.count; j++) part[j] = zero();
    for (; i < end; i++) {
      const float* again = x.again(i);
      for (int j = 0; j < l.count; j++) {
        const F16 e = vexpBelow(load(again + j * line) - top[j]);
        part[j] = part[j] + e;
        if (!logarithm) store(kept + i * keptElement + j * line, e);
      }
    }
    for (int j = 0; j < l.count; j++) all[j] = all[j] + part[j];
  }
  for (int j = 0; j < l.count; j++) all[j] = logarithm ? vlog(all[j]) : set(1.0f) / all[j];
  for (int i = 0; i < l.length; i++) {
    const float* again = logarithm ? x.again(i) : kept + i * keptElement;
    for (int j = 0; j < l.count; j++) {
      const F16 v = load(again + j * line);
      storeResult(output + i * l.element + j * l.line, logarithm ? v - top[j] - all[j] : v * all[j], past);
    }
  }
}

inline void softmaxBackwardLines(bool logarithm, const Strips& y, const Strips& g, const Lines& l, M16 used,
                                 float* result, bool past) {
  F16 all[kLines], part[kLines];
  for (int j = 0; j < l.count; j++) all[j] = zero();
  const std::int64_t line = g.copies ? 16 : l.line;
  for (int i = 0; i < l.length;) {
    const int end = i + 64 < l.length ? i + 64 : l.length;
    for (int j = 0; j < l.count; j++) part[j] = zero();
    for (; i < end; i++)
      for (int j = 0; j < l.count; j++) {
        const F16 gradient = load(g.first + i * g.stride + j * l.line), v = load(y.first + i * y.stride + j * l.line);
        if (g.copies) {
          prefetch(g.first + (i + kStripsAhead) * g.stride + j * 16);
          prefetch(y.first + (i + kStripsAhead) * y.stride + j * 16);
          store(g.copies + i * g.copied + j * 16, gradient);
          store(y.copies + i * y.copied + j * 16, v);
        }
        part[j] = logarithm ? part[j] + gradient : fma(gradient, v, part[j]);
      }
    for (int j = 0; j < l.count; j++) all[j] = all[j] + part[j];
  }
  for (int i = 0; i < l.length; i++) {
    const float *gAgain = g.again(i), *yAgain = y.again(i);
    for (int j = 0; j < l.count; j++) {
      const F16 gradient = load(gAgain + j * line), v = load(yAgain + j * line);
      const F16 r = logarithm ? gradient - vexp(v) * all[j] : v * (gradient - all[j]);
      storeResult(result + i * l.element + j * l.line, select(used, r, zero()), past);
    }
  }
}

// The line with number `row` of SoftmaxAxis::kWidth.
inline Strips widthStrips(const float* tensor, Shape s, int block, int row) {
  Strips x;
  x.first = tensor + planeOffset(s, block, 0) + row * std::int64_t(s.width) * 16;
  x.stride = 16;
  return x;
}

inline void softmaxForward(const SoftmaxForward& a, int block, int first, int count, float* room, bool past) {
  if (a.axis == SoftmaxAxis::kChannels) {
    const Strips x = stripsOf(a.input, a.shape, block, first, count, room);
    const Lines lines = {x.stride, 16, a.shape.channels, count};
    return softmaxForwardLines(a.logarithm, x, lines, a.output + (x.first - a.input), past);
  }
  for (int i = first; i < first + count; i++) {
    const Strips x = widthStrips(a.input, a.shape, block, i);
    softmaxForwardLines(a.logarithm, x, {16, 0, a.shape.width, 1}, a.output + (x.first - a.input), false);
  }
}
inline void softmaxBackward(const SoftmaxBackward& a, int block, int first, int count, float* room, bool past) {
  const M16 used = lanesBelow(imagesOf(a.batch, block));
  if (a.axis == SoftmaxAxis::kChannels) {
    const Strips y = stripsOf(a.output, a.shape, block, first, count, room);
    const Strips g = stripsOf(a.gradOutput, a.shape, block, first, count, secondRoom(room, a.shape, count));
    const Lines lines = {y.stride, 16, a.shape.channels, count};
    return softmaxBackwardLines(a.logarithm, y, g, lines, used, a.gradInput + (y.first - a.output), past);
  }
  for (int i = first; i < first + count; i++) {
    const Strips y = widthStrips(a.output, a.shape, block, i), g = widthStrips(a.gradOutput, a.shape, block, i);
    softmaxBackwardLines(a.logarithm, y, g, {16, 0, a.shape.width, 1}, used, a.gradInput + (y.first - a.output), false);
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
