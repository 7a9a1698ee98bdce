// The quantizer (equations in ops/quantize.h). A block takes up to kChunk consecutive weights of one channel, so the
// channel's constants are computed once per block, and a dead channel is written with zeros and not read.
//
// - forward: weights are read once and results written once, 16 bytes at a time.
// - backward, fused: one pass reads w and g once, writes dL/dw once and sums dL/db (the penalty included) and dL/de on
//   the way: float within a warp, double over the warps. Channels of more than kChunk weights leave one partial sum
//   per block in scratch memory, which a second kernel adds up in the order of the blocks. With the penalty `rate` the
//   same pass adds the gradients of the codes' length (rate.cu has what it needs for that).
// - codes: once per export; integers of single weights.
// - size penalty: sums over channels, in one block.
//
// Channels whose length is no multiple of 4 start off a 16-byte boundary: single weights up to it, float4s, and single
// weights at the end.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/quantizer.cuh"
#include "ops/quantize/wide.h"

namespace selfcompress::cuda {
namespace {

constexpr int kChunk = 8192;  // weights of a block

struct ChunkGrid {
  int chunks = 1;  // of a channel
  unsigned blocks = 0;
  int threads = kThreads;
};
ChunkGrid chunkGrid(int channels, std::int64_t perChannel) {
  std::int64_t chunks = (perChannel + kChunk - 1) / kChunk,
               vectors = (std::min<std::int64_t>(perChannel, kChunk) + 3) / 4;
  blocksFor(perChannel * channels / 4);
  return {int(chunks), unsigned(chunks * channels), int(std::min<std::int64_t>(kThreads, (vectors + 31) / 32 * 32))};
}

// A block's weights [begin, end) as float4s [vectors, rest) with up to three single ones before and after.
struct Chunk {
  int channel, index;
  std::int64_t begin, vectors, rest, end;
};
__device__ inline Chunk chunkOfBlock(std::int64_t perChannel, int chunks) {
  Chunk c;
  c.channel = int(blockIdx.x / unsigned(chunks));
  c.index = int(blockIdx.x % unsigned(chunks));
  std::int64_t first = c.channel * perChannel, from = std::int64_t(c.index) * kChunk;
  c.begin = first + from;
  c.end = first + (from + kChunk < perChannel ? from + kChunk : perChannel);
  c.vectors = (c.begin + 3) / 4 * 4;
  if (c.vectors > c.end) c.vectors = c.end;
  c.rest = c.end / 4 * 4;
  if (c.rest < c.vectors) c.rest = c.vectors;
  return c;
}
// The thread's part of a chunk.
template <class One, class Four>
__device__ inline void forChunk(const Chunk& c, One one, Four four) {
  const int t = int(threadIdx.x);
  if (c.begin + t < c.vectors) one(c.begin + t);
  for (std::int64_t i = c.vectors + 4 * t; i < c.rest; i += 4 * int(blockDim.x)) four(i);
  if (c.rest + t < c.end) one(c.rest + t);
}

__global__ void __launch_bounds__(kThreads) quantizeForwardKernel(QuantizeForward a, int chunks) {
  const Chunk c = chunkOfBlock(a.perChannel, chunks);
  const auto weight = global(a.weight);
  const auto output = global(a.output);
  const float bitDepth = global(a.bitDepth)[c.channel];
  if (isDead(bitDepth)) {
    forChunk(
        c, [&](std::int64_t i) { output[i] = 0.0f; },
        [&](std::int64_t i) {
          output.store4(i, float4{0.0f, 0.0f, 0.0f, 0.0f});
        });
    return;
  }
  const float exponent = global(a.exponent)[c.channel];
  if (isWide(bitDepth, exponent)) {
    const WideRange wide = wideRange(bitDepth, exponent);
#pragma unroll 1
    for (std::int64_t i = c.begin + int(threadIdx.x); i < c.end; i += int(blockDim.x))
      output[i] = float(wideQuantized(weight[i], wide));
    return;
  }
  const Range range = channelRange(bitDepth, exponent);
  auto quantized = [&](float w) { return range.scale * rintf(clip(w * range.inverse, range)); };
  forChunk(
      c, [&](std::int64_t i) { output[i] = quantized(weight[i]); },
      [&](std::int64_t i) { output.store4(i, map(weight.load4(i), quantized)); });
}

// One weight's dL/dw; adds to the sums of dL/db and dL/de.
struct BackwardOfWeight {
  Range range;
  float bitDepth = 0, exponent = 0;
  __device__ float operator()(float w, float g) {
    const float u = w * range.inverse, q = range.scale * rintf(clip(u, range));
    const bool below = u<range.low, above = u> range.high;
    bitDepth += g * (above ? range.clipSlope : below ? -range.clipSlope : 0.0f);
    exponent += g * float(kLn2) * (below || above ? q : q - w);
    return below || above ? 0.0f : g;
  }
};

// QuantizeRate of one channel: slopes with the row's part, d|c|/dbeta of clipped codes, the group's elements.
struct Length {
  double first, next, clipLow, clipHigh;
  const float* element;
};
__device__ inline Length lengthOf(const QuantizeBackward& a, int channel, float bitDepth) {
  const double row = double(global(a.rate.row)[channel]), step = kLn2 * exp2(double(bitDepth) - 1);
  const int group = channel / (a.channels / a.rate.groups);
  return {double(global(a.rate.slope)[0]) + row, double(global(a.rate.slope)[1]) + row, step,
          bitDepth >= 1 ? step : -step, a.rate.element + group * a.perChannel};
}
// Adds one weight's part of the length to the sums and returns its part of dL/dw. `T` is what the channel's constants
// are.
template <class T, class Ends>
__device__ inline T lengthGradient(T u, const Ends& range, const Length& length, float element, T& bitDepth,
                                   T& exponent) {
  if (u != u) return 0;
  const bool below = u<T(range.low), above = u> T(range.high);
  const T c = below ? T(range.low) : above ? T(range.high) : u, size = c < 0 ? -c : c;
  T slope = (size < 1 ? T(length.first) : T(length.next)) + T(element);
  if (!(slope > 0)) return 0;
  if (below || above) {
    bitDepth += slope * T(below ? length.clipLow : length.clipHigh);
    return 0;
  }
  exponent -= T(kLn2) * slope * size;
  return (u > 0 ? slope : u < 0 ? -slope : T(0)) * T(range.inverse);
}

__device__ inline void writeSums(const QuantizeBackward& a, int channel, double bitDepth, double exponent) {
  global(a.gradBitDepth)[channel] = float(bitDepth + (a.penalty ? double(global(a.penalty)[channel]) : 0.0));
  global(a.gradExponent)[channel] = float(exponent);
}

// kRate: with the gradient of the codes' length.
template <bool kRate>
__global__ void __launch_bounds__(kThreads) quantizeBackwardKernel(QuantizeBackward a, int chunks, double* partial) {
  const Chunk c = chunkOfBlock(a.perChannel, chunks);
  const auto weight = global(a.weight), gradient = global(a.gradOutput);
  const auto result = global(a.gradWeight);
  const float bitDepth = global(a.bitDepth)[c.channel];
  if (isDead(bitDepth)) {
    forChunk(
        c, [&](std::int64_t i) { result[i] = 0.0f; },
        [&](std::int64_t i) {
          result.store4(i, float4{0.0f, 0.0f, 0.0f, 0.0f});
        });
    if (c.index == 0 && threadIdx.x == 0) global(a.gradBitDepth)[c.channel] = global(a.gradExponent)[c.channel] = 0.0f;
    return;
  }
  const float exponent = global(a.exponent)[c.channel];
  const auto shared = sharedArray<double>(kRangeBytes, 2 * int(blockDim.x / 32));
  const Length length = kRate ? lengthOf(a, c.channel, bitDepth) : Length{};
  const auto element = global(length.element);
  const std::int64_t first = c.channel * a.perChannel;
  double total[2];
  if (isWide(bitDepth, exponent)) {
    WideBackward backward{wideRange(bitDepth, exponent)};
#pragma unroll 1
    for (std::int64_t i = c.begin + int(threadIdx.x); i < c.end; i += int(blockDim.x)) {
      const float w = weight[i];
      float g = backward(w, gradient[i]);
      if (kRate)
        g += float(lengthGradient(double(w) * backward.range.inverse, backward.range, length, element[i - first],
                                  backward.bitDepth, backward.exponent));
      result[i] = g;
    }
    const double sums[2] = {backward.bitDepth, backward.exponent};
    blockSums<2>(sums, shared, total);
  } else {
    BackwardOfWeight backward{channelRange(bitDepth, exponent)};
    auto one = [&](float w, float g, std::int64_t i) {
      const float task = backward(w, g);
      if (!kRate) return task;
      return task + lengthGradient(w * backward.range.inverse, backward.range, length, element[i - first],
                                   backward.bitDepth, backward.exponent);
    };
    forChunk(
        c, [&](std::int64_t i) { result[i] = one(weight[i], gradient[i], i); },
        [&](std::int64_t i) {
          const float4 w = weight.load4(i), g = gradient.load4(i);
          result.store4(i, float4{one(w.x, g.x, i), one(w.y, g.y, i + 1), one(w.z, g.z, i + 2), one(w.w, g.w, i + 3)});
        });
    const float sums[2] = {backward.bitDepth, backward.exponent};
    blockSums<2>(sums, shared, total);
  }
  if (threadIdx.x != 0) return;
  if (chunks == 1) return writeSums(a, c.channel, total[0], total[1]);
  global(partial)[2 * std::int64_t(blockIdx.x)] = total[0];
  global(partial)[2 * std::int64_t(blockIdx.x) + 1] = total[1];
}

// A warp adds up the partial sums of one channel.
__global__ void __launch_bounds__(kThreads) quantizeSumsKernel(QuantizeBackward a, int chunks, const double* partial) {
  const int channel = int(threadInGrid() / 32), lane = int(threadIdx.x % 32);
  if (channel >= a.channels || isDead(global(a.bitDepth)[channel])) return;
  const auto sums = global(partial) + 2 * std::int64_t(channel) * chunks;
  double bitDepth = 0, exponent = 0;
  for (int i = lane; i < chunks; i += 32) {
    bitDepth += sums[2 * i];
    exponent += sums[2 * i + 1];
  }
  bitDepth = warpSum(bitDepth);
  exponent = warpSum(exponent);
  if (lane == 0) writeSums(a, channel, bitDepth, exponent);
}

// The bits of the shortest two's complement integer that holds both.
__device__ inline std::int32_t bitsFor(std::int32_t smallest, std::int32_t largest) {
  std::int32_t bits = 0;
  if (smallest != 0 || largest != 0)
    for (bits = 1; smallest < -(std::int64_t(1) << (bits - 1)) || largest > (std::int64_t(1) << (bits - 1)) - 1;)
      bits++;
  return bits;
}

// A block for each channel.
__global__ void __launch_bounds__(kThreads) quantizeCodesKernel(QuantizeCodes a) {
  const int channel = int(blockIdx.x), t = int(threadIdx.x);
  const auto weight = global(a.weight) + channel * a.perChannel;
  const auto codes = global(a.codes) + channel * a.perChannel;
  const float bitDepth = global(a.bitDepth)[channel];
  const float exponent = global(a.exponent)[channel], beta = bitDepth > 31 ? 31.0f : bitDepth;
  const bool coded = !isDead(bitDepth) && !isSpoilt(bitDepth, exponent), wide = coded && isWide(beta, exponent);
  const Range range = channelRange(beta, exponent);
  const double inverse = exp2(exponent < -500 ? 500.0 : exponent > 500 ? -500.0 : -double(exponent));
  std::int32_t smallest = 0, largest = 0;
  for (std::int64_t i = t; i < a.perChannel; i += blockDim.x) {
    const double u = wide ? double(weight[i]) * inverse : double(weight[i] * range.inverse);
    const double r = rint(u < range.low ? double(range.low) : u > range.high ? double(range.high) : u);
    std::int32_t code = 0;
    if (coded && r == r) code = r >= 1073741824.0 ? 1073741823 : r <= -1073741824.0 ? -1073741824 : std::int32_t(r);
    codes[i] = code;
    smallest = code < smallest ? code : smallest;
    largest = code > largest ? code : largest;
  }
  for (int distance = 16; distance > 0; distance /= 2) {
    const std::int32_t s = __shfl_xor_sync(kAllLanes, smallest, distance),
                       l = __shfl_xor_sync(kAllLanes, largest, distance);
    smallest = s < smallest ? s : smallest;
    largest = l > largest ? l : largest;
  }
  Shared<std::int32_t> ends = sharedArray<std::int32_t>(kRangeBytes, 2 * kWarps);
  if (t % 32 == 0) {
    ends[t / 32] = smallest;
    ends[kWarps + t / 32] = largest;
  }
  __syncthreads();
  if (t != 0) return;
  for (int warp = 1; warp < kWarps; warp++) {
    smallest = ends[warp] < smallest ? ends[warp] : smallest;
    largest = ends[kWarps + warp] > largest ? ends[kWarps + warp] : largest;
  }
  global(a.codeBits)[channel] = isSpoilt(bitDepth, exponent) ? -1 : bitsFor(smallest, largest);
}

// Sum of max(b, 0) over the thread's channels; 32 bits each without bit depths.
__device__ inline double bitsOf(const float* bitDepth, int channels) {
  double bits = 0;
  for (int i = int(threadIdx.x); i < channels; i += int(blockDim.x)) {
    const double b = bitDepth ? double(global(bitDepth)[i]) : 32.0;
    bits += b < 0 ? 0.0 : b;
  }
  return bits;
}

// A block for each reader.
__global__ void __launch_bounds__(kThreads) readerBitsKernel(BitPenalty a) {
  const PenaltyReader r = global(a.readers)[int(blockIdx.x)];
  const double bits[1] = {bitsOf(r.bitDepth, r.channels)};
  double sum[1];
  blockSums<1>(bits, sharedArray<double>(0, kWarps), sum);
  if (threadIdx.x == 0) global(a.readerBits)[int(blockIdx.x)] = sum[0] * double(r.weights);
}

__device__ inline double liveInputs(const BitPenalty& a, int first, int end, int step) {
  double live = 0;
  for (int c = first; c < end; c += step) live += !a.inputState || global(a.inputState)[c] == kLive ? 1.0 : 0.0;
  return live;
}

__global__ void __launch_bounds__(kThreads) bitPenaltyKernel(BitPenalty a) {
  const int t = int(threadIdx.x), inPerGroup = a.inChannels / a.groups, outPerGroup = a.channels / a.groups;
  const double mine[1] = {liveInputs(a, t, a.groups == 1 ? a.inChannels : 0, kThreads)};
  double together[1], bits[1] = {0}, sum[1];
  blockSums<1>(mine, sharedArray<double>(0, kWarps), together);
  for (int i = t; i < a.channels; i += kThreads) {
    const int group = i / outPerGroup;
    const double live = a.groups == 1 ? together[0] : liveInputs(a, group * inPerGroup, (group + 1) * inPerGroup, 1);
    const double own = double(a.kernelArea) * live / a.originalWeights;
    double coupled = 0;
    if (a.start)
      for (int k = global(a.start)[i]; k < global(a.start)[i + 1]; k++)
        coupled += global(a.readerBits)[global(a.index)[k]];
    if (a.penalty) global(a.penalty)[i] = float(double(global(a.gamma)[0]) * (own + coupled / a.originalWeights));
    const double b = a.bitDepth ? double(global(a.bitDepth)[i]) : 32.0;
    bits[0] += own * (b < 0 ? 0.0 : b);
  }
  blockSums<1>(bits, sharedArray<double>(kWarps * 8, kWarps), sum);
  if (t == 0) global(a.layerBits)[0] = float(sum[0]);
}

}  // namespace

void enqueue(Stream& stream, const QuantizeForward& a) {
  const ChunkGrid grid = chunkGrid(a.channels, a.perChannel);
  launch(stream, "quantize forward", quantizeForwardKernel, dim3(grid.blocks), dim3(grid.threads), kRangeBytes, a,
         grid.chunks);
}

void enqueue(Stream& stream, const QuantizeBackward& a) {
  const ChunkGrid grid = chunkGrid(a.channels, a.perChannel);
  auto* partial =
      grid.chunks > 1 ? static_cast<double*>(scratch(stream, std::size_t(grid.blocks) * 2 * sizeof(double))) : nullptr;
  launch(stream, "quantize backward", a.rate.slope ? quantizeBackwardKernel<true> : quantizeBackwardKernel<false>,
         dim3(grid.blocks), dim3(grid.threads), kRangeBytes + blockSumBytes(2), a, grid.chunks, partial);
  if (grid.chunks > 1)
    launch(stream, "quantize backward", quantizeSumsKernel, dim3(blocksFor(a.channels * std::int64_t(32))),
           dim3(kThreads), 0, a, grid.chunks, partial);
}

void enqueue(Stream& stream, const QuantizeCodes& a) {
  launch(stream, "quantize codes", quantizeCodesKernel, dim3(unsigned(a.channels)), dim3(kThreads),
         kRangeBytes + 2 * kWarps * sizeof(std::int32_t), a);
}

void enqueue(Stream& stream, const BitPenalty& a) {
  if (a.readerCount > 0)
    launch(stream, "bit penalty", readerBitsKernel, dim3(unsigned(a.readerCount)), dim3(kThreads), blockSumBytes(1), a);
  launch(stream, "bit penalty", bitPenaltyKernel, dim3(1), dim3(kThreads), blockSumBytes(2), a);
}

}  // namespace selfcompress::cuda
