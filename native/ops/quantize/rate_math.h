// The arithmetic of ops/rate.h that the reference and the CPU backend share.
#pragma once

#include <vector>

#include "ops/quantize/quantize_math.h"
#include "selfcompress/ops/rate.h"

namespace selfcompress {

// QuantizeRate of one channel, as numbers: slopes with the row's part, d|c|/dbeta of clipped codes, the group's
// elements.
struct ChannelRate {
  double first, next, clipLow, clipHigh;
  const float* element;
};
ChannelRate channelRate(const QuantizeRate&, int channel, int channels, std::int64_t perChannel, float bitDepth);

// Adds the length's gradient of a live channel to gradWeight and returns its part of dL/db and dL/de. In double; for
// every b and e.
WideSums addRateGradients(const float* weight, std::int64_t count, float bitDepth, float exponent, const ChannelRate&,
                          float* gradWeight);

// |code| of one weight of a channel that is neither dead nor spoilt; 0 for NaN.
struct CodeSize {
  CodeSize(float bitDepth, float exponent);
  double operator()(float w) const;

 private:
  QuantizerRange range_;
  double wide_;
};

// 1 for each weight of a row of each group that reads a live input, [groups][perChannel]; else 0.
void liveElements(const RateCounts&, float* live);
// Rows hold nonzeros and magnitude of their codes, `nonzeros` and `magnitude` the sums over each group's rows by
// element, [groups][perChannel]: fills in everything else.
void finishCounts(const RateCounts&, const float* live, const float* nonzeros, const float* magnitude);

void ratePenalty(const RatePenalty&);
void idleChannels(const IdleChannels&);
void tieExponents(const TieExponents&);

}  // namespace selfcompress
