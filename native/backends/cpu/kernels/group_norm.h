// Group norm of one group of one block of images: statistics per image, that is per lane.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// Count, mean and sum of squared differences from the mean, merged piece by piece (Chan, Golub & LeVeque 1983).
struct LaneMoments {
  float count = 0;
  F16 mean = zero(), squares = zero();

  void merge(float more, F16 otherMean, F16 otherSquares) {
    if (more == 0) return;
    const float all = count + more;
    const F16 d = otherMean - mean;
    squares = squares + fma(d * d, set(count * (more / all)), otherSquares);
    mean = fma(d, set(more / all), mean);
    count = all;
  }
  // A piece that stays in the first cache between its two passes.
  void add(const float* x, int vectors) {
    F16 s = zero(), q = zero();
    for (int i = 0; i < vectors; i++) s = s + load(x + i * 16);
    const F16 m = s * set(1.0f / float(vectors));
    for (int i = 0; i < vectors; i++) {
      const F16 d = load(x + i * 16) - m;
      q = fma(d, d, q);
    }
    merge(float(vectors), m, q);
  }
};
constexpr int kMomentPiece = 64;  // vectors

inline void groupNormForward(const GroupNormForward& a, int block, int group, bool past) {
  const int first = firstOfGroup(a.groupStart, a.shape.channels, a.groups, group),
            end = firstOfGroup(a.groupStart, a.shape.channels, a.groups, group + 1);
  const int pixels = int(pixelsOf(a.shape));
  LaneMoments m;
  for (int c = first; c < end; c++) {
    if (isZeroChannel(a.inputState, c)) continue;
    const float* x = a.input + planeOffset(a.shape, block, c);
    for (int p = 0; p < pixels; p += kMomentPiece)
      m.add(x + p * std::int64_t(16), pixels - p < kMomentPiece ? pixels - p : kMomentPiece);
  }
  const float all = float(a.divisor) * float(pixels);
  m.merge(all - m.count, zero(), zero());
  const F16 inverse = set(1.0f) / vsqrt(fma(m.squares, set(1.0f / all), set(a.epsilon)));
  if (a.savedInvStd) {
    store(a.savedMean + (std::int64_t(block) * a.groups + group) * 16, m.mean);
    store(a.savedInvStd + (std::int64_t(block) * a.groups + group) * 16, inverse);
  }
  for (int c = first; c < end; c++) {
    if (isZeroChannel(a.outputState, c)) continue;
    const bool none = isZeroChannel(a.inputState, c);
    const F16 scale = inverse * set(a.weight ? a.weight[c] : 1.0f), bias = set(a.bias ? a.bias[c] : 0.0f);
    const std::int64_t at = planeOffset(a.shape, block, c);
    for (std::int64_t i = at; i < at + pixels * std::int64_t(16); i += 16)
      storeResult(a.output + i, fma((none ? zero() : load(a.input + i)) - m.mean, scale, bias), past);
  }
}

struct GradientSums {
  F16 gradient = zero(), product = zero();  // of g and of g * (x - mean)
};
inline GradientSums gradientSums(const GroupNormBackward& a, std::int64_t at, bool none, F16 mean) {
  GradientSums all;
  const std::int64_t end = at + pixelsOf(a.shape) * 16;
  while (at < end) {
    const std::int64_t stop = at + kMomentPiece * 16 < end ? at + kMomentPiece * 16 : end;
    GradientSums part;
    for (; at < stop; at += 16) {
      const F16 g = load(a.gradOutput + at);
      part.gradient = part.gradient + g;
      part.product = fma(g, (none ? zero() : load(a.input + at)) - mean, part.product);
    }
    all.gradient = all.gradient + part.gradient;
    all.product = all.product + part.product;
  }
  return all;
}

// sums[channel] of this block: of g * xhat and of g.
inline void groupNormBackward(const GroupNormBackward& a, int block, int group, ChannelGradients* sums) {
  const int first = firstOfGroup(a.groupStart, a.shape.channels, a.groups, group),
            end = firstOfGroup(a.groupStart, a.shape.channels, a.groups, group + 1);
  const std::int64_t saved = (std::int64_t(block) * a.groups + group) * 16, pixels = pixelsOf(a.shape);
  const F16 mean = load(a.savedMean + saved), inverse = load(a.savedInvStd + saved);
  const int images = imagesOf(a.batch, block);
  const M16 used = lanesBelow(images);
  F16 sum = zero(), product = zero();
  for (int c = first; c < end; c++) {
    if (isDeadChannel(a.outputState, c)) continue;
    const GradientSums s = gradientSums(a, planeOffset(a.shape, block, c), isZeroChannel(a.inputState, c), mean);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f), toWeight = s.product * inverse;
    sums[c] = {sumDouble(toWeight, images), sumDouble(s.gradient, images)};
    sum = fma(s.gradient, weight, sum);
    product = fma(toWeight, weight, product);
  }
  const F16 share = set(float(1.0 / (double(a.divisor) * double(pixels))));
  sum = sum * share, product = product * share * inverse;
  for (int c = first; c < end; c++) {
    if (isZeroChannel(a.inputState, c)) continue;
    const bool dead = isDeadChannel(a.outputState, c);
    const F16 weight = set(a.weight ? a.weight[c] : 1.0f);
    const std::int64_t at = planeOffset(a.shape, block, c);
    for (std::int64_t i = at; i < at + pixels * 16; i += 16) {
      const F16 h = dead ? zero() : load(a.gradOutput + i) * weight;
      const F16 r = inverse * (h - fma(load(a.input + i) - mean, product, sum));
      store(a.gradInput + i, select(used, r, zero()));
    }
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
