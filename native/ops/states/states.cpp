#include "ops/states/states.h"

#include <cmath>

namespace selfcompress {

void stateFromBits(const StateFromBits& a) {
  for (int c = 0; c < a.channels; c++) {
    bool live = !a.bitDepth || !isDead(a.bitDepth[c]);
    if (a.depthwiseInput && a.depthwiseInput[c / a.multiplier] == kZero) live = false;
    a.output[c] = live ? kLive : !a.bias || a.bias[c] == 0 ? kZero : kConstant;
  }
}

void stateThroughNorm(const StateThroughNorm& a) {
  for (int c = 0; c < a.channels; c++) {
    bool shift = a.bias && a.bias[c] != 0;
    if (a.runningMean) shift = shift || a.runningMean[c] != 0 || a.input[c] == kConstant;
    a.output[c] = a.input[c] == kLive ? kLive : shift ? kConstant : kZero;
  }
}

void stateOfSum(const StateOfSum& a) {
  for (int c = 0; c < a.channels; c++)
    a.output[c] = a.a[c] == kLive || a.b[c] == kLive ? kLive : a.a[c] == kZero && a.b[c] == kZero ? kZero : kConstant;
}

void stateOfProduct(const StateOfProduct& a) {
  for (int c = 0; c < a.channels; c++) {
    const std::int32_t x = a.a[c], y = a.b[a.oneB ? 0 : c];
    a.output[c] = x == kZero || y == kZero ? kZero : x == kLive || y == kLive ? kLive : kConstant;
  }
}

void stateThroughActivation(const StateThroughActivation& a) {
  for (int c = 0; c < a.channels; c++) a.output[c] = a.input[c] == kZero && !a.keepsZero ? kConstant : a.input[c];
}

void stateThroughLayerNorm(const StateThroughLayerNorm& a) {
  for (int c = 0; c < a.channels; c++) {
    const bool shift = a.bias && a.bias[c] != 0, scale = !a.weight || a.weight[c] != 0;
    if (a.input[c] != kZero) a.output[c] = kLive;
    else if (a.rms) a.output[c] = shift ? kConstant : kZero;
    else a.output[c] = shift || scale ? kLive : kZero;
  }
}

void stateCopy(const StateCopy& a) {
  for (int c = 0; c < a.channels; c++)
    for (int r = 0; r < a.repeat; r++) a.output[a.outFirst + c * a.repeat + r] = a.input[c];
}

void stateJoin(const StateJoin& a) {
  for (int c = 0; c < a.channels; c++) {
    bool live = false, constant = false;
    for (int i = 0; i < a.perChannel; i++) {
      const std::int32_t from = a.index[c * a.perChannel + i], state = from < 0 ? std::int32_t(kZero) : a.input[from];
      live = live || state == kLive;
      constant = constant || state == kConstant;
    }
    a.output[c] = live || (constant && a.mixed) ? kLive : constant ? kConstant : kZero;
  }
}

void listChannels(const ListChannels& a) {
  std::int32_t count = 0;
  for (int c = 0; c < a.channels; c++)
    if (a.keepConstant ? a.state[c] != kZero : a.state[c] == kLive) a.index[count++] = c;
  *a.count = count;
}

void clipScale(const ClipScale& a) {
  double norm = std::sqrt(*a.sum), scale = double(a.maxNorm) / (norm + 1e-6);
  *a.scale = float(scale > 1 ? 1.0 : scale);
  *a.norm = float(norm);
  *a.sum = 0;
}

void clampBitDepth(const ClampBitDepth& a) {
  for (std::int64_t c = 0; c < a.count; c++) {
    float& b = a.bitDepth[c];
    if (b > a.most[c]) b = a.most[c];
    if (b < a.least[c]) b = a.least[c];
    if (b <= 0) b = 0;
  }
}

namespace {

struct Sets {
  const KeepFamilies& a;
  // The smallest of a set's values; a NaN counts as alive, so that it is seen.
  float smallest(const float* values, int set) const {
    float least = 24;
    for (int m = a.setStart[set]; m < a.setStart[set + 1]; m++) {
      float v = values[a.member[m]];
      if (v <= 0) return 0;
      if (v < least) least = v;
    }
    return least;
  }
  // The set of the class with the largest value, or -1: none is above 0.
  int best(const float* values, int c, float& value) const {
    int found = -1;
    for (int s = a.classStart[c]; s < a.classStart[c + 1]; s++) {
      float v = smallest(values, s);
      if (v > (found < 0 ? 0 : value)) found = s, value = v;
    }
    return found;
  }
};

void keepFamily(const KeepFamilies& a, int family) {
  const Sets sets{a};
  int alive = 0, keep = -1;
  float value = 0;
  for (int c = a.familyStart[family]; c < a.familyStart[family + 1] && alive < 2; c++) {
    int set = sets.best(a.bitDepth, c, value);
    if (set >= 0) alive++, keep = set;
  }
  if (alive > 1) return;
  float largest = 0;
  for (int c = a.familyStart[family]; c < a.familyStart[family + 1] && !alive; c++) {
    int set = sets.best(a.before, c, value);
    if (set >= 0 && value > largest) largest = value, keep = set;
  }
  if (keep < 0) return;  // it came without a living channel
  for (int m = a.setStart[keep]; m < a.setStart[keep + 1]; m++)
    if (a.bitDepth[a.member[m]] < 1) a.bitDepth[a.member[m]] = 1;
}

}  // namespace

void keepFamilies(const KeepFamilies& a) {
  for (int f = 0; f < a.families; f++) keepFamily(a, f);
}

void rangeGradients(const RangeGradients& a) {
  for (int c = 0; c < a.channels; c++) {
    if (a.gradExponent && !isDead(a.bitDepth[c])) a.gradBitDepth[c] -= a.gradExponent[c];
    a.previousBitDepth[c] = a.bitDepth[c];
  }
}

void keepRange(const KeepRange& a) {
  for (int c = 0; c < a.channels; c++)
    if (!isDead(a.bitDepth[c])) a.exponent[c] += a.previousBitDepth[c] - a.bitDepth[c];
}

void decayDead(const DecayDead& a) {
  auto shrink = [&](float& x) { x = std::fabs(x) < 1e-6f ? 0.0f : x * (1 - a.rate); };
  for (int c = 0; c < a.channels; c++) {
    if (a.state[c] == kLive) continue;
    if (a.value) shrink(a.value[c]);
    if (a.runningMean) shrink(a.runningMean[c]);
  }
}

}  // namespace selfcompress
