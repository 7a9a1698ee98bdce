// Layer and RMS norms of some positions side by side, all channels: the second and third pass find them in the caches.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct PositionStatistics {
  F16 mean[kLines], inverse[kLines];
};

// Sums over the channels that are not kZero of x (or, `kSquares`, of (x - mean)^2) for kCount positions from `j` on, in
// two levels. Returns the number of these channels.
template <bool kFirst, bool kSquares, int kCount>
inline int sumsOfSome(const LayerNormForward& a, const Strips& x, int j, const F16* mean, F16* all) {
  F16 part[kCount], total[kCount], about[kCount];
  int present = 0;
  SC_UNROLL
  for (int i = 0; i < kCount; i++) {
    total[i] = zero();
    about[i] = kSquares ? mean[j + i] : zero();
  }
  for (int c = 0; c < a.shape.channels;) {
    const int end = c + 64 < a.shape.channels ? c + 64 : a.shape.channels;
    SC_UNROLL
    for (int i = 0; i < kCount; i++) part[i] = zero();
    for (; c < end; c++) {
      if (isZeroChannel(a.inputState, c)) continue;
      present++;
      const float* again = x.again(c) + j * 16;
      SC_UNROLL
      for (int i = 0; i < kCount; i++) {
        F16 v;
        if constexpr (kFirst) v = firstRead(x, c, j + i);
        else v = load(again + i * 16);
        if constexpr (kSquares) {
          const F16 d = v - about[i];
          part[i] = fma(d, d, part[i]);
        } else {
          part[i] = part[i] + v;
        }
      }
    }
    SC_UNROLL
    for (int i = 0; i < kCount; i++) total[i] = total[i] + part[i];
  }
  SC_UNROLL
  for (int i = 0; i < kCount; i++) all[j + i] = total[i];
  return present;
}
// Four positions at a time keep their sums in registers,.
template <bool kFirst, bool kSquares>
inline int sumsOfChannels(const LayerNormForward& a, const Strips& x, int count, const F16* mean, F16* all) {
  int present = 0, j = 0;
  if constexpr (kFirst) {
    for (; j + 16 <= count; j += 16) present = sumsOfSome<kFirst, kSquares, 16>(a, x, j, mean, all);
    for (; j + 8 <= count; j += 8) present = sumsOfSome<kFirst, kSquares, 8>(a, x, j, mean, all);
  }
  for (; j + 4 <= count; j += 4) present = sumsOfSome<kFirst, kSquares, 4>(a, x, j, mean, all);
  for (; j < count; j++) present = sumsOfSome<kFirst, kSquares, 1>(a, x, j, mean, all);
  return present;
}

inline void positionStatistics(const LayerNormForward& a, const Strips& x, int count, PositionStatistics& s) {
  const F16 share = set(float(1.0 / a.divisor));
  for (int j = 0; j < count; j++) s.mean[j] = zero();
  int present;
  if (a.rms) {
    present = sumsOfChannels<true, true>(a, x, count, s.mean, s.inverse);
  } else {
    sumsOfChannels<true, false>(a, x, count, nullptr, s.mean);
    for (int j = 0; j < count; j++) s.mean[j] = s.mean[j] * share;
    present = sumsOfChannels<false, true>(a, x, count, s.mean, s.inverse);
  }
  const F16 gone = set(float(a.divisor - present)), epsilon = set(a.epsilon), one = set(1.0f);
  for (int j = 0; j < count; j++) {
    const F16 squares = fma(gone * s.mean[j], s.mean[j], s.inverse[j]);
    s.inverse[j] = one / vsqrt(fma(squares, share, epsilon));
  }
}

