#include <cmath>

#include "ops/activation/functions.h"
#include "ops/norm/moments.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

Activation kindOf(NormActivation kind) {
  switch (kind) {
#define SELFCOMPRESS_KIND(kKind) \
  case NormActivation::kKind:    \
    return Activation::kKind;
    SELFCOMPRESS_NORM_ACTIVATIONS(SELFCOMPRESS_KIND)
#undef SELFCOMPRESS_KIND
    case NormActivation::kNone:
      break;
  }
  return Activation::kAffine;
}

float applied(const AppliedActivation& f, float y) {
  return f.kind == NormActivation::kNone
             ? y
             : float(activationOf(kindOf(f.kind), double(y), double(f.alpha), double(f.beta)));
}
float appliedGradient(const AppliedActivation& f, float y, float g) {
  if (f.kind == NormActivation::kNone) return g;
  const double slope = activationSlope(kindOf(f.kind), double(y), double(f.alpha), double(f.beta));
  return slope == 0 ? 0.0f : float(double(g) * slope);
}

// What forward and backward make of a value of a channel.
struct Line {
  double mean, inverse, weight, bias;
  float operator()(double x) const { return float((x - mean) * inverse * weight + bias); }
};

}  // namespace

void ReferenceBackend::run(const BatchNormForward& a) {
  const int pixels = a.shape.pixels();
  const double count = double(a.batch) * pixels;
  for (int c = 0; c < a.shape.channels; c++) {
    auto at = [&](int n, int p) { return laneOffset(a.shape, n, c, 0, p); };
    const bool zeroInput = a.inputState && a.inputState[c] == kZero;
    double mean = a.runningMean[c], variance = a.runningVar[c];
    if (a.training) {
      ChannelMoments m;
      if (!zeroInput) m = a.statistics ? a.statistics[c] : momentsOf(a.input, a.shape, a.batch, c);
      mean = m.mean, variance = m.variance;
      double unbiased = count > 1 ? variance * count / (count - 1) : variance;
      a.runningMean[c] += a.momentum * (float(mean) - a.runningMean[c]);
      a.runningVar[c] += a.momentum * (float(unbiased) - a.runningVar[c]);
    }
    // Rounded as backward gets them.
    const float center = float(mean), inverse = float(1.0 / std::sqrt(variance + double(a.epsilon)));
    if (a.training) a.savedMean[c] = center, a.savedInvStd[c] = inverse;
    if (a.outputState && a.outputState[c] == kZero) continue;
    const Line line{double(center), double(inverse), a.weight ? double(a.weight[c]) : 1.0,
                    a.bias ? double(a.bias[c]) : 0.0};
    for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
      for (int p = 0; p < pixels; p++)
        a.output[at(n, p)] = applied(a.activation, line(zeroInput ? 0.0 : double(a.input[at(n, p)])));
  }
}

void ReferenceBackend::run(const BatchNormBackward& a) {
  const int pixels = a.shape.pixels();
  const double count = double(a.batch) * pixels;
  for (int c = 0; c < a.shape.channels; c++) {
    auto at = [&](int n, int p) { return laneOffset(a.shape, n, c, 0, p); };
    const Line line{double(a.savedMean[c]), double(a.savedInvStd[c]), a.weight ? double(a.weight[c]) : 1.0,
                    a.bias ? double(a.bias[c]) : 0.0};
    auto gradient = [&](std::size_t i) {
      return double(appliedGradient(a.activation, line(double(a.input[i])), a.gradOutput[i]));
    };
    auto normalised = [&](std::size_t i) { return (double(a.input[i]) - line.mean) * line.inverse; };
    const bool dead = (a.inputState && a.inputState[c] != kLive) || (a.outputState && a.outputState[c] != kLive);
    double sum = 0, product = 0;
    for (int n = 0; n < a.batch && !dead; n++)
      for (int p = 0; p < pixels; p++) {
        sum += gradient(at(n, p));
        product += gradient(at(n, p)) * normalised(at(n, p));
      }
    if (a.gradWeight) a.gradWeight[c] = float(product);
    if (a.gradBias) a.gradBias[c] = float(sum);
    if (a.inputState && a.inputState[c] == kZero) continue;
    const double slope = line.weight * line.inverse;
    for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
      for (int p = 0; p < pixels; p++) {
        std::size_t i = at(n, p);
        bool none = dead || n >= a.batch || (a.reluInput && !(a.reluInput[i] > 0));
        a.gradInput[i] = none ? 0.0f : float(slope * (gradient(i) - sum / count - normalised(i) * product / count));
      }
  }
}

}  // namespace selfcompress
