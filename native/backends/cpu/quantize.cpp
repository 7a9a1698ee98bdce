// The quantizer: constants of every channel in double precision, kernels per channel, and the size penalty.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/cpu_backend.h"
#include "cpu/past_caches.h"
#include "cpu/quantizer.h"
#include "cpu/scratch.h"
#include "ops/quantize/quantize_math.h"
#include "ops/quantize/rate_math.h"
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

// Gradients of one live channel; its dL/db without the penalty.
QuantizeSums CpuBackend::quantizeBackwardOf(const QuantizeBackward& a, int c, bool past) {
  const std::int64_t first = c * a.perChannel;
  const float *weight = a.weight + first, *grad = a.gradOutput + first, bitDepth = a.bitDepth[c],
              exponent = a.exponent[c];
  float* gradWeight = a.gradWeight + first;
  if (isWide(bitDepth, exponent)) {
    WideSums sums = quantizeWideBackward(weight, grad, a.perChannel, bitDepth, exponent, gradWeight), length{0, 0};
    if (a.rate.slope)
      length = addRateGradients(weight, a.perChannel, bitDepth, exponent,
                                channelRate(a.rate, c, a.channels, a.perChannel, bitDepth), gradWeight);
    return {sums.bitDepth + length.bitDepth, sums.exponent + length.exponent};
  }
  const QuantizeChannel channel = quantizeChannel(bitDepth, exponent);
  if (!a.rate.slope) return kernels_.quantizeBackward(weight, grad, a.perChannel, channel, gradWeight, past);
  const ChannelRate r = channelRate(a.rate, c, a.channels, a.perChannel, bitDepth);
  return kernels_.quantizeBackwardRate(weight, grad, a.perChannel, channel,
                                       {float(r.first), float(r.next), float(r.clipLow), float(r.clipHigh), r.element},
                                       gradWeight, past);
}

void CpuBackend::run(const QuantizeBackward& a) {
  bool past = writesPastCaches(a.channels * a.perChannel) && a.gradWeight != a.gradOutput;
  parallelFor(a.channels,
              [&](std::int64_t c) {
                if (isDead(a.bitDepth[c])) {
                  std::memset(a.gradWeight + c * a.perChannel, 0, std::size_t(a.perChannel) * sizeof(float));
                  a.gradBitDepth[c] = a.gradExponent[c] = 0;
                  return;
                }
                const QuantizeSums sums = quantizeBackwardOf(a, int(c), past);
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

// Each task counts some rows of one group; how they are cut depends on the shape alone, and so do the sums.
void CpuBackend::run(const RateCounts& a) {
  const std::int64_t elements = a.groups * a.perChannel, rowsPerGroup = a.channels / a.groups,
                     chunks = std::min<std::int64_t>(rowsPerGroup, std::max(1, 16 / a.groups)),
                     perChunk = (rowsPerGroup + chunks - 1) / chunks;
  std::vector<float>& memory = scratch<float>(std::size_t(elements + 2 * chunks * elements));
  float *live = memory.data(), *sums = live + elements;  // [chunks][2][elements]
  liveElements(a, live);
  parallelFor(a.groups * chunks,
              [&](std::int64_t task) {
                const std::int64_t group = task / chunks, chunk = task % chunks, at = group * a.perChannel;
                float* nonzeros = sums + chunk * 2 * elements + at;
                const std::int64_t end = std::min(rowsPerGroup, (chunk + 1) * perChunk);
                for (std::int64_t row = chunk * perChunk; row < end; row++)
                  a.rows[group * rowsPerGroup + row] =
                      countRow(a, int(group * rowsPerGroup + row), live + at, nonzeros, nonzeros + elements);
              },
              {100 + 1.0 * double(perChunk * a.perChannel)});
  for (std::int64_t chunk = 1; chunk < chunks; chunk++)
    for (std::int64_t i = 0; i < 2 * elements; i++) sums[i] += sums[chunk * 2 * elements + i];
  finishCounts(a, live, sums, sums + elements);
}

RateCount CpuBackend::countRow(const RateCounts& a, int c, const float* live, float* nonzeros, float* magnitude) {
  const float *weight = a.weight + c * a.perChannel, bitDepth = a.bitDepth[c], exponent = a.exponent[c];
  if (isDead(bitDepth) || isSpoilt(bitDepth, exponent)) return {};
  RateCount count;
  if (!isWide(std::min(bitDepth, 31.0f), exponent)) {
    const QuantizeChannel channel = quantizeChannel(std::min(bitDepth, 31.0f), exponent);
    const CodeSums sums = kernels_.countCodes(weight, live, a.perChannel, channel, nonzeros, magnitude);
    count.nonzeros = sums.nonzeros, count.magnitude = sums.magnitude;
    return count;
  }
  const CodeSize sizeOf(bitDepth, exponent);
  for (std::int64_t i = 0; i < a.perChannel; i++) {
    const double size = sizeOf(weight[i]) * double(live[i]);
    count.nonzeros += size > 0, count.magnitude += size;
    nonzeros[i] += size > 0 ? 1.0f : 0.0f, magnitude[i] += float(size);
  }
  return count;
}

void CpuBackend::run(const RatePenalty& a) { ratePenalty(a); }
void CpuBackend::run(const IdleChannels& a) { idleChannels(a); }
void CpuBackend::run(const TieExponents& a) { tieExponents(a); }

}  // namespace selfcompress::cpu
