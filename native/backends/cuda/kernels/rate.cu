// The penalty `rate` (equations in ops/rate.h): what the codes of a layer add up to and the slopes of their length, for
// the quantizer's backward pass. All sums are in double and in an order that depends on sizes alone.
//
// - counts: a block for each row reads its weights once, and leaves its constants for the next kernel, in which a
// thread
//   adds up some rows of one column; a third adds those parts up, and has the lengths.
// - slopes: a thread for each row and each column.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/quantizer.cuh"
#include "ops/quantize/wide.h"

namespace selfcompress::cuda {
namespace {

constexpr double kSoftness = 4, kChannelBits = 16;  // c0 of row_i and column_j, and the bits of a channel itself
constexpr double kLargestCode = 1073741824.0;       // as QuantizeCodes
constexpr std::int64_t kColumnThreads = 1 << 16;    // that the second kernel aims at
constexpr int kRowsOfThread = 8;                    // at least

// What |code| of a row's weights is computed with.
struct CodeRange {
  float inverse, low, high;
  int coded;         // 0: dead or spoilt
  double inverse64;  // not 0: the row is wide
};
__device__ inline double sizeOfCode(float w, const CodeRange& r) {  // 0 for NaN
  const double u = r.inverse64 != 0 ? double(w) * r.inverse64 : double(w * r.inverse);
  if (!r.coded || u != u) return 0;
  const double code = rint(u < double(r.low) ? double(r.low) : u > double(r.high) ? double(r.high) : u);
  const double size = code < 0 ? -code : code;
  return size < kLargestCode ? size : kLargestCode;
}

__device__ inline bool columnLives(const std::int32_t* state, int repeat, std::int64_t column) {
  return !state || global(state)[column / repeat] == kLive;
}

// A block for each row.
__global__ void __launch_bounds__(kThreads) rateRowsKernel(RateCounts a, CodeRange* ranges) {
  const int row = int(blockIdx.x), group = row / (a.channels / a.groups);
  const std::int64_t columns = a.perChannel / a.kernelArea;
  const auto weight = global(a.weight) + row * a.perChannel;
  const float bitDepth = global(a.bitDepth)[row], exponent = global(a.exponent)[row],
              beta = bitDepth > 31 ? 31.0f : bitDepth;
  const Range range = channelRange(beta, exponent);
  CodeRange codes{range.inverse, range.low, range.high, !isDead(bitDepth) && !isSpoilt(bitDepth, exponent), 0};
  if (codes.coded && isWide(beta, exponent))
    codes.inverse64 = exp2(exponent < -500 ? 500.0 : exponent > 500 ? -500.0 : -double(exponent));
  double mine[3] = {0, 0, 0}, sums[3];
  for (std::int64_t i = int(threadIdx.x); i < a.perChannel; i += int(blockDim.x)) {
    if (!columnLives(a.inputState, a.inputRepeat, group * columns + i / a.kernelArea)) continue;
    const double size = sizeOfCode(weight[i], codes);
    mine[0] += 1;
    mine[1] += size > 0 ? 1.0 : 0.0;
    mine[2] += size;
  }
  blockSums<3>(mine, sharedArray<double>(kRangeBytes, 3 * kWarps), sums);
  if (threadIdx.x != 0) return;
  global(ranges)[row] = codes;
  global(a.rows)[row] = RateCount{isDead(bitDepth) ? 0.0 : sums[0], sums[1], sums[2]};
}

// blockIdx.y is a part of the group's rows; `parts` is [parts][columns], or the result where there is one part.
__global__ void __launch_bounds__(kThreads)
    rateColumnsKernel(RateCounts a, const CodeRange* ranges, int rowsOfPart, RateCount* parts) {
  const std::int64_t perGroup = a.perChannel / a.kernelArea, columns = a.groups * perGroup, column = threadInGrid();
  if (column >= columns) return;
  const int rowsPerGroup = a.channels / a.groups, group = int(column / perGroup), from = int(blockIdx.y) * rowsOfPart,
            end = from + rowsOfPart < rowsPerGroup ? from + rowsOfPart : rowsPerGroup;
  RateCount count{0, 0, 0};
  if (columnLives(a.inputState, a.inputRepeat, column))
    for (int row = group * rowsPerGroup + from; row < group * rowsPerGroup + end; row++) {
      const CodeRange range = global(ranges)[row];
      count.weights += isDead(global(a.bitDepth)[row]) ? 0.0 : double(a.kernelArea);
      if (!range.coded) continue;
      const auto weight = global(a.weight) + (row * a.perChannel + (column - group * perGroup) * a.kernelArea);
      for (int k = 0; k < a.kernelArea; k++) {
        const double size = sizeOfCode(weight[k], range);
        count.nonzeros += size > 0 ? 1.0 : 0.0;
        count.magnitude += size;
      }
    }
  global(parts)[std::int64_t(blockIdx.y) * columns + column] = count;
}

// A thread for each column adds up its parts; the first block has the lengths, too.
__global__ void __launch_bounds__(kThreads) rateFinishKernel(RateCounts a, int parts, const RateCount* part) {
  const std::int64_t columns = a.groups * a.perChannel / a.kernelArea, column = threadInGrid();
  if (parts > 1 && column < columns) {
    RateCount count{0, 0, 0};
    for (int p = 0; p < parts; p++) {
      const RateCount more = global(part)[p * columns + column];
      count.weights += more.weights;
      count.nonzeros += more.nonzeros;
      count.magnitude += more.magnitude;
    }
    global(a.columns)[column] = count;
  }
  if (blockIdx.x != 0) return;
  double mine[3] = {0, 0, 0}, all[3];
  for (int row = int(threadIdx.x); row < a.channels; row += int(blockDim.x)) {
    const RateCount count = global(a.rows)[row];
    mine[0] += count.weights;
    mine[1] += count.nonzeros;
    mine[2] += count.magnitude;
  }
  blockSums<3>(mine, sharedArray<double>(0, 3 * kWarps), all);
  if (threadIdx.x != 0) return;
  const double weights = all[0], nonzeros = all[1], magnitude = all[2];
  const double share = (nonzeros + 0.5) / (weights + 1), tail = (magnitude - nonzeros + 0.5) / (magnitude + 1),
               theta = tail < 0.01   ? 0.01
                       : tail > 0.98 ? 0.98
                                     : tail;
  const RateLengths lengths{-log2(1 - share), 1 - log2(share) - log2(1 - theta), -log2(theta)};
  global(a.lengths)[0] = lengths;
  const double bits =
      lengths.zero * (weights - nonzeros) + lengths.first * nonzeros + lengths.next * (magnitude - nonzeros);
  global(a.layerBits)[0] = float(bits / a.originalWeights);
}

// What row or column i pays for keeping its channel.
__device__ inline double keepSlope(const RateSets& sets, std::int64_t i) {
  const std::int32_t set = sets.of ? global(sets.of)[i] : -1;
  if (set < 0) return 0;
  double magnitude = kSoftness, bits = kChannelBits;
  for (std::int32_t k = global(sets.memberStart)[set]; k < global(sets.memberStart)[set + 1]; k++) {
    const RateCount count = global(global(sets.members)[k])[0];
    magnitude += count.magnitude;
  }
  for (std::int32_t k = global(sets.freedStart)[set]; k < global(sets.freedStart)[set + 1]; k++) {
    const RateSlice slice = global(sets.freed)[k];
    const RateCount c = global(slice.count)[0];
    const RateLengths l = global(slice.lengths)[0];
    bits += l.zero * (c.weights - c.nonzeros) + l.first * c.nonzeros + l.next * (c.magnitude - c.nonzeros);
  }
  return bits * kSoftness / (magnitude * magnitude);
}

// A thread for each row, then one for each column.
__global__ void __launch_bounds__(kThreads) ratePenaltyKernel(RatePenalty a) {
  const std::int64_t i = threadInGrid(), column = i - a.channels;
  const double unit = double(global(a.gamma)[0]) / a.originalWeights, keep = unit * double(a.coupling);
  if (i == 0) {
    const RateLengths l = global(a.lengths)[0];
    global(a.slope)[0] = float(l.first > l.zero ? unit * (l.first - l.zero) : 0.0);
    global(a.slope)[1] = float(unit * l.next);
  }
  if (i < a.channels) {
    global(a.row)[i] = float(keep * keepSlope(a.rowSets, i));
  } else if (column < a.groups * a.perChannel / a.kernelArea) {
    const float slope =
        columnLives(a.inputState, a.inputRepeat, column) ? float(keep * keepSlope(a.columnSets, column)) : -INFINITY;
    for (int k = 0; k < a.kernelArea; k++) global(a.element)[column * a.kernelArea + k] = slope;
  }
}

__global__ void __launch_bounds__(kThreads) idleChannelsKernel(IdleChannels a) {
  const int c = int(threadInGrid());
  if (c >= a.channels || isDead(global(a.bitDepth)[c])) return;
  const RateCount count = global(a.rows)[c];
  const float idle = count.nonzeros == 0 ? global(a.idle)[c] + 1 : 0.0f;
  global(a.idle)[c] = idle;
  if (idle >= a.limit) global(a.bitDepth)[c] = 0.0f;
}

// One block.
__global__ void __launch_bounds__(kThreads) tieExponentsKernel(TieExponents a) {
  double mine[1] = {0}, sum[1];
  for (int c = int(threadIdx.x); c < a.channels; c += int(blockDim.x))
    if (!isDead(global(a.bitDepth)[c])) mine[0] += double(global(a.gradExponent)[c]);
  blockSums<1>(mine, sharedArray<double>(0, kWarps), sum);
  for (int c = int(threadIdx.x); c < a.channels; c += int(blockDim.x))
    if (!isDead(global(a.bitDepth)[c])) global(a.gradExponent)[c] = float(sum[0]);
}

}  // namespace

void enqueue(Stream& stream, const RateCounts& a) {
  const std::int64_t columns = a.groups * a.perChannel / a.kernelArea, rows = a.channels / a.groups,
                     rangeBytes = (a.channels * std::int64_t(sizeof(CodeRange)) + 255) / 256 * 256,
                     fit = (std::int64_t(kScratchBytes) - rangeBytes) / (columns * std::int64_t(sizeof(RateCount)));
  std::int64_t parts = std::min((rows + kRowsOfThread - 1) / kRowsOfThread, kColumnThreads / columns);
  parts = std::max<std::int64_t>(1, std::min(parts, fit));
  const int rowsOfPart = int((rows + parts - 1) / parts);
  const std::int64_t partBytes = parts > 1 ? parts * columns * std::int64_t(sizeof(RateCount)) : 0;
  auto* memory = static_cast<unsigned char*>(scratch(stream, std::size_t(rangeBytes + partBytes)));
  auto* ranges = reinterpret_cast<CodeRange*>(memory);
  auto* part = parts > 1 ? reinterpret_cast<RateCount*>(memory + rangeBytes) : a.columns;
  launch(stream, "rate counts", rateRowsKernel, dim3(unsigned(a.channels)), dim3(kThreads),
         kRangeBytes + blockSumBytes(3), a, ranges);
  launch(stream, "rate counts", rateColumnsKernel, dim3(blocksFor(columns), unsigned(parts)), dim3(kThreads), 0, a,
         ranges, rowsOfPart, part);
  launch(stream, "rate counts", rateFinishKernel, dim3(parts > 1 ? blocksFor(columns) : 1), dim3(kThreads),
         blockSumBytes(3), a, int(parts), part);
}

void enqueue(Stream& stream, const RatePenalty& a) {
  launch(stream, "rate penalty", ratePenaltyKernel,
         dim3(blocksFor(a.channels + a.groups * a.perChannel / a.kernelArea)), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const IdleChannels& a) {
  launch(stream, "idle channels", idleChannelsKernel, dim3(blocksFor(a.channels)), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const TieExponents& a) {
  launch(stream, "tie exponents", tieExponentsKernel, dim3(1), dim3(kThreads), blockSumBytes(1), a);
}

}  // namespace selfcompress::cuda
