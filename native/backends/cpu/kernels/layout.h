// Copies of vectors in steps, planes whose pixels are taken from others, and sums of planes.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline void copyRun(const float* from, std::int64_t fromStep, float* to, std::int64_t toStep, std::int64_t count,
                    bool accumulate) {
  if (!from) {
    if (accumulate) return;
    for (std::int64_t i = 0; i < count; i++) store(to + i * toStep, zero());
  } else if (accumulate) {
    for (std::int64_t i = 0; i < count; i++) store(to + i * toStep, load(to + i * toStep) + load(from + i * fromStep));
  } else {
    for (std::int64_t i = 0; i < count; i++) store(to + i * toStep, load(from + i * fromStep));
  }
}

inline void takePlane(const PlaneTaps& t, const float* from, float* to) {
  for (int y = 0; y < t.height; y++) {
    const ResizeTap row = t.rows[y];
    const std::int64_t upper = std::int64_t(row.first) * t.sourceWidth,
                       lower = std::int64_t(row.second) * t.sourceWidth;
    const F16 down = set(row.weight);
    for (int x = 0; x < t.width; x++, to += 16) {
      const ResizeTap column = t.columns[x];
      if (row.first < 0 || column.first < 0) {
        store(to, set(t.fill));
        continue;
      }
      if (!from) {
        store(to, zero());
        continue;
      }
      const F16 a = load(from + (upper + column.first) * 16);
      if (!t.linear) {
        store(to, a);
        continue;
      }
      const F16 b = load(from + (upper + column.second) * 16), c = load(from + (lower + column.first) * 16),
                d = load(from + (lower + column.second) * 16), right = set(column.weight);
      const F16 top = fma(right, b - a, a), bottom = fma(right, d - c, c);
      store(to, fma(down, bottom - top, top));
    }
  }
}

inline void addTo(float* to, F16 v) { store(to, load(to) + v); }

// The other way: grad has the taps' pixels, `to` is the plane that they were taken from.
inline void givePlane(const PlaneTaps& t, const float* grad, float* to) {
  const std::int64_t pixels = std::int64_t(t.sourceHeight) * t.sourceWidth;
  for (std::int64_t i = 0; i < pixels; i++) store(to + i * 16, zero());
  if (!grad) return;
  for (int y = 0; y < t.height; y++) {
    const ResizeTap row = t.rows[y];
    const std::int64_t upper = std::int64_t(row.first) * t.sourceWidth,
                       lower = std::int64_t(row.second) * t.sourceWidth;
    const F16 down = set(row.weight);
    for (int x = 0; x < t.width; x++, grad += 16) {
      const ResizeTap column = t.columns[x];
      if (row.first < 0 || column.first < 0) continue;
      const F16 g = load(grad);
      if (!t.linear) {
        addTo(to + (upper + column.first) * 16, g);
        continue;
      }
      const F16 right = set(column.weight), bottom = g * down, top = g - bottom, topRight = top * right,
                bottomRight = bottom * right;
      addTo(to + (upper + column.first) * 16, top - topRight);
      addTo(to + (upper + column.second) * 16, topRight);
      addTo(to + (lower + column.first) * 16, bottom - bottomRight);
      addTo(to + (lower + column.second) * 16, bottomRight);
    }
  }
}

// The planes in turn, `stride` floats apart, but for those that are zero.
inline void sumPlanes(const float* from, std::int64_t stride, int planes, const std::int32_t* state, float factor,
                      std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; i++) {
    F16 sum = zero();
    for (int c = 0; c < planes; c++)
      if (!state || state[c] != kZero) sum = sum + load(from + c * stride + i * 16);
    store(to + i * 16, sum * set(factor));
  }
}

inline void addBias(float* plane, std::int64_t pixels, float bias, bool relu, bool constant) {
  const F16 b = set(bias), floor = relu ? zero() : minusInfinity();
  for (std::int64_t i = 0; i < pixels * 16; i += 16) store(plane + i, vmax(floor, constant ? b : load(plane + i) + b));
}

// In stretches that float can sum.
inline double sumPlane(const float* plane, std::int64_t pixels, int lanes) {
  double total = 0;
  for (std::int64_t first = 0; first < pixels; first += 64) {
    F16 sum = zero();
    for (std::int64_t i = first; i < pixels && i < first + 64; i++) sum = sum + load(plane + i * 16);
    total += sumDouble(sum, lanes);
  }
  return total;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
