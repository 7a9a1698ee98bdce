// Cross-entropy against soft targets at some positions of a block of images (ops/loss.h).
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// Of logits z and targets u, both at the temperature and less their largest: sums of exp(z), exp(u), exp(u) (u - z).
struct SoftSums {
  F16 top[kLines], targetTop[kLines], sum[kLines], targetSum[kLines], cross[kLines];
};

inline void softPass(const Strips& z, const Strips& u, int classes, int count, F16 cold, SoftSums& s) {
  const F16 none = zero();
  F16 part[3][kLines];
  for (int j = 0; j < count; j++) {
    s.top[j] = s.targetTop[j] = minusInfinity();
    s.sum[j] = s.targetSum[j] = s.cross[j] = none;
  }
  for (int k = 0; k < classes; k++)
    for (int j = 0; j < count; j++) {
      s.top[j] = vmax(s.top[j], firstRead(z, k, j));
      s.targetTop[j] = vmax(s.targetTop[j], firstRead(u, k, j));
    }
  for (int k = 0; k < classes;) {
    const int end = k + 64 < classes ? k + 64 : classes;
    for (int j = 0; j < count; j++) part[0][j] = part[1][j] = part[2][j] = none;
    for (; k < end; k++) {
      const float *logits = z.again(k), *targets = u.again(k);
      for (int j = 0; j < count; j++) {
        const F16 d = (load(logits + j * 16) - s.top[j]) * cold, t = (load(targets + j * 16) - s.targetTop[j]) * cold;
        const F16 e = vexpBelow(t);
        part[0][j] = part[0][j] + vexpBelow(d);
        part[1][j] = part[1][j] + e;
        part[2][j] = part[2][j] + select(either(less(none, e), isNan(e)), e * (t - d), none);
      }
    }
    for (int j = 0; j < count; j++) {
      s.sum[j] = s.sum[j] + part[0][j];
      s.targetSum[j] = s.targetSum[j] + part[1][j];
      s.cross[j] = s.cross[j] + part[2][j];
    }
  }
}

// Of those images of a position that count (1, else 0).
inline double divergencesOf(const SoftSums& s, int j, const float* counts) {
  float sum[16], targetSum[16], cross[16];
  store(sum, s.sum[j]);
  store(targetSum, s.targetSum[j]);
  store(cross, s.cross[j]);
  double all = 0;
  for (int i = 0; i < 16; i++)
    if (counts[i] > 0)
      all += double(cross[i]) / double(targetSum[i]) + ::log(double(sum[i])) - ::log(double(targetSum[i]));
  return all;
}

// The sum of the divergences of positions [first, first + count); `positions`: those of the batch that count.
inline double softCrossEntropy(const SoftCrossEntropy& a, int block, int first, int count, double positions,
                               float* room) {
  const std::int64_t pixels = pixelsOf(a.shape), stride = pixels * 16;
  const Strips z = stripsOf(a.logits, a.shape, block, first, count, room),
               u = stripsOf(a.targets, a.shape, block, first, count, secondRoom(room, a.shape, count));
  const F16 cold = set(1 / a.temperature), keep = set(1 - a.share),
            scale = set(positions > 0 ? float(double(a.share) * double(a.temperature) / positions) : 0.0f);
  SoftSums s;
  softPass(z, u, a.shape.channels, count, cold, s);
  float counts[kLines][16];
  double divergences = 0;
  F16 inverse[kLines], targetInverse[kLines];
  for (int j = 0; j < count; j++) {
    for (int i = 0; i < 16; i++) {
      const std::int64_t n = block * 16 + i;
      counts[j][i] = n < a.batch && a.labels[n * pixels + first + j] != a.ignored ? 1.0f : 0.0f;
    }
    divergences += divergencesOf(s, j, counts[j]);
    inverse[j] = set(1.0f) / s.sum[j], targetInverse[j] = set(1.0f) / s.targetSum[j];
  }
  float* grad = a.gradLogits + planeOffset(a.shape, block, 0) + first * std::int64_t(16);
  for (int k = 0; k < a.shape.channels; k++) {
    const float *logits = z.again(k), *targets = u.again(k);
    for (int j = 0; j < count; j++) {
      const F16 p = vexpBelow((load(logits + j * 16) - s.top[j]) * cold) * inverse[j],
                t = vexpBelow((load(targets + j * 16) - s.targetTop[j]) * cold) * targetInverse[j];
      float* to = grad + k * stride + j * 16;
      const F16 soft = select(less(zero(), load(counts[j])), (p - t) * scale, zero());
      store(to, fma(load(to), keep, soft));
    }
  }
  return divergences;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
