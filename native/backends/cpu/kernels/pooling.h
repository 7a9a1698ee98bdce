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

// Windows that lie side by side and cover the image: every pixel belongs to exactly one of them.
inline bool windowsTile(const PoolGeometry& g) {
  return g.kernelHeight == g.strideH && g.kernelWidth == g.strideW && !g.padH && !g.padW &&
         g.input.height % g.strideH == 0 && g.input.width % g.strideW == 0;
}

// The usual case, 2x2 pixels in a window.
inline void poolMaxForward2x2(const float* in, Shape shape, float* to) {
  const int width = shape.width;
  for (int y = 0; y < shape.height; y += 2) {
    const float *upper = in + y * width * 16, *lower = upper + width * 16;
    for (int x = 0; x < width * 16; x += 32, to += 16) {
      F16 v = load(upper + x), p[3] = {load(upper + x + 16), load(lower + x), load(lower + x + 16)};
      for (int i = 0; i < 3; i++) v = select(beats(p[i], v), p[i], v);
      store(to, v);
    }
  }
}

inline void poolForward(const PoolForward& a, int block, int channel) {
  const PoolGeometry& g = a.geometry;
  const Shape out = g.output();
  const float* in = a.input + planeOffset(g.input, block, channel);
  float* to = a.output + planeOffset(out, block, channel);
  if (a.kind == Pool::kMax && g.kernelHeight == 2 && g.kernelWidth == 2 && windowsTile(g))
    return poolMaxForward2x2(in, g.input, to);
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

// As poolMaxForward2x2, the mask included: one pass over the memory.
inline void poolMaxBackward2x2(const float* in, const float* mask, const float* from, Shape shape, float* to,
                               bool past) {
  const int width = shape.width;
  for (int y = 0; y < shape.height; y += 2)
    for (int x = 0; x < width; x += 2, from += 16) {
      const int at[4] = {(y * width + x) * 16, (y * width + x + 1) * 16, ((y + 1) * width + x) * 16,
                         ((y + 1) * width + x + 1) * 16};
      const F16 grad = load(from);
      F16 best = load(in + at[0]), g[4] = {grad, zero(), zero(), zero()};
      for (int i = 1; i < 4; i++) {
        F16 p = load(in + at[i]);
        M16 better = beats(p, best);
        best = select(better, p, best);
        g[i] = select(better, grad, zero());
        for (int j = 0; j < i; j++) g[j] = select(better, zero(), g[j]);
      }
      for (int i = 0; i < 4; i++)
        storeResult(to + at[i], mask ? select(less(zero(), load(mask + at[i])), g[i], zero()) : g[i], past);
    }
}

inline void poolBackward(const PoolBackward& a, int block, int channel, bool past) {
  const PoolGeometry& g = a.geometry;
  const Shape out = g.output();
  const int width = g.input.width, pixels = g.input.height * width;
  const std::int64_t plane = planeOffset(g.input, block, channel);
  const float *in = a.input ? a.input + plane : nullptr, *from = a.gradOutput + planeOffset(out, block, channel);
  float* to = a.gradInput + plane;
  if (a.kind == Pool::kMax && g.kernelHeight == 2 && g.kernelWidth == 2 && windowsTile(g))
    return poolMaxBackward2x2(in, a.reluInput ? a.reluInput + plane : nullptr, from, g.input, to, past);
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
