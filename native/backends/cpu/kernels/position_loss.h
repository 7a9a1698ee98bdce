// Losses of elements and cross-entropy at positions (ops/loss.h).
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct LossAndSlope {
  F16 loss, slope;
};
template <ElementLossKind kKind>
inline LossAndSlope elementLossOf(F16 z, F16 t, F16 delta) {
  const F16 d = z - t, size = absolute(d), none = zero();
  if constexpr (kKind == ElementLossKind::kBinaryCrossEntropy)
    return {vmax(none, z) - z * t + vlog1p(vexp(none - absolute(z))), sigmoid(z) - t};
  const F16 direction = select(less(none, d), set(1.0f), select(less(d, none), set(-1.0f), d));
  if constexpr (kKind == ElementLossKind::kAbsolute) return {size, direction};
  const M16 far = less(delta, size);
  return {select(far, delta * fma(delta, set(-0.5f), size), set(0.5f) * d * d), select(far, delta * direction, d)};
}

template <ElementLossKind kKind>
inline void elementLossRun(const ElementLoss& a, int block, std::int64_t at, std::int64_t end, double* losses) {
  const M16 used = lanesBelow(imagesOf(a.batch, block));
  const double features = double(a.shape.channels) * double(pixelsOf(a.shape));
  const F16 share = set(float(1 / (features * a.batch))), delta = set(a.delta);
  double all[16] = {};
  while (at < end) {
    const std::int64_t stop = at + 64 * 16 < end ? at + 64 * 16 : end;
    F16 part = zero();
    for (; at < stop; at += 16) {
      const LossAndSlope l = elementLossOf<kKind>(load(a.output + at), load(a.target + at), delta);
      part = part + l.loss;
      if (a.gradOutput) store(a.gradOutput + at, select(used, l.slope * share, zero()));
    }
    float sums[16];
    store(sums, part);
    for (int i = 0; i < 16; i++) all[i] += double(sums[i]) / features;
  }
  for (int i = 0; i < 16; i++) losses[i] = all[i];
}

// Vectors [first, end) of a block's elements; losses[16] receives each image's part of its mean.
inline void elementLoss(const ElementLoss& a, int block, std::int64_t first, std::int64_t end, double* losses) {
  const std::int64_t base = block * a.shape.channels * pixelsOf(a.shape);
  const std::int64_t from = (base + first) * 16, to = (base + end) * 16;
  switch (a.kind) {
    case ElementLossKind::kBinaryCrossEntropy:
      return elementLossRun<ElementLossKind::kBinaryCrossEntropy>(a, block, from, to, losses);
    case ElementLossKind::kAbsolute:
      return elementLossRun<ElementLossKind::kAbsolute>(a, block, from, to, losses);
    case ElementLossKind::kHuber:
      return elementLossRun<ElementLossKind::kHuber>(a, block, from, to, losses);
  }
}

// Some positions of a block of images: what is known of each before the passes over the classes, and after.
struct PositionLosses {
  float label[kLines][16], own[kLines][16];  // the label, -1 where it is left out, and its logit
  LabelShares labels[kLines][16];            // of those that count
  F16 top[kLines], sum[kLines], rank[kLines], weighted[kLines];
};

inline void readLabels(const PositionCrossEntropy& a, int block, int first, int count, PositionLosses& s) {
  const std::int64_t pixels = pixelsOf(a.shape);
  const float* z = a.logits + planeOffset(a.shape, block, 0);
  for (int j = 0; j < count; j++)
    for (int i = 0; i < 16; i++) {
      const std::int64_t n = block * 16 + i;
      LabelShares& l = s.labels[j][i];
      l.label = a.ignored;
      if (n < a.batch) l = labelsAt(a, a.labels, a.counter, int(n), pixels, first + j);
      const bool counts = l.label != a.ignored;
      s.label[j][i] = counts ? float(l.label) : -1.0f;
      s.own[j][i] = counts ? z[(l.label * pixels + first + j) * 16 + i] : 0.0f;
    }
}

