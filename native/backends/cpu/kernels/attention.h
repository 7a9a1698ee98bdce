// Softmax over a row of scores, its gradient, and the rotation of pairs of planes.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// e^x for x <= 0, as vexp: 0 below -87.3, NaN for NaN.
inline F16 vexpOfNegative(F16 x) {
  const F16 low = set(-87.3365447f);
  F16 n = roundEven(vmax(x, low) * set(1.44269504088896341f));
  F16 r = fma(n, set(-0.693359375f), x);
  r = fma(n, set(2.12194440e-4f), r);
  F16 p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  F16 e = (fma(p * r, r, r) + set(1.0f)) * pow2(n);
  return select(less(x, low), zero(), e);
}

// Largest and sum run over four streams each, which does not depend on anything but the count.
inline void softmax(float* scores, int count, float* inverse) {
  F16 best[4], sum[4];
  for (int j = 0; j < 4; j++) best[j] = minusInfinity(), sum[j] = zero();
  int i = 0;
  for (; i + 4 <= count; i += 4)
    for (int j = 0; j < 4; j++) best[j] = vmax(best[j], load(scores + (i + j) * 16));
  for (; i < count; i++) best[0] = vmax(best[0], load(scores + i * 16));
  const F16 largest = vmax(vmax(best[0], best[1]), vmax(best[2], best[3]));
  for (i = 0; i + 4 <= count; i += 4)
    for (int j = 0; j < 4; j++) {
      const F16 e = vexpOfNegative(load(scores + (i + j) * 16) - largest);
      store(scores + (i + j) * 16, e);
      sum[j] = sum[j] + e;
    }
  for (; i < count; i++) {
    const F16 e = vexpOfNegative(load(scores + i * 16) - largest);
    store(scores + i * 16, e);
    sum[0] = sum[0] + e;
  }
  store(inverse, set(1.0f) / ((sum[0] + sum[1]) + (sum[2] + sum[3])));
}

inline void softmaxGradient(const float* p, float* grad, int count) {
  F16 sum[4];
  for (int j = 0; j < 4; j++) sum[j] = zero();
  int i = 0;
  for (; i + 4 <= count; i += 4)
    for (int j = 0; j < 4; j++) sum[j] = fma(load(p + (i + j) * 16), load(grad + (i + j) * 16), sum[j]);
  for (; i < count; i++) sum[0] = fma(load(p + i * 16), load(grad + i * 16), sum[0]);
  const F16 mean = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  for (i = 0; i < count; i++) store(grad + i * 16, load(p + i * 16) * (load(grad + i * 16) - mean));
}

inline void rotate(const float* x, const float* y, const float* cosines, const float* sines, int count, float* toX,
                   float* toY) {
  for (int t = 0; t < count; t++) {
    const F16 c = set(cosines[t]), s = set(sines[t]), u = x ? load(x + t * 16) : zero(),
              v = y ? load(y + t * 16) : zero();
    if (toX) store(toX + t * 16, u * c - v * s);
    if (toY) store(toY + t * 16, fma(u, s, v * c));
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
