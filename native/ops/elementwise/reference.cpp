// Activations, dropout, addition and copies of channels.
#include <cmath>

#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// visit(offset, channel) for every element of the channels that are not kZero, padding lanes included.
template <class Visit>
void forElements(Shape shape, int batch, const std::int32_t* state, Visit visit) {
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int p = 0; p < shape.pixels() && (!state || state[c] != kZero); p++) visit(laneOffset(shape, n, c, 0, p), c);
}

double normalCdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
double normalPdf(double x) { return 0.39894228040143267794 * std::exp(-0.5 * x * x); }

}  // namespace

void ReferenceBackend::run(const ActivationForward& a) {
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int) {
    double x = a.input[i], y = x;
    bool lowest = x == -HUGE_VAL;
    if (a.kind == Activation::kRelu) y = x < 0 ? 0.0 : x;
    if (a.kind == Activation::kGelu) y = lowest ? 0.0 : x * normalCdf(x);
    if (a.kind == Activation::kSilu) y = lowest ? 0.0 : x / (1 + std::exp(-x));
    a.output[i] = float(y);
  });
}

void ReferenceBackend::run(const ActivationBackward& a) {
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int) {
    double x = a.input[i], g = a.gradOutput[i], slope = 0;
    if (a.kind == Activation::kRelu) slope = x > 0 ? 1 : 0;
    if (a.kind == Activation::kGelu) slope = normalCdf(x) + x * normalPdf(x);
    if (a.kind == Activation::kSilu) {
      double s = 1 / (1 + std::exp(-x));
      slope = s * (1 + x * (1 - s));
    }
    a.gradInput[i] = a.kind == Activation::kRelu ? (slope > 0 ? float(g) : 0.0f) : float(g * slope);
  });
}

void ReferenceBackend::run(const Dropout& a) {
  std::uint64_t key = dropoutKey(a.counter->seed, a.counter->step, a.site);
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int) {
    bool keep = uniformFrom(mix64(key + i)) >= a.probability;
    a.output[i] = a.input[i] * (keep ? 1.0f / (1.0f - a.probability) : 0.0f);
  });
}

void ReferenceBackend::run(const Add& a) {
  forElements(a.shape, a.batch, nullptr, [&](std::size_t i, int c) {
    bool noA = a.stateA && a.stateA[c] == kZero, noB = a.stateB && a.stateB[c] == kZero;
    if (noA && noB) return;
    float v = (noA ? 0.0f : a.a[i]) + (noB ? 0.0f : a.b[i]);
    a.output[i] = a.relu && v < 0 ? 0.0f : v;
  });
}

void ReferenceBackend::run(const CopyChannels& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int i = 0; i < a.count; i++)
      for (int p = 0; p < a.input.pixels() && (!a.state || a.state[i] != kZero); p++) {
        float& to = a.target[laneOffset(a.output, n, a.outFirst + i, 0, p)];
        float from = a.source[laneOffset(a.input, n, a.inFirst + i, 0, p)];
        to = a.accumulate ? to + from : from;
      }
}

void ReferenceBackend::run(const ClearChannels& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int c = 0; c < a.shape.channels; c++)
      for (int p = 0; p < a.shape.pixels() && a.state[c] == kZero; p++) a.output[laneOffset(a.shape, n, c, 0, p)] = 0;
}

}  // namespace selfcompress
