// Losses and optimizers.
#include <algorithm>
#include <cmath>

#include "reference/reference_backend.h"

namespace selfcompress {

void ReferenceBackend::run(const CrossEntropy& a) {
  Shape shape{a.classes, 1, 1};
  const double smooth = a.labelSmoothing;
  for (int n = 0; n < a.batch; n++) {
    auto z = [&](int k) { return double(a.logits[laneOffset(shape, n, k, 0, 0)]); };
    int best = 0;
    double top = z(0), sum = 0, loss = 0;
    for (int k = 1; k < a.classes; k++)
      if (z(k) > top) top = z(best = k);
    for (int k = 0; k < a.classes; k++) sum += std::exp(z(k) - top);
    const LabelShares l = labelsAt(a, a.labels, a.counter, n);
    for (int k = 0; k < a.classes; k++) {
      const double hit = (k == l.label ? double(l.share) : 0) + (k == l.other ? double(l.otherShare) : 0);
      double target = (1 - smooth) * hit + smooth / a.classes, logP = z(k) - top - std::log(sum);
      if (target > 0) loss -= target * logP;
      if (a.gradLogits) a.gradLogits[laneOffset(shape, n, k, 0, 0)] = float((std::exp(logP) - target) / a.batch);
    }
    a.result->lossSum += loss;
    a.result->correct += best == l.label;
  }
  a.result->count += a.batch;
  a.result->weightSum += a.batch;
  for (int n = a.batch; n < blocksOf(a.batch) * kLanes && a.gradLogits; n++)
    for (int k = 0; k < a.classes; k++) a.gradLogits[laneOffset(shape, n, k, 0, 0)] = 0;
}

void ReferenceBackend::run(const MeanSquaredError& a) {
  const int features = int(a.shape.elements());
  Shape flat{features, 1, 1};
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++) {
    double loss = 0;
    for (int k = 0; k < features; k++) {
      std::size_t at = laneOffset(flat, n, k, 0, 0);
      double d = n < a.batch ? double(a.output[at]) - double(a.target[at]) : 0;
      loss += d * d / features;
      if (a.gradOutput) a.gradOutput[at] = float(2 * d / (double(features) * a.batch));
    }
    a.result->lossSum += loss;
  }
  a.result->count += a.batch;
  a.result->weightSum += a.batch;
}

void ReferenceBackend::run(const OptimizerStep& a) {
  const double rate = *a.learningRate, t = *a.stepNumber, decay = a.weightDecay, beta1 = a.beta1, beta2 = a.beta2;
  for (std::int64_t i = 0; i < a.count; i++) {
    if (a.frozenBitDepth && isDead(a.frozenBitDepth[i / a.perChannel])) continue;
    double g = double(a.gradient[i]) * (a.clipScale ? double(*a.clipScale) : 1.0), w = a.parameter[i], m = a.moment1[i];
    if (a.kind == Optimizer::kSgd) {
      g += decay * w;
      m = a.momentum * m + g;
      w -= rate * (a.nesterov ? g + a.momentum * m : m);
    } else {
      if (a.kind == Optimizer::kAdam) g += decay * w;
      else w -= rate * decay * w;
      m = beta1 * m + (1 - beta1) * g;
      double v = beta2 * a.moment2[i] + (1 - beta2) * g * g;
      w -= rate * (m / (1 - std::pow(beta1, t))) / (std::sqrt(v / (1 - std::pow(beta2, t))) + a.epsilon);
      a.moment2[i] = float(v);
    }
    a.moment1[i] = float(m);
    a.parameter[i] = float(w);
  }
}

void ReferenceBackend::run(const AverageParameters& a) {
  const double t = *a.stepNumber, rest = 1 - std::min(double(a.decay), (1 + t) / (10 + t));
  for (std::int64_t i = 0; i < a.count; i++) {
    const double p = a.parameter[i], average = a.average[i];
    a.average[i] = p == 0 ? 0.0f : float(average + rest * (p - average));
  }
}

void ReferenceBackend::run(const SumOfSquares& a) {
  for (std::int64_t i = 0; i < a.count; i++) *a.sum += double(a.values[i]) * double(a.values[i]);
}

}  // namespace selfcompress
