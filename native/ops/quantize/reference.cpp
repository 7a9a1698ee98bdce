#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/quantize/quantize_math.h"
#include "ops/quantize/rate_math.h"
#include "ops/quantize/wide.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {
constexpr double kLn2 = 0.693147180559945309417232;
}

QuantizerRange quantizerRange(float bitDepth, float exponent) {
  double beta = std::max(double(bitDepth), 0.0), half = std::exp2(beta - 1), scale = std::exp2(double(exponent));
  return {float(std::exp2(-double(exponent))), float(scale), float(-half), float(half - 1), float(kLn2 * scale * half)};
}

void quantizeWideForward(const float* weight, std::int64_t count, float bitDepth, float exponent, float* output) {
  const WideRange range = wideRange(bitDepth, exponent);
  for (std::int64_t i = 0; i < count; i++) output[i] = float(wideQuantized(weight[i], range));
}

WideSums quantizeWideBackward(const float* weight, const float* grad, std::int64_t count, float bitDepth,
                              float exponent, float* gradWeight) {
  WideBackward backward{wideRange(bitDepth, exponent)};
  for (std::int64_t i = 0; i < count; i++) gradWeight[i] = backward(weight[i], grad[i]);
  return {backward.bitDepth, backward.exponent};
}

// Codes do not go through q, so e may be cut where every code is its limit or 0 anyway.
std::int32_t quantizeCodesOfChannel(const float* weight, std::int64_t count, float bitDepth, float exponent,
                                    std::int32_t* codes) {
  std::int32_t smallest = 0, largest = 0;
  if (isDead(bitDepth) || isSpoilt(bitDepth, exponent)) {
    std::fill_n(codes, count, 0);
    return isDead(bitDepth) ? 0 : -1;
  }
  const float beta = std::min(bitDepth, 31.0f);
  const QuantizerRange range = quantizerRange(beta, exponent);
  const double wide = isWide(beta, exponent) ? std::exp2(-std::clamp(double(exponent), -500.0, 500.0)) : 0;
  for (std::int64_t i = 0; i < count; i++) {
    double u = wide != 0 ? double(weight[i]) * wide : double(weight[i] * range.inverse);
    if (std::isnan(u)) {
      codes[i] = 0;
      continue;
    }
    double r = std::nearbyint(std::min(std::max(u, double(range.low)), double(range.high)));
    codes[i] = std::int32_t(std::clamp(r, -1073741824.0, 1073741823.0));
    smallest = std::min(smallest, codes[i]);
    largest = std::max(largest, codes[i]);
  }
  return bitsOfCodes(smallest, largest);
}

namespace {

double bitsOf(const float* bitDepth, int channels) {
  double bits = 0;
  for (int j = 0; j < channels; j++) bits += bitDepth ? std::max(double(bitDepth[j]), 0.0) : 32.0;
  return bits;
}

}  // namespace

void bitPenalty(const BitPenalty& a) {
  for (int r = 0; r < a.readerCount; r++)
    a.readerBits[r] = bitsOf(a.readers[r].bitDepth, a.readers[r].channels) * double(a.readers[r].weights);
  const int inPerGroup = a.inChannels / a.groups, outPerGroup = a.channels / a.groups;
  double sum = 0;
  for (int g = 0; g < a.groups; g++) {
    int live = inPerGroup;
    for (int c = g * inPerGroup; a.inputState && c < (g + 1) * inPerGroup; c++) live -= a.inputState[c] != kLive;
    const double own = double(a.kernelArea) * live / a.originalWeights;
    for (int i = g * outPerGroup; i < (g + 1) * outPerGroup; i++) {
      double coupled = 0;
      for (int k = a.start ? a.start[i] : 0; a.start && k < a.start[i + 1]; k++) coupled += a.readerBits[a.index[k]];
      if (a.penalty) a.penalty[i] = float(double(*a.gamma) * (own + coupled / a.originalWeights));
    }
    sum += own * bitsOf(a.bitDepth ? a.bitDepth + g * outPerGroup : nullptr, outPerGroup);
  }
  *a.layerBits = float(sum);
}

