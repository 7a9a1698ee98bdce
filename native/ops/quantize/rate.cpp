// The length of the codes: its gradients, counts and slopes, and the reference of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/quantize/rate_math.h"
#include "ops/quantize/wide.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

constexpr double kLn2 = 0.693147180559945309417232;
constexpr double kSoftness = 4, kChannelBits = 16;  // c0 of row_i and column_j, and the bits of a channel itself

bool inputLives(const std::int32_t* state, int repeat, std::int64_t input) {
  return !state || state[input / repeat] == kLive;
}

}  // namespace

ChannelRate channelRate(const QuantizeRate& rate, int channel, int channels, std::int64_t perChannel, float bitDepth) {
  const double row = rate.row[channel], step = kLn2 * std::exp2(std::max(double(bitDepth), 0.0) - 1);
  const int group = channel / (channels / rate.groups);
  return {double(rate.slope[0]) + row, double(rate.slope[1]) + row, step, bitDepth >= 1 ? step : -step,
          rate.element + group * perChannel};
}

WideSums addRateGradients(const float* weight, std::int64_t count, float bitDepth, float exponent,
                          const ChannelRate& rate, float* gradWeight) {
  // The same decisions as those of the quantizer: its constants are floats where they can be.
  const bool wide = isWide(bitDepth, exponent);
  const QuantizerRange narrow = wide ? QuantizerRange{} : quantizerRange(bitDepth, exponent);
  const WideRange range = wide ? wideRange(bitDepth, exponent)
                               : WideRange{narrow.inverse, narrow.scale, narrow.low, narrow.high, narrow.clipSlope};
  WideSums sums{0, 0};
  for (std::int64_t i = 0; i < count; i++) {
    const double u = wide ? double(weight[i]) * range.inverse : double(float(weight[i] * narrow.inverse));
    if (std::isnan(u)) continue;
    const double size = std::fabs(std::clamp(u, range.low, range.high));
    const double slope = std::max(0.0, (size < 1 ? rate.first : rate.next) + double(rate.element[i]));
    if (u < range.low) sums.bitDepth += slope * rate.clipLow;
    else if (u > range.high) sums.bitDepth += slope * rate.clipHigh;
    else {
      sums.exponent -= kLn2 * slope * size;
      if (u != 0) gradWeight[i] += float((u > 0 ? slope : -slope) * range.inverse);
    }
  }
  return sums;
}

CodeSize::CodeSize(float bitDepth, float exponent)
    : range_(quantizerRange(std::min(bitDepth, 31.0f), exponent)),
      wide_(isWide(std::min(bitDepth, 31.0f), exponent) ? std::exp2(-std::clamp(double(exponent), -500.0, 500.0)) : 0) {
}

double CodeSize::operator()(float w) const {
  const double u = wide_ != 0 ? double(w) * wide_ : double(w * range_.inverse);
  if (std::isnan(u)) return 0;
  return std::min(std::fabs(std::nearbyint(std::clamp(u, double(range_.low), double(range_.high)))), 1073741824.0);
}

void liveElements(const RateCounts& a, float* live) {
  for (std::int64_t i = 0; i < a.groups * a.perChannel; i++)
    live[i] = inputLives(a.inputState, a.inputRepeat, i / a.kernelArea) ? 1.0f : 0.0f;
}

void finishCounts(const RateCounts& a, const float* live, const float* nonzeros, const float* magnitude) {
  const int rowsPerGroup = a.channels / a.groups;
  const std::int64_t columnsPerGroup = a.perChannel / a.kernelArea;
  RateCount all;
  for (int g = 0; g < a.groups; g++) {
    const std::int64_t first = g * a.perChannel;
    double liveInputs = 0, liveRows = 0;
    for (std::int64_t i = first; i < first + a.perChannel; i++) liveInputs += double(live[i]);
    for (int c = g * rowsPerGroup; c < (g + 1) * rowsPerGroup; c++) {
      const bool lives = !isDead(a.bitDepth[c]);
      a.rows[c].weights = lives ? liveInputs : 0;
      liveRows += lives;
      all.weights += a.rows[c].weights, all.nonzeros += a.rows[c].nonzeros, all.magnitude += a.rows[c].magnitude;
    }
    for (std::int64_t j = 0; j < columnsPerGroup; j++) {
      RateCount column;
      for (std::int64_t i = first + j * a.kernelArea; i < first + (j + 1) * a.kernelArea; i++)
        column.weights += double(live[i]) * liveRows, column.nonzeros += double(nonzeros[i]),
            column.magnitude += double(magnitude[i]);
      a.columns[g * columnsPerGroup + j] = column;
    }
  }
  const double share = (all.nonzeros + 0.5) / (all.weights + 1),
               theta = std::clamp((all.magnitude - all.nonzeros + 0.5) / (all.magnitude + 1), 0.01, 0.98);
  *a.lengths = {-std::log2(1 - share), 1 - std::log2(share) - std::log2(1 - theta), -std::log2(theta)};
  const double bits = a.lengths->zero * (all.weights - all.nonzeros) + a.lengths->first * all.nonzeros +
                      a.lengths->next * (all.magnitude - all.nonzeros);
  *a.layerBits = float(bits / a.originalWeights);
}

