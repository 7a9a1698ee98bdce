// The quantizer's arithmetic per channel, shared by the reference and the CPU backend.
#pragma once

#include "selfcompress/ops/quantize.h"

namespace selfcompress {

// Constants of a live channel, computed in double precision and rounded once.
struct QuantizerRange {
  float inverse, scale, low, high;  // 2^-e, 2^e, -2^(b-1), 2^(b-1) - 1
  float clipSlope;                  // ln2 * 2^e * 2^(b-1)
};
QuantizerRange quantizerRange(float bitDepth, float exponent);

// Forward and backward of a live channel that isWide (wide.h). Returns the sums of dL/db, without a penalty, and dL/de.
struct WideSums {
  double bitDepth, exponent;
};
void quantizeWideForward(const float* weight, std::int64_t count, float bitDepth, float exponent, float* output);
WideSums quantizeWideBackward(const float* weight, const float* grad, std::int64_t count, float bitDepth,
                              float exponent, float* gradWeight);

// Writes the codes of one channel and returns the bits that hold them.
std::int32_t quantizeCodesOfChannel(const float* weight, std::int64_t count, float bitDepth, float exponent,
                                    std::int32_t* codes);

// Bits of the shortest two's complement integer that holds both: 0 when both are 0.
inline std::int32_t bitsOfCodes(std::int32_t smallest, std::int32_t largest) {
  std::int32_t bits = 0;
  if (smallest || largest)
    for (bits = 1; smallest < -(std::int64_t(1) << (bits - 1)) || largest > (std::int64_t(1) << (bits - 1)) - 1;)
      bits++;
  return bits;
}

// The size penalty of one layer: a few sums over channels.
void bitPenalty(const BitPenalty&);

}  // namespace selfcompress