// ---- reference: one weight at a time, sums in double ----

void ReferenceBackend::run(const QuantizeForward& a) {
  for (int c = 0; c < a.channels; c++) {
    const std::int64_t first = c * a.perChannel;
    if (isDead(a.bitDepth[c])) {
      std::fill_n(a.output + first, a.perChannel, 0.0f);
      continue;
    }
    if (isWide(a.bitDepth[c], a.exponent[c])) {
      quantizeWideForward(a.weight + first, a.perChannel, a.bitDepth[c], a.exponent[c], a.output + first);
      continue;
    }
    QuantizerRange range = quantizerRange(a.bitDepth[c], a.exponent[c]);
    for (std::int64_t i = first; i < first + a.perChannel; i++) {
      float u = a.weight[i] * range.inverse;
      float clipped = u < range.low ? range.low : u > range.high ? range.high : u;
      a.output[i] = range.scale * std::nearbyint(clipped);
    }
  }
}

namespace {

// Of a live channel whose other gradients are written.
WideSums rateOf(const QuantizeBackward& a, int c) {
  if (!a.rate.slope) return {0, 0};
  const std::int64_t first = c * a.perChannel;
  return addRateGradients(a.weight + first, a.perChannel, a.bitDepth[c], a.exponent[c],
                          channelRate(a.rate, c, a.channels, a.perChannel, a.bitDepth[c]), a.gradWeight + first);
}

}  // namespace

void ReferenceBackend::run(const QuantizeBackward& a) {
  for (int c = 0; c < a.channels; c++) {
    const std::int64_t first = c * a.perChannel;
    if (isDead(a.bitDepth[c])) {
      std::fill_n(a.gradWeight + first, a.perChannel, 0.0f);
      a.gradBitDepth[c] = a.gradExponent[c] = 0;
      continue;
    }
    const double penalty = a.penalty ? double(a.penalty[c]) : 0;
    if (isWide(a.bitDepth[c], a.exponent[c])) {
      WideSums sums = quantizeWideBackward(a.weight + first, a.gradOutput + first, a.perChannel, a.bitDepth[c],
                                           a.exponent[c], a.gradWeight + first);
      const WideSums length = rateOf(a, c);
      a.gradBitDepth[c] = float(sums.bitDepth + length.bitDepth + penalty);
      a.gradExponent[c] = float(sums.exponent + length.exponent);
      continue;
    }
    QuantizerRange range = quantizerRange(a.bitDepth[c], a.exponent[c]);
    double gradBitDepth = penalty, gradExponent = 0;
    for (std::int64_t i = first; i < first + a.perChannel; i++) {
      float u = a.weight[i] * range.inverse, g = a.gradOutput[i];
      bool below = u<range.low, above = u> range.high;
      float q = range.scale * std::nearbyint(below ? range.low : above ? range.high : u);
      a.gradWeight[i] = !below && !above ? g : 0.0f;
      gradBitDepth += double(g) * (above ? range.clipSlope : below ? -range.clipSlope : 0.0f);
      gradExponent += double(g) * kLn2 * (below || above ? double(q) : double(q) - double(a.weight[i]));
    }
    const WideSums length = rateOf(a, c);
    a.gradBitDepth[c] = float(gradBitDepth + length.bitDepth);
    a.gradExponent[c] = float(gradExponent + length.exponent);
  }
}

void ReferenceBackend::run(const QuantizeCodes& a) {
  for (int c = 0; c < a.channels; c++)
    a.codeBits[c] = quantizeCodesOfChannel(a.weight + c * a.perChannel, a.perChannel, a.bitDepth[c], a.exponent[c],
                                           a.codes + c * a.perChannel);
}

void ReferenceBackend::run(const BitPenalty& a) { bitPenalty(a); }

}  // namespace selfcompress
