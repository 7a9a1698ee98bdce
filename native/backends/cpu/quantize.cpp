// The quantizer: constants of every channel in double precision, kernels per channel, and the size penalty.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/cpu_backend.h"
#include "cpu/past_caches.h"
#include "cpu/quantizer.h"
#include "ops/quantize/quantize_math.h"
#include "ops/quantize/wide.h"

namespace selfcompress::cpu {

QuantizeChannel quantizeChannel(float bitDepth, float exponent) {
  QuantizerRange range = quantizerRange(bitDepth, exponent);
  return {range.inverse, range.scale, range.low, range.high, range.clipSlope, isWide(bitDepth, exponent),
          bitDepth,      exponent};
}

void quantizeWide(float* weights, int count, const QuantizeChannel& channel) {
  quantizeWideForward(weights, count, channel.bitDepth, channel.exponent, weights);
}

void CpuBackend::run(const QuantizeForward& a) {
  bool past = writesPastCaches(a.channels * a.perChannel) && a.output != a.weight;
  parallelFor(a.channels,
              [&](std::int64_t c) {
                float* output = a.output + c * a.perChannel;
                const float* weight = a.weight + c * a.perChannel;
                const float bitDepth = a.bitDepth[c], exponent = a.exponent[c];
                if (isDead(bitDepth)) std::memset(output, 0, std::size_t(a.perChannel) * sizeof(float));
                else if (isWide(bitDepth, exponent))
                  quantizeWideForward(weight, a.perChannel, bitDepth, exponent, output);
                else kernels_.quantizeForward(weight, a.perChannel, quantizeChannel(bitDepth, exponent), output, past);
              },
              {100 + 0.2 * double(a.perChannel)});
}

void CpuBackend::run(const QuantizeBackward& a) {
  bool past = writesPastCaches(a.channels * a.perChannel) && a.gradWeight != a.gradOutput;
  parallelFor(a.channels,
              [&](std::int64_t c) {
                std::int64_t first = c * a.perChannel;
                if (isDead(a.bitDepth[c])) {
                  std::memset(a.gradWeight + first, 0, std::size_t(a.perChannel) * sizeof(float));
                  a.gradBitDepth[c] = a.gradExponent[c] = 0;
                  return;
                }
                if (isWide(a.bitDepth[c], a.exponent[c])) {
                  WideSums sums = quantizeWideBackward(a.weight + first, a.gradOutput + first, a.perChannel,
                                                       a.bitDepth[c], a.exponent[c], a.gradWeight + first);
                  a.gradBitDepth[c] = float(sums.bitDepth + (a.penalty ? double(a.penalty[c]) : 0.0));
                  a.gradExponent[c] = float(sums.exponent);
                  return;
                }
                QuantizeSums sums = kernels_.quantizeBackward(a.weight + first, a.gradOutput + first, a.perChannel,
                                                              quantizeChannel(a.bitDepth[c], a.exponent[c]),
                                                              a.gradWeight + first, past);
                a.gradBitDepth[c] = float(sums.bitDepth + (a.penalty ? double(a.penalty[c]) : 0.0));
                a.gradExponent[c] = float(sums.exponent);
              },
              {100 + 0.5 * double(a.perChannel)});
}

void CpuBackend::run(const QuantizeCodes& a) {
  parallelFor(a.channels,
              [&](std::int64_t c) {
                a.codeBits[c] = quantizeCodesOfChannel(a.weight + c * a.perChannel, a.perChannel, a.bitDepth[c],
                                                       a.exponent[c], a.codes + c * a.perChannel);
              },
              {100 + 4 * double(a.perChannel)});
}

void CpuBackend::run(const BitPenalty& a) { bitPenalty(a); }

}  // namespace selfcompress::cpu
