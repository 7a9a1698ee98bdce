// Losses of elements and of positions.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

struct LossAt {
  double loss, slope;
};

LossAt elementLoss(const ElementLoss& a, double z, double t) {
  const double d = z - t, size = std::fabs(d), delta = a.delta;
  switch (a.kind) {
    case ElementLossKind::kBinaryCrossEntropy:
      return {(z < 0 ? 0.0 : z) - z * t + std::log1p(std::exp(-std::fabs(z))), 1 / (1 + std::exp(-z)) - t};
    case ElementLossKind::kAbsolute:
      return {size, d > 0 ? 1.0 : d < 0 ? -1.0 : d};
    case ElementLossKind::kHuber:
      if (size <= delta) return {d * d / 2, d};
      return {delta * (size - delta / 2), d > 0 ? delta : d < 0 ? -delta : d};
  }
  return {};
}

// Others that are larger than the label's logit, or count as such; `classes` if that is NaN.
int rankOf(const PositionCrossEntropy& a, int n, int p, int label) {
  auto z = [&](int k) { return a.logits[laneOffset(a.shape, n, k, 0, p)]; };
  const float own = z(label);
  int rank = own == own ? 0 : a.shape.channels + 5;
  for (int k = 0; k < a.shape.channels; k++)
    if (k != label && (k < label ? !(z(k) < own) : !(z(k) <= own))) rank++;
  return rank;
}

// The loss of a position; writes its gradient.
double positionLoss(const PositionCrossEntropy& a, int n, int p, const LabelShares& l, double weightSum) {
  const int classes = a.shape.channels;
  const double smooth = a.labelSmoothing;
  auto z = [&](int k) { return double(a.logits[laneOffset(a.shape, n, k, 0, p)]); };
  auto weight = [&](int k) { return a.classWeight ? double(a.classWeight[k]) : 1.0; };
  double top = z(0), sum = 0, loss = 0, all = 0;
  for (int k = 1; k < classes; k++) top = std::fmax(top, z(k));
  for (int k = 0; k < classes; k++) sum += std::exp(z(k) - top);
  auto hit = [&](int k) { return (k == l.label ? double(l.share) : 0) + (k == l.other ? double(l.otherShare) : 0); };
  auto target = [&](int k) { return weight(k) * ((1 - smooth) * hit(k) + smooth / classes); };
  for (int k = 0; k < classes; k++) {
    if (target(k) > 0) loss -= target(k) * (z(k) - top - std::log(sum));
    all += target(k);
  }
  for (int k = 0; k < classes && a.gradLogits; k++) {
    const double gradient = all * std::exp(z(k) - top) / sum - target(k);
    a.gradLogits[laneOffset(a.shape, n, k, 0, p)] = weightSum > 0 ? float(gradient / weightSum) : 0.0f;
  }
  return loss;
}

}  // namespace

void ReferenceBackend::run(const ElementLoss& a) {
  const int features = int(a.shape.elements());
  const Shape flat{features, 1, 1};
  for (int n = 0; n < lanesOfBatch(a.batch); n++) {
    double loss = 0;
    for (int k = 0; k < features; k++) {
      const std::size_t at = laneOffset(flat, n, k, 0, 0);
      const LossAt l = n < a.batch ? elementLoss(a, a.output[at], a.target[at]) : LossAt{};
      loss += l.loss / features;
      if (a.gradOutput) a.gradOutput[at] = float(l.slope / (double(features) * a.batch));
    }
    a.result->lossSum += loss;
  }
  a.result->count += a.batch;
  a.result->weightSum += a.batch;
}

void ReferenceBackend::run(const PositionCrossEntropy& a) {
  const int positions = a.shape.pixels();
  auto sharesAt = [&](int n, int p) { return labelsAt(a, a.labels, a.counter, n, positions, p); };
  auto weight = [&](std::int32_t label) { return a.classWeight ? double(a.classWeight[label]) : 1.0; };
  double weightSum = 0;
  for (int n = 0; n < a.batch; n++)
    for (int p = 0; p < positions; p++) {
      const LabelShares l = sharesAt(n, p);
      if (l.label == a.ignored) continue;
      weightSum += double(l.share) * weight(l.label);
      if (l.otherShare > 0) weightSum += double(l.otherShare) * weight(l.other);
    }
  for (int n = 0; n < lanesOfBatch(a.batch); n++)
    for (int p = 0; p < positions; p++) {
      const LabelShares l = n < a.batch ? sharesAt(n, p) : LabelShares{a.ignored, a.ignored, 1, 0};
      if (l.label == a.ignored) {
        for (int k = 0; k < a.shape.channels && a.gradLogits; k++) a.gradLogits[laneOffset(a.shape, n, k, 0, p)] = 0;
        continue;
      }
      const int rank = rankOf(a, n, p, l.label);
      a.result->lossSum += positionLoss(a, n, p, l, weightSum);
      a.result->correct += rank < 1;
      a.result->topFive += rank < 5;
      a.result->count++;
    }
  a.result->weightSum += weightSum;
}

void ReferenceBackend::run(const SoftCrossEntropy& a) {
  const int classes = a.shape.channels, positions = a.shape.pixels();
  const double share = a.share, heat = a.temperature, count = double(a.result->count);
  double divergences = 0;
  std::vector<double> z(static_cast<std::size_t>(classes)), u = z;
  // Logarithms of the softmax at the temperature, of one position.
  auto logShares = [&](const float* from, int n, int p, std::vector<double>& to) {
    for (int k = 0; k < classes; k++) to[std::size_t(k)] = double(from[laneOffset(a.shape, n, k, 0, p)]) / heat;
    const double top = *std::max_element(to.begin(), to.end());
    double sum = 0;
    for (double v : to) sum += std::exp(v - top);
    for (double& v : to) v -= top + std::log(sum);
  };
  for (int n = 0; n < a.batch; n++)
    for (int p = 0; p < positions; p++) {
      if (a.labels[std::int64_t(n) * positions + p] == a.ignored) continue;
      logShares(a.logits, n, p, z);
      logShares(a.targets, n, p, u);
      for (std::size_t k = 0; k < z.size(); k++) {
        const double target = std::exp(u[k]);
        if (target != 0) divergences += target * (u[k] - z[k]);
        float& g = a.gradLogits[laneOffset(a.shape, n, int(k), 0, p)];
        g = float((1 - share) * double(g) + share * heat / count * (std::exp(z[k]) - target));
      }
    }
  a.result->lossSum = softLossSum(a, *a.result, divergences);
}

}  // namespace selfcompress
