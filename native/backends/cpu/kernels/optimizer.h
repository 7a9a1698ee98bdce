// One optimizer step on a stretch of a parameter: every array is read and written once.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct OptimizerConstants {
  Optimizer kind;
  bool nesterov;
  F16 clip, decay, rate, momentum, beta1, rest1, beta2, rest2, epsilon, shrink, step, root;
};

inline OptimizerConstants optimizerConstants(const OptimizerStep& a) {
  double rate = *a.learningRate, t = *a.stepNumber;
  OptimizerConstants c;
  c.kind = a.kind;
  c.nesterov = a.nesterov;
  c.clip = set(a.clipScale ? *a.clipScale : 1.0f);
  c.decay = set(a.weightDecay);
  c.rate = set(float(rate));
  c.momentum = set(a.momentum);
  c.beta1 = set(a.beta1);
  c.rest1 = set(1.0f - a.beta1);
  c.beta2 = set(a.beta2);
  c.rest2 = set(1.0f - a.beta2);
  c.epsilon = set(a.epsilon);
  c.shrink = set(float(1.0 - rate * double(a.weightDecay)));
  c.step = set(float(rate / (1.0 - ::pow(double(a.beta1), t))));
  c.root = set(float(1.0 / ::sqrt(1.0 - ::pow(double(a.beta2), t))));
  return c;
}

inline void optimizerUpdate(const OptimizerConstants& c, F16 g, F16& w, F16& m, F16& v) {
  g = g * c.clip;
  if (c.kind == Optimizer::kSgd) {
    g = fma(c.decay, w, g);
    m = fma(c.momentum, m, g);
    w = w - c.rate * (c.nesterov ? fma(c.momentum, m, g) : m);
    return;
  }
  if (c.kind == Optimizer::kAdam) g = fma(c.decay, w, g);
  else w = w * c.shrink;
  m = fma(c.beta1, m, c.rest1 * g);
  v = fma(c.beta2, v, c.rest2 * g * g);
  w = w - c.step * m / fma(vsqrt(v), c.root, c.epsilon);
}

inline void optimizerStep(const OptimizerStep& a, std::int64_t begin, std::int64_t end) {
  const OptimizerConstants c = optimizerConstants(a);
  std::int64_t i = begin;
  for (; i + 16 <= end; i += 16) {
    F16 w = load(a.parameter + i), m = load(a.moment1 + i), v = a.moment2 ? load(a.moment2 + i) : zero();
    optimizerUpdate(c, load(a.gradient + i), w, m, v);
    store(a.parameter + i, w);
    store(a.moment1 + i, m);
    if (a.moment2) store(a.moment2 + i, v);
  }
  if (i == end) return;
  int n = int(end - i);
  F16 w = loadTail(a.parameter + i, n), m = loadTail(a.moment1 + i, n),
      v = a.moment2 ? loadTail(a.moment2 + i, n) : zero();
  optimizerUpdate(c, loadTail(a.gradient + i, n), w, m, v);
  storeTail(a.parameter + i, w, n);
  storeTail(a.moment1 + i, m, n);
  if (a.moment2) storeTail(a.moment2 + i, v, n);
}

inline F16 averaged(F16 rest, F16 p, F16 average) {
  const M16 other = either(either(less(p, zero()), less(zero(), p)), isNan(p));
  return select(other, fma(rest, p - average, average), zero());
}

inline void averageParameters(const AverageParameters& a, std::int64_t begin, std::int64_t end) {
  const double t = *a.stepNumber, rising = (1 + t) / (10 + t),
               decay = double(a.decay) < rising ? double(a.decay) : rising;
  const F16 rest = set(float(1 - decay));
  std::int64_t i = begin;
  for (; i + 16 <= end; i += 16) store(a.average + i, averaged(rest, load(a.parameter + i), load(a.average + i)));
  if (i == end) return;
  const int n = int(end - i);
  storeTail(a.average + i, averaged(rest, loadTail(a.parameter + i, n), loadTail(a.average + i, n)), n);
}

inline double sumOfSquares(const float* values, std::int64_t n) {
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += 2048) {
    std::int64_t end = begin + 2048 < n ? begin + 2048 : n, i = begin;
    F16 s = zero();
    for (; i + 16 <= end; i += 16) {
      F16 x = load(values + i);
      s = fma(x, x, s);
    }
    if (i < end) {
      F16 x = loadTail(values + i, int(end - i));
      s = fma(x, x, s);
    }
    total += sumDouble(s, 16);
  }
  return total;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
