// Losses of one block of 16 images, one image per lane.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline M16 usedLanes(int batch, int block) {
  float used[16];
  for (int i = 0; i < 16; i++) used[i] = block * 16 + i < batch ? 1.0f : 0.0f;
  return less(zero(), load(used));
}

inline int crossEntropy(const CrossEntropy& a, int block, double* losses) {
  const float* z = a.logits + std::int64_t(block) * a.classes * 16;
  F16 best = load(z), which = zero(), total = zero();
  for (int k = 0; k < a.classes; k++) {
    F16 v = load(z + k * 16);
    M16 better = less(best, v);
    best = select(better, v, best);
    which = select(better, set(float(k)), which);
    total = total + v;
  }
  F16 s = zero();
  for (int k = 0; k < a.classes; k++) s = s + vexp(load(z + k * 16) - best);
  float top[16], winner[16], sums[16], totals[16];
  store(top, best);
  store(winner, which);
  store(sums, s);
  store(totals, total);
  int correct = 0;
  LabelShares labels[16];
  for (int i = 0; i < 16 && block * 16 + i < a.batch; i++) labels[i] = labelsAt(a, a.labels, a.counter, block * 16 + i);
  const double smooth = a.labelSmoothing;
  for (int i = 0; i < 16 && block * 16 + i < a.batch; i++) {
    const LabelShares& l = labels[i];
    double logSum = double(top[i]) + ::log(double(sums[i])), own = double(z[l.label * 16 + i]);
    if (l.otherShare > 0) own = double(l.share) * own + double(l.otherShare) * double(z[l.other * 16 + i]);
    double loss = (1 - smooth) * (logSum - own);
    if (smooth > 0) loss += smooth * (logSum - double(totals[i]) / a.classes);
    losses[i] = loss;
    correct += int(winner[i]) == l.label;
  }
  if (!a.gradLogits) return correct;
  float* grad = a.gradLogits + std::int64_t(block) * a.classes * 16;
  const M16 used = usedLanes(a.batch, block);
  const F16 perImage = set(1.0f / float(a.batch)), inverse = set(1.0f) / s,
            low = set(a.labelSmoothing / float(a.classes));
  for (int k = 0; k < a.classes; k++) {
    F16 p = vexp(load(z + k * 16) - best) * inverse;
    store(grad + k * 16, select(used, (p - low) * perImage, zero()));
  }
  const float hit = (1.0f - a.labelSmoothing) / float(a.batch);
  for (int i = 0; i < 16 && block * 16 + i < a.batch; i++) {
    grad[labels[i].label * 16 + i] -= hit * labels[i].share;
    grad[labels[i].other * 16 + i] -= hit * labels[i].otherShare;
  }
  return correct;
}

inline void meanSquaredError(const MeanSquaredError& a, int block, double* losses) {
  const std::int64_t n = std::int64_t(a.shape.channels) * a.shape.height * a.shape.width, at = block * n * 16;
  const M16 used = usedLanes(a.batch, block);
  const F16 slope = set(float(2.0 / (double(n) * a.batch)));
  F16 s = zero();
  for (std::int64_t i = at; i < at + n * 16; i += 16) {
    F16 d = load(a.output + i) - load(a.target + i);
    s = fma(d, d, s);
    if (a.gradOutput) store(a.gradOutput + i, select(used, d * slope, zero()));
  }
  float sums[16];
  store(sums, s);
  for (int i = 0; i < 16; i++) losses[i] = double(sums[i]) / double(n);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