inline void layerNormForward(const LayerNormForward& a, int block, int first, int count, float* room, bool past) {
  const std::int64_t stride = pixelsOf(a.shape) * 16, at = planeOffset(a.shape, block, 0) + first * std::int64_t(16);
  const Strips strips = stripsOf(a.input, a.shape, block, first, count, room);
  PositionStatistics s;
  positionStatistics(a, strips, count, s);
  const std::int64_t saved = block * stride + first * std::int64_t(16);
  for (int j = 0; j < count && a.savedInvStd; j++) {
    store(a.savedInvStd + saved + j * 16, s.inverse[j]);
    if (!a.rms) store(a.savedMean + saved + j * 16, s.mean[j]);
  }
  for (int c = 0; c < a.shape.channels; c++) {
    if (isZeroChannel(a.outputState, c)) continue;
    const bool none = isZeroChannel(a.inputState, c);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f), bias = set(a.bias ? a.bias[c] : 0.0f);
    const float* again = strips.again(c);
    float* output = a.output + at + c * stride;
    for (int j = 0; j < count; j++) {
      const F16 x = none ? zero() : load(again + j * 16);
      storeResult(output + j * 16, fma((x - s.mean[j]) * s.inverse[j], weight, bias), past);
    }
  }
}

// What a backward pass knows of its positions.
struct PositionGradients {
  F16 mean[kLines], inverse[kLines], sum[kLines], product[kLines];
};

// Sums over channels of h and h * xhat; sums[2 * channel] and the next, vectors that this task alone adds to, take
// g * xhat and g.
inline void sumsOfGradients(const LayerNormBackward& a, const Strips& x, const Strips& g, int count, M16 used,
                            PositionGradients& s, float* sums) {
  for (int c = 0; c < a.shape.channels; c++) {
    const bool dead = isDeadChannel(a.outputState, c), none = isZeroChannel(a.inputState, c);
    if (dead && none) continue;
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f);
    F16 toWeight = zero(), toBias = zero();
    for (int j = 0; j < count; j++) {
      const F16 xhat = ((none ? zero() : firstRead(x, c, j)) - s.mean[j]) * s.inverse[j];
      if (dead) continue;
      const F16 gradient = select(used, firstRead(g, c, j), zero()), h = gradient * weight;
      s.sum[j] = s.sum[j] + h;
      s.product[j] = fma(h, xhat, s.product[j]);
      toWeight = fma(gradient, xhat, toWeight);
      toBias = toBias + gradient;
    }
    if (!sums || dead) continue;
    float* own = sums + c * std::int64_t(32);
    store(own, load(own) + toWeight);
    store(own + 16, load(own + 16) + toBias);
  }
}

// sums: [channels][2] vectors, of g * xhat and of g, which are added to, or nullptr.
inline void layerNormBackward(const LayerNormBackward& a, int block, int first, int count, float* room, float* sums,
                              bool past) {
  const std::int64_t stride = pixelsOf(a.shape) * 16, at = planeOffset(a.shape, block, 0) + first * std::int64_t(16);
  const std::int64_t saved = block * stride + first * std::int64_t(16);
  const M16 used = lanesBelow(imagesOf(a.batch, block));
  const Strips x = stripsOf(a.input, a.shape, block, first, count, room);
  const Strips g = stripsOf(a.gradOutput, a.shape, block, first, count, secondRoom(room, a.shape, count));
  PositionGradients s;
  for (int j = 0; j < count; j++) {
    s.mean[j] = a.rms ? zero() : load(a.savedMean + saved + j * 16);
    s.inverse[j] = load(a.savedInvStd + saved + j * 16);
    s.sum[j] = s.product[j] = zero();
  }
  sumsOfGradients(a, x, g, count, used, s, sums);
  const F16 share = set(float(1.0 / a.divisor));
  for (int j = 0; j < count; j++) {
    s.sum[j] = a.rms ? zero() : s.sum[j] * share;
    s.product[j] = s.product[j] * share;
  }
  for (int c = 0; c < a.shape.channels; c++) {
    if (isZeroChannel(a.inputState, c)) continue;
    const bool dead = isDeadChannel(a.outputState, c);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f);
    const float *xAgain = x.again(c), *gAgain = g.again(c);
    float* to = a.gradInput + at + c * stride;
    for (int j = 0; j < count; j++) {
      const F16 h = dead ? zero() : load(gAgain + j * 16) * weight,
                xhat = (load(xAgain + j * 16) - s.mean[j]) * s.inverse[j];
      storeResult(to + j * 16, select(used, s.inverse[j] * (h - fma(xhat, s.product[j], s.sum[j])), zero()), past);
    }
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
