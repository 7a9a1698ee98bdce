// Layer and RMS norms of some positions side by side, all channels: the second and third pass find them in the caches.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct PositionStatistics {
  F16 mean[kLines], inverse[kLines];
};

// Sum over the channels that are not kZero of x (or, `squares`, of (x - mean)^2), in two levels.
template <bool kSquares>
inline int sumsOfChannels(const LayerNormForward& a, const float* x, std::int64_t stride, int count, const F16* mean,
                          F16* all) {
  F16 part[kLines];
  int present = 0;
  for (int j = 0; j < count; j++) all[j] = zero();
  for (int c = 0; c < a.shape.channels;) {
    const int end = c + 64 < a.shape.channels ? c + 64 : a.shape.channels;
    for (int j = 0; j < count; j++) part[j] = zero();
    for (; c < end; c++) {
      if (isZeroChannel(a.inputState, c)) continue;
      present++;
      for (int j = 0; j < count; j++) {
        const F16 v = load(x + c * stride + j * 16);
        if constexpr (kSquares) {
          const F16 d = v - mean[j];
          part[j] = fma(d, d, part[j]);
        } else {
          part[j] = part[j] + v;
        }
      }
    }
    for (int j = 0; j < count; j++) all[j] = all[j] + part[j];
  }
  return present;
}

inline void positionStatistics(const LayerNormForward& a, const float* x, std::int64_t stride, int count,
                               PositionStatistics& s) {
  const F16 share = set(float(1.0 / a.divisor));
  for (int j = 0; j < count; j++) s.mean[j] = zero();
  if (!a.rms) {
    sumsOfChannels<false>(a, x, stride, count, nullptr, s.mean);
    for (int j = 0; j < count; j++) s.mean[j] = s.mean[j] * share;
  }
  const int present = sumsOfChannels<true>(a, x, stride, count, s.mean, s.inverse);
  const F16 gone = set(float(a.divisor - present)), epsilon = set(a.epsilon), one = set(1.0f);
  for (int j = 0; j < count; j++) {
    const F16 squares = fma(gone * s.mean[j], s.mean[j], s.inverse[j]);
    s.inverse[j] = one / vsqrt(fma(squares, share, epsilon));
  }
}

inline void layerNormForward(const LayerNormForward& a, int block, int first, int count, bool past) {
  const std::int64_t stride = pixelsOf(a.shape) * 16, at = planeOffset(a.shape, block, 0) + first * std::int64_t(16);
  PositionStatistics s;
  positionStatistics(a, a.input + at, stride, count, s);
  const std::int64_t saved = block * stride + first * std::int64_t(16);
  for (int j = 0; j < count && a.savedInvStd; j++) {
    store(a.savedInvStd + saved + j * 16, s.inverse[j]);
    if (!a.rms) store(a.savedMean + saved + j * 16, s.mean[j]);
  }
  for (int c = 0; c < a.shape.channels; c++) {
    if (isZeroChannel(a.outputState, c)) continue;
    const bool none = isZeroChannel(a.inputState, c);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f), bias = set(a.bias ? a.bias[c] : 0.0f);
    for (int j = 0; j < count; j++) {
      const std::int64_t i = at + c * stride + j * 16;
      const F16 x = none ? zero() : load(a.input + i);
      storeResult(a.output + i, fma((x - s.mean[j]) * s.inverse[j], weight, bias), past);
    }
  }
}

// gradWeight and gradBias [channels] are added to; either may be nullptr.
inline void layerNormBackward(const LayerNormBackward& a, int block, int first, int count, double* gradWeight,
                              double* gradBias) {
  const std::int64_t stride = pixelsOf(a.shape) * 16, at = planeOffset(a.shape, block, 0) + first * std::int64_t(16);
  const std::int64_t saved = block * stride + first * std::int64_t(16);
  const M16 used = lanesBelow(imagesOf(a.batch, block));
  F16 mean[kLines], inverse[kLines], sum[kLines], product[kLines];
  for (int j = 0; j < count; j++) {
    mean[j] = a.rms ? zero() : load(a.savedMean + saved + j * 16);
    inverse[j] = load(a.savedInvStd + saved + j * 16);
    sum[j] = product[j] = zero();
  }
  for (int c = 0; c < a.shape.channels; c++) {
    if (isDeadChannel(a.outputState, c)) continue;
    const bool none = isZeroChannel(a.inputState, c);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f);
    F16 toWeight = zero(), toBias = zero();
    for (int j = 0; j < count; j++) {
      const std::int64_t i = at + c * stride + j * 16;
      const F16 g = select(used, load(a.gradOutput + i), zero()), h = g * weight,
                xhat = ((none ? zero() : load(a.input + i)) - mean[j]) * inverse[j];
      sum[j] = sum[j] + h;
      product[j] = fma(h, xhat, product[j]);
      toWeight = fma(g, xhat, toWeight);
      toBias = toBias + g;
    }
    if (gradWeight) gradWeight[c] += double(::SELFCOMPRESS_ISA_NAMESPACE::sum(toWeight));
    if (gradBias) gradBias[c] += double(::SELFCOMPRESS_ISA_NAMESPACE::sum(toBias));
  }
  const F16 share = set(float(1.0 / a.divisor));
  for (int j = 0; j < count; j++) {
    sum[j] = a.rms ? zero() : sum[j] * share;
    product[j] = product[j] * share;
  }
  for (int c = 0; c < a.shape.channels; c++) {
    if (isZeroChannel(a.inputState, c)) continue;
    const bool dead = isDeadChannel(a.outputState, c);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f);
    for (int j = 0; j < count; j++) {
      const std::int64_t i = at + c * stride + j * 16;
      const F16 h = dead ? zero() : load(a.gradOutput + i) * weight, xhat = (load(a.input + i) - mean[j]) * inverse[j];
      store(a.gradInput + i, select(used, inverse[j] * (h - fma(xhat, product[j], sum[j])), zero()));
    }
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