// The largest logit, the sum of the exponentials, the label's rank, and the sum of the weighted logits.
inline void passOverClasses(const PositionCrossEntropy& a, const Strips& z, int count, PositionLosses& s) {
  const F16 one = set(1.0f), none = zero();
  F16 part[kLines];
  for (int j = 0; j < count; j++) s.top[j] = minusInfinity(), s.sum[j] = s.rank[j] = s.weighted[j] = none;
  for (int k = 0; k < a.shape.channels; k++)
    for (int j = 0; j < count; j++) s.top[j] = vmax(s.top[j], firstRead(z, k, j));
  for (int k = 0; k < a.shape.channels;) {
    const int end = k + 64 < a.shape.channels ? k + 64 : a.shape.channels;
    for (int j = 0; j < count; j++) part[j] = none;
    for (; k < end; k++) {
      const F16 number = set(float(k)), weight = set(a.classWeight ? a.classWeight[k] : 1.0f);
      const float* again = z.again(k);
      for (int j = 0; j < count; j++) {
        const F16 v = load(again + j * 16), own = load(s.own[j]), d = v - s.top[j];
        part[j] = part[j] + vexpBelow(d);
        if (a.labelSmoothing > 0) s.weighted[j] = fma(weight, d, s.weighted[j]);
        const F16 tie = select(less(v, own), none, select(less(number, load(s.label[j])), one, none));
        s.rank[j] = s.rank[j] + select(either(less(own, v), isNan(v)), one, tie);
      }
    }
    for (int j = 0; j < count; j++) s.sum[j] = s.sum[j] + part[j];
  }
}

// z: the logits of the position, one class after another `stride` apart.
inline void addPosition(const PositionCrossEntropy& a, const PositionLosses& s, int j, const float* z,
                        std::int64_t stride, double weightOfAll, PositionSums& sums, float* share) {
  float top[16], sum[16], rank[16], weighted[16];
  store(top, s.top[j]);
  store(sum, s.sum[j]);
  store(rank, s.rank[j]);
  store(weighted, s.weighted[j]);
  const double smooth = a.labelSmoothing, each = smooth / a.shape.channels;
  for (int i = 0; i < 16; i++) {
    share[i] = 0;
    if (s.label[j][i] < 0) continue;
    const LabelShares& l = s.labels[j][i];
    double weight = double(l.share) * (a.classWeight ? double(a.classWeight[l.label]) : 1.0);
    const double logSum = ::log(double(sum[i])), own = double(s.own[j][i]);
    sums.loss += (1 - smooth) * weight * (logSum - (own - double(top[i])));
    if (l.otherShare > 0) {
      const double other = double(l.otherShare) * (a.classWeight ? double(a.classWeight[l.other]) : 1.0);
      sums.loss += (1 - smooth) * other * (logSum - (double(z[l.other * stride + i]) - double(top[i])));
      weight += other;
    }
    if (smooth > 0) sums.loss += each * (weightOfAll * logSum - double(weighted[i]));
    const bool number = own == own;
    sums.correct += number && rank[i] < 1;
    sums.topFive += number && rank[i] < 5;
    sums.count++;
    share[i] = float((1 - smooth) * weight + each * weightOfAll);
  }
}

inline void positionCrossEntropy(const PositionCrossEntropy& a, int block, int first, int count, const LossWeights& w,
                                 float* room, PositionSums& sums) {
  const std::int64_t stride = pixelsOf(a.shape) * 16, at = planeOffset(a.shape, block, 0) + first * std::int64_t(16);
  PositionLosses s;
  readLabels(a, block, first, count, s);
  const Strips z = stripsOf(a.logits, a.shape, block, first, count, room);
  passOverClasses(a, z, count, s);
  float share[kLines][16];
  for (int j = 0; j < count; j++) addPosition(a, s, j, a.logits + at + j * 16, stride, w.ofAllClasses, sums, share[j]);
  if (!a.gradLogits) return;
  float* grad = a.gradLogits + at;
  const float scale = w.sum > 0 ? float(1 / w.sum) : 0.0f, each = a.labelSmoothing / float(a.shape.channels) * scale;
  F16 inverse[kLines];
  for (int j = 0; j < count; j++) inverse[j] = set(1.0f) / s.sum[j];
  for (int k = 0; k < a.shape.channels; k++) {
    const F16 low = set(each * (a.classWeight ? a.classWeight[k] : 1.0f));
    const float* again = z.again(k);
    for (int j = 0; j < count; j++) {
      const F16 p = vexpBelow(load(again + j * 16) - s.top[j]) * inverse[j];
      const M16 counts = less(set(-0.5f), load(s.label[j]));
      store(grad + k * stride + j * 16, select(counts, fma(p, load(share[j]) * set(scale), zero() - low), zero()));
    }
  }
  for (int j = 0; j < count; j++)
    for (int i = 0; i < 16; i++) {
      if (s.label[j][i] < 0) continue;
      const LabelShares& l = s.labels[j][i];
      auto hit = [&](std::int32_t label, float part) {
        const float weight = a.classWeight ? a.classWeight[label] : 1.0f;
        grad[label * stride + j * 16 + i] -= (1 - a.labelSmoothing) * weight * scale * part;
      };
      hit(l.label, l.share);
      if (l.otherShare > 0) hit(l.other, l.otherShare);
    }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
