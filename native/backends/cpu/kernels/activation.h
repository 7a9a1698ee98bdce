// ReLU, GELU (erf form), SiLU and dropout on one plane.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

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

inline F16 sigmoid(F16 x) { return set(1.0f) / (set(1.0f) + vexp(zero() - x)); }

inline std::int64_t planeOffset(Shape s, int block, int channel) {
  return (std::int64_t(block) * s.channels + channel) * (std::int64_t(s.height) * s.width) * 16;
}

// x * Phi(x) and x * sigmoid(x) are 0 at -inf, where the product would be NaN.
inline F16 atMinusInfinity(F16 x, F16 y) { return select(less(x, set(-3e38f)), zero(), y); }

inline void activationForward(const ActivationForward& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), n = std::int64_t(a.shape.height) * a.shape.width * 16;
  for (std::int64_t i = at; i < at + n; i += 16) {
    F16 x = load(a.input + i), y;
    switch (a.kind) {
      case Activation::kRelu:
        y = vmax(zero(), x);
        break;
      case Activation::kGelu:
        y = atMinusInfinity(x, x * normalAt(x).cdf);
        break;
      default:
        y = atMinusInfinity(x, x * sigmoid(x));
        break;
    }
    store(a.output + i, y);
  }
}

inline void activationBackward(const ActivationBackward& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), n = std::int64_t(a.shape.height) * a.shape.width * 16;
  for (std::int64_t i = at; i < at + n; i += 16) {
    F16 x = load(a.input + i), g = load(a.gradOutput + i);
    switch (a.kind) {
      case Activation::kRelu:
        g = select(less(zero(), x), g, zero());
        break;
      case Activation::kGelu: {
        NormalAt at = normalAt(x);
        g = g * fma(x, at.pdf, at.cdf);
        break;
      }
      default: {
        F16 s = sigmoid(x);
        g = g * s * fma(x, set(1.0f) - s, set(1.0f));
        break;
      }
    }
    store(a.gradInput + i, g);
  }
}

inline void dropout(const Dropout& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), n = std::int64_t(a.shape.height) * a.shape.width * 16;
  const std::uint64_t key = dropoutKey(a.counter->seed, a.counter->step, a.site);
  const float keep = 1.0f / (1.0f - a.probability);
  for (std::int64_t i = at; i < at + n; i += 16) {
    float factor[16];
    for (int lane = 0; lane < 16; lane++)
      factor[lane] = uniformFrom(mix64(key + std::uint64_t(i + lane))) >= a.probability ? keep : 0.0f;
    store(a.output + i, load(a.input + i) * load(factor));
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