namespace {

double bitsOf(const RateSlice& slice) {
  const RateCount& c = *slice.count;
  const RateLengths& l = *slice.lengths;
  return l.zero * (c.weights - c.nonzeros) + l.first * c.nonzeros + l.next * (c.magnitude - c.nonzeros);
}

// What row or column i pays for keeping its channel.
double keepSlope(const RateSets& sets, std::int64_t i) {
  const std::int32_t set = sets.of ? sets.of[i] : -1;
  if (set < 0) return 0;
  double magnitude = kSoftness, bits = kChannelBits;
  for (std::int32_t k = sets.memberStart[set]; k < sets.memberStart[set + 1]; k++)
    magnitude += sets.members[k]->magnitude;
  for (std::int32_t k = sets.freedStart[set]; k < sets.freedStart[set + 1]; k++) bits += bitsOf(sets.freed[k]);
  return bits * kSoftness / (magnitude * magnitude);
}

}  // namespace

void ratePenalty(const RatePenalty& a) {
  const double unit = double(*a.gamma) / a.originalWeights, keep = unit * double(a.coupling);
  a.slope[0] = float(unit * std::max(0.0, a.lengths->first - a.lengths->zero));
  a.slope[1] = float(unit * a.lengths->next);
  for (int c = 0; c < a.channels; c++) a.row[c] = float(keep * keepSlope(a.rowSets, c));
  for (std::int64_t j = 0; j < a.groups * a.perChannel / a.kernelArea; j++) {
    const bool lives = inputLives(a.inputState, a.inputRepeat, j);
    const double slope = lives ? keep * keepSlope(a.columnSets, j) : -std::numeric_limits<double>::infinity();
    std::fill_n(a.element + j * a.kernelArea, a.kernelArea, float(slope));
  }
}

void idleChannels(const IdleChannels& a) {
  for (int c = 0; c < a.channels; c++) {
    if (isDead(a.bitDepth[c])) continue;
    a.idle[c] = a.rows[c].nonzeros == 0 ? a.idle[c] + 1 : 0;
    if (a.idle[c] >= a.limit) a.bitDepth[c] = 0;
  }
}

void tieExponents(const TieExponents& a) {
  double sum = 0;
  for (int c = 0; c < a.channels; c++)
    if (!isDead(a.bitDepth[c])) sum += double(a.gradExponent[c]);
  for (int c = 0; c < a.channels; c++)
    if (!isDead(a.bitDepth[c])) a.gradExponent[c] = float(sum);
}

// ---- reference ----

void ReferenceBackend::run(const RateCounts& a) {
  const std::size_t elements = std::size_t(a.groups * a.perChannel);
  std::vector<float> live(elements), nonzeros(elements), magnitude(elements);
  liveElements(a, live.data());
  for (int c = 0; c < a.channels; c++) {
    a.rows[c] = {};
    if (isDead(a.bitDepth[c]) || isSpoilt(a.bitDepth[c], a.exponent[c])) continue;
    const CodeSize sizeOf(a.bitDepth[c], a.exponent[c]);
    for (std::int64_t i = 0; i < a.perChannel; i++) {
      const std::size_t element = std::size_t(c / (a.channels / a.groups) * a.perChannel + i);
      const double size = sizeOf(a.weight[c * a.perChannel + i]) * double(live[element]);
      a.rows[c].nonzeros += size > 0, a.rows[c].magnitude += size;
      nonzeros[element] += size > 0 ? 1.0f : 0.0f, magnitude[element] += float(size);
    }
  }
  finishCounts(a, live.data(), nonzeros.data(), magnitude.data());
}

void ReferenceBackend::run(const RatePenalty& a) { ratePenalty(a); }
void ReferenceBackend::run(const IdleChannels& a) { idleChannels(a); }
void ReferenceBackend::run(const TieExponents& a) { tieExponents(a); }

}  // namespace selfcompress
