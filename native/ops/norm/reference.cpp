#include <cmath>

#include "ops/norm/moments.h"
#include "reference/reference_backend.h"

namespace selfcompress {

void ReferenceBackend::run(const BatchNormForward& a) {
  const int pixels = a.shape.pixels();
  const double count = double(a.batch) * pixels;
  for (int c = 0; c < a.shape.channels; c++) {
    auto at = [&](int n, int p) { return laneOffset(a.shape, n, c, 0, p); };
    const bool zeroInput = a.inputState && a.inputState[c] == kZero;
    auto x = [&](int n, int p) { return zeroInput ? 0.0 : double(a.input[at(n, p)]); };
    double mean = a.runningMean[c], variance = a.runningVar[c];
    if (a.training) {
      ChannelMoments m;
      if (!zeroInput) m = a.statistics ? a.statistics[c] : momentsOf(a.input, a.shape, a.batch, c);
      mean = m.mean, variance = m.variance;
      double unbiased = count > 1 ? variance * count / (count - 1) : variance;
      a.runningMean[c] += a.momentum * (float(mean) - a.runningMean[c]);
      a.runningVar[c] += a.momentum * (float(unbiased) - a.runningVar[c]);
    }
    const double inverse = 1.0 / std::sqrt(variance + double(a.epsilon));
    if (a.training) {
      a.savedMean[c] = float(mean);
      a.savedInvStd[c] = float(inverse);
    }
    if (a.outputState && a.outputState[c] == kZero) continue;
    for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
      for (int p = 0; p < pixels; p++) {
        double y =
            (x(n, p) - mean) * inverse * (a.weight ? double(a.weight[c]) : 1.0) + (a.bias ? double(a.bias[c]) : 0.0);
        a.output[at(n, p)] = a.relu && y < 0 ? 0.0f : float(y);
      }
  }
}

void ReferenceBackend::run(const BatchNormBackward& a) {
  const int pixels = a.shape.pixels();
  const double count = double(a.batch) * pixels;
  for (int c = 0; c < a.shape.channels; c++) {
    auto at = [&](int n, int p) { return laneOffset(a.shape, n, c, 0, p); };
    auto gradient = [&](std::size_t i) {
      return a.reluOutput && !(a.reluOutput[i] > 0) ? 0.0 : double(a.gradOutput[i]);
    };
    auto normalised = [&](std::size_t i) {
      return (double(a.input[i]) - double(a.savedMean[c])) * double(a.savedInvStd[c]);
    };
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
    const double slope = (a.weight ? double(a.weight[c]) : 1.0) * double(a.savedInvStd[c]);
    for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
      for (int p = 0; p < pixels; p++) {
        std::size_t i = at(n, p);
        bool none = dead || n >= a.batch || (a.reluInput && !(a.reluInput[i] > 0));
        a.gradInput[i] = none ? 0.0f : float(slope * (gradient(i) - sum / count - normalised(i) * product / count));
      }
  }
}

}  // namespace selfcompress
