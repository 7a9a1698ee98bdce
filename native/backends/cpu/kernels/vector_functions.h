// Logarithm, hyperbolic tangent and their kin over the vector type: a few units in the last place.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline F16 absolute(F16 x) { return vmax(x, zero() - x); }
inline F16 notANumber() { return minusInfinity() * zero(); }
inline F16 clipped(F16 x, F16 low, F16 high) { return vmin(high, vmax(low, x)); }  // NaN stays NaN

// e^x for x <= 0, as vexp with what that needs only above. 0 below -87.3, NaN for NaN.
inline F16 vexpBelow(F16 x) {
  const F16 low = set(-87.3365447f);
  const F16 c = vmax(low, x);
  const F16 n = roundEven(c * set(1.44269504088896341f));
  F16 r = fma(n, set(-0.693359375f), c);
  r = fma(n, set(2.12194440e-4f), r);
  F16 p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  const F16 e = fma(p * r, r, r) + set(1.0f);
  return select(less(x, low), zero(), e * pow2(n));
}

// log x: x = m 2^e with m in [sqrt(1/2), sqrt(2)) and Cephes' polynomial for log m. -inf at 0, NaN below.
inline F16 vlog(F16 x) {
  const F16 one = set(1.0f);
  const M16 tiny = less(x, set(1.17549435e-38f));
  F16 scaled = select(tiny, x * set(33554432.0f), x);
  F16 e = exponentOf(scaled), half = roundEven(e * set(0.5f));
  F16 m = scaled * pow2(zero() - half) * pow2(half - e);
  const M16 upper = less(set(1.41421356f), m);
  m = select(upper, m * set(0.5f), m);
  e = select(upper, e + one, e) - select(tiny, set(25.0f), zero());
  const F16 f = m - one, z = f * f;
  F16 p = set(7.0376836292e-2f);
  p = fma(p, f, set(-1.1514610310e-1f));
  p = fma(p, f, set(1.1676998740e-1f));
  p = fma(p, f, set(-1.2420140846e-1f));
  p = fma(p, f, set(1.4249322787e-1f));
  p = fma(p, f, set(-1.6668057665e-1f));
  p = fma(p, f, set(2.0000714765e-1f));
  p = fma(p, f, set(-2.4999993993e-1f));
  p = fma(p, f, set(3.3333331174e-1f));
  F16 y = fma(e, set(-2.12194440e-4f), p * f * z);
  y = fma(e, set(0.693359375f), f + fma(z, set(-0.5f), y));
  y = select(less(set(3.402823e38f), x), x, y);
  y = select(less(zero(), x), y, select(less(x, zero()), notANumber(), minusInfinity()));
  return select(isNan(x), x, y);
}

// log(1 + u) for u in [0, 1]: what 1 + u rounds off is put back.
inline F16 vlog1p(F16 u) {
  const F16 one = set(1.0f), w = one + u;
  return vlog(w) + (u - (w - one)) / w;
}

// e^x - 1: the polynomial of vexp without its 1 where that would cancel.
inline F16 vexpm1(F16 x) {
  F16 p = set(1.9875691500e-4f);
  p = fma(p, x, set(1.3981999507e-3f));
  p = fma(p, x, set(8.3334519073e-3f));
  p = fma(p, x, set(4.1665795894e-2f));
  p = fma(p, x, set(1.6666665459e-1f));
  p = fma(p, x, set(5.0000001201e-1f));
  return select(less(absolute(x), set(0.34657f)), fma(p * x, x, x), vexp(x) - set(1.0f));
}

inline F16 vtanh(F16 x) {
  const F16 size = absolute(x), z = x * x;
  F16 p = set(-5.70498872745e-3f);
  p = fma(p, z, set(2.06390887954e-2f));
  p = fma(p, z, set(-5.37397155531e-2f));
  p = fma(p, z, set(1.33314422036e-1f));
  p = fma(p, z, set(-3.33332819422e-1f));
  F16 large = set(1.0f) - set(2.0f) / (vexp(size + size) + set(1.0f));
  large = select(less(x, zero()), zero() - large, large);
  return select(less(size, set(0.625f)), fma(p * z, x, x), large);
}

inline F16 sigmoid(F16 x) { return set(1.0f) / (set(1.0f) + vexp(zero() - x)); }
// sigmoid(x) * sigmoid(-x), without cancellation.
inline F16 sigmoidSlope(F16 x) {
  const F16 e = vexp(zero() - absolute(x)), s = set(1.0f) / (set(1.0f) + e);
  return e * s * s;
}

struct NormalAt {
  F16 cdf, pdf;
};

// Phi(x) with erf by Abramowitz & Stegun 7.1.26 (absolute error below 1.5e-7), and the density.
inline NormalAt normalAt(F16 x) {
  const F16 one = set(1.0f), half = set(0.5f);
  F16 z = vmax(x, zero() - x) * set(0.70710678118654752f);
  F16 t = one / fma(z, set(0.3275911f), one);
  F16 p = fma(t, set(1.061405429f), set(-1.453152027f));
  p = fma(p, t, set(1.421413741f));
  p = fma(p, t, set(-0.284496736f));
  p = fma(p, t, set(0.254829592f)) * t;
  F16 e = vexp(zero() - z * z);
  F16 tail = half * p * e;  // Phi(-|x|)
  return {select(less(x, zero()), tail, one - tail), e * set(0.39894228040143268f)};
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
