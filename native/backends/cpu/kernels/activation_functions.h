// The activations and their gradients over the vector type (ops/activation.h).
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// x * Phi(x) and x * sigmoid(x) are 0 at -inf, where the product would be NaN.
inline F16 atMinusInfinity(F16 x, F16 y) { return select(less(x, set(-3e38f)), zero(), y); }

// geluTanh is x * sigmoid(of this).
inline F16 geluTanhArgument(F16 x) { return x * fma(x * x, set(0.071354816f), set(1.59576912f)); }
inline F16 geluTanhSlope(F16 x) {
  x = clipped(x, set(-30.0f), set(30.0f));
  const F16 u = geluTanhArgument(x);
  return fma(x * sigmoidSlope(u), fma(x * x, set(0.214064449f), set(1.59576912f)), sigmoid(u));
}

template <Activation kKind>
inline F16 activated(F16 x, F16 alpha, F16 beta) {
  const F16 one = set(1.0f), none = zero();
  (void)one, (void)none, (void)alpha, (void)beta;
  if constexpr (kKind == Activation::kRelu) return vmax(none, x);
  if constexpr (kKind == Activation::kGelu) return atMinusInfinity(x, x * normalAt(x).cdf);
  if constexpr (kKind == Activation::kSilu) return atMinusInfinity(x, x * sigmoid(x));
  if constexpr (kKind == Activation::kGeluTanh) return atMinusInfinity(x, x * sigmoid(geluTanhArgument(x)));
  if constexpr (kKind == Activation::kSigmoid) return sigmoid(x);
  if constexpr (kKind == Activation::kTanh) return vtanh(x);
  if constexpr (kKind == Activation::kHardSigmoid) return clipped(fma(x, alpha, beta), none, one);
  if constexpr (kKind == Activation::kHardSwish)
    return atMinusInfinity(x, x * clipped(fma(x, set(1.0f / 6), set(0.5f)), none, one));
  if constexpr (kKind == Activation::kLeakyRelu) return select(less(none, x), x, alpha * x);
  if constexpr (kKind == Activation::kClip) return clipped(x, alpha, beta);
  if constexpr (kKind == Activation::kElu) return select(less(none, x), x, alpha * vexpm1(x));
  if constexpr (kKind == Activation::kSoftplus) return vmax(none, x) + vlog1p(vexp(none - absolute(x)));
  if constexpr (kKind == Activation::kExp) return vexp(x);
  if constexpr (kKind == Activation::kLog) return vlog(x);
  if constexpr (kKind == Activation::kSqrt) return vsqrt(x);
  if constexpr (kKind == Activation::kAbs) return absolute(x);
  if constexpr (kKind == Activation::kSquare) return x * x;
  if constexpr (kKind == Activation::kReciprocal) return one / x;
  if constexpr (kKind == Activation::kAffine) return fma(x, alpha, beta);
}

template <Activation kKind>
inline F16 gradientOf(F16 x, F16 g, F16 alpha, F16 beta) {
  const F16 one = set(1.0f), none = zero();
  (void)one, (void)none, (void)alpha, (void)beta;
  if constexpr (kKind == Activation::kRelu) return select(less(none, x), g, none);
  if constexpr (kKind == Activation::kGelu) {
    const NormalAt at = normalAt(x);
    return g * fma(x, at.pdf, at.cdf);
  }
  if constexpr (kKind == Activation::kSilu) {
    const F16 s = sigmoid(x);
    return g * s * fma(x, one - s, one);
  }
  if constexpr (kKind == Activation::kGeluTanh) return g * geluTanhSlope(x);
  if constexpr (kKind == Activation::kSigmoid) return g * sigmoidSlope(x);
  if constexpr (kKind == Activation::kTanh) return g * set(4.0f) * sigmoidSlope(x + x);
  if constexpr (kKind == Activation::kHardSigmoid) {
    const F16 u = fma(x, alpha, beta);
    return select(less(none, u), select(less(u, one), g * alpha, none), none);
  }
  if constexpr (kKind == Activation::kHardSwish) {
    const F16 inside = g * fma(x, set(1.0f / 3), set(0.5f));
    return select(less(x, set(-3.0f)), none, select(less(set(3.0f), x), g, inside));
  }
  if constexpr (kKind == Activation::kLeakyRelu) return select(less(none, x), g, g * alpha);
  if constexpr (kKind == Activation::kClip) return select(less(alpha, x), select(less(x, beta), g, none), none);
  if constexpr (kKind == Activation::kElu) return select(less(none, x), g, g * alpha * vexp(x));
  if constexpr (kKind == Activation::kSoftplus) return g * sigmoid(x);
  if constexpr (kKind == Activation::kExp) return g * vexp(x);
  if constexpr (kKind == Activation::kLog) return g / x;
  if constexpr (kKind == Activation::kSqrt) return g * (set(0.5f) / vsqrt(x));
  if constexpr (kKind == Activation::kAbs) return select(less(none, x), g, select(less(x, none), none - g, x));
  if constexpr (kKind == Activation::kSquare) return g * (x + x);
  if constexpr (kKind == Activation::kReciprocal) return g * (zero() - one / (x * x));
  if constexpr (kKind == Activation::kAffine) return g * alpha;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
