// Max and average pooling of one plane.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct Window {
  int top, bottom, left, right;  // half-open, clipped to the image
};

inline Window windowAt(const PoolGeometry& g, int y, int x) {
  Window w{y * g.strideH - g.padH, 0, x * g.strideW - g.padW, 0};
  w.bottom = w.top + g.kernelHeight < g.input.height ? w.top + g.kernelHeight : g.input.height;
  w.right = w.left + g.kernelWidth < g.input.width ? w.left + g.kernelWidth : g.input.width;
  if (w.top < 0) w.top = 0;
  if (w.left < 0) w.left = 0;
  return w;
}

inline float averageFactor(const PoolGeometry& g, const Window& w) {
  return 1.0f / float(g.countIncludePad ? g.kernelHeight * g.kernelWidth : (w.bottom - w.top) * (w.right - w.left));
}

// Where x takes the place of `best`: larger, or a NaN over a number.
inline M16 beats(F16 x, F16 best) { return either(less(best, x), isNan(select(isNan(best), zero(), x))); }

inline void poolForward(const PoolForward& a, int block, int channel) {
  const PoolGeometry& g = a.geometry;
  const Shape out = g.output();
  const float* in = a.input + planeOffset(g.input, block, channel);
  float* to = a.output + planeOffset(out, block, channel);
  for (int y = 0; y < out.height; y++)
    for (int x = 0; x < out.width; x++, to += 16) {
      const Window w = windowAt(g, y, x);
      F16 v = a.kind == Pool::kMax ? load(in + (w.top * g.input.width + w.left) * 16) : zero();
      for (int r = w.top; r < w.bottom; r++)
        for (int c = w.left; c < w.right; c++) {
          F16 p = load(in + (r * g.input.width + c) * 16);
          v = a.kind == Pool::kMax ? select(beats(p, v), p, v) : v + p;
        }
      store(to, a.kind == Pool::kMax ? v : v * set(averageFactor(g, w)));
    }
}

inline void poolBackward(const PoolBackward& a, int block, int channel) {
  const PoolGeometry& g = a.geometry;
  const Shape out = g.output();
  const int width = g.input.width, pixels = g.input.height * width;
  const std::int64_t plane = planeOffset(g.input, block, channel);
  const float *in = a.input ? a.input + plane : nullptr, *from = a.gradOutput + planeOffset(out, block, channel);
  float* to = a.gradInput + plane;
  for (int i = 0; i < pixels; i++) store(to + i * 16, zero());
  for (int y = 0; y < out.height; y++)
    for (int x = 0; x < out.width; x++, from += 16) {
      const Window w = windowAt(g, y, x);
      F16 grad = load(from);
      if (a.kind == Pool::kAverage) {
        grad = grad * set(averageFactor(g, w));
        for (int r = w.top; r < w.bottom; r++)
          for (int c = w.left; c < w.right; c++) {
            float* p = to + (r * width + c) * 16;
            store(p, load(p) + grad);
          }
        continue;
      }
      F16 best = load(in + (w.top * width + w.left) * 16), where = zero();
      float number = 0;
      for (int r = w.top; r < w.bottom; r++)
        for (int c = w.left; c < w.right; c++, number += 1) {
          F16 p = load(in + (r * width + c) * 16);
          M16 better = beats(p, best);
          best = select(better, p, best);
          where = select(better, set(number), where);
        }
      number = 0;
      for (int r = w.top; r < w.bottom; r++)
        for (int c = w.left; c < w.right; c++, number += 1) {
          float* p = to + (r * width + c) * 16;
          F16 here =
              select(less(where, set(number + 0.5f)), select(less(set(number - 0.5f), where), grad, zero()), zero());
          store(p, load(p) + here);
        }
    }
  if (!a.reluInput) return;
  const float* mask = a.reluInput + plane;
  for (int i = 0; i < pixels; i++)
    store(to + i * 16, select(less(zero(), load(mask + i * 16)), load(to + i * 16), zero()));
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
