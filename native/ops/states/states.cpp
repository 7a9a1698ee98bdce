#include "ops/states/states.h"

#include <cmath>

namespace selfcompress {

void stateFromBits(const StateFromBits& a) {
  for (int c = 0; c < a.channels; c++) {
    bool live = !a.bitDepth || a.bitDepth[c] > 0;
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
  constexpr float kMost = 24;
  int live = 0, largest = 0;
  for (int c = 0; c < a.channels; c++) {
    float& b = a.bitDepth[c];
    if (b > kMost) b = kMost;
    if (b < a.floor) b = a.floor;
    if (b <= 0) b = 0;
    live += b > 0;
    if (b > a.bitDepth[largest]) largest = c;
  }
  if (live <= 1 && a.bitDepth[largest] < 1) a.bitDepth[largest] = 1;
}

void rangeGradients(const RangeGradients& a) {
  for (int c = 0; c < a.channels; c++) {
    if (a.bitDepth[c] > 0) a.gradBitDepth[c] -= a.gradExponent[c];
    a.previousBitDepth[c] = a.bitDepth[c];
  }
}

void keepRange(const KeepRange& a) {
  for (int c = 0; c < a.channels; c++)
    if (a.bitDepth[c] > 0) a.exponent[c] += a.previousBitDepth[c] - a.bitDepth[c];
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
