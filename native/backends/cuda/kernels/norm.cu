// Batch normalisation. A channel's values are cut into stretches, one block each, so that few channels of large images
// and many channels of small ones both fill a GPU.
//
// - forward, training: one read for the statistics, one read and write for the result. A block sums differences from
//   a pivot (the mean of its first values), so that its variance does not cancel: float within a warp, double from
//   there. A second kernel, a warp for each channel, merges the blocks' counts, means and squares in a fixed order
//   (Chan, Golub & LeVeque 1983), updates the running statistics and leaves the channel's constants. The third applies
//   them, with the ReLU.
// - forward, evaluation: constants, then one read and write.
// - backward: one read of g and x (and of the ReLU's output) for the two sums, one more with the write of dL/dx.
//
// The kernels that apply go through the stretches in reverse: what was read last is still in the L2 cache.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kStretch = 2048;      // float4s of a block that sums, at least
constexpr int kMaxStretches = 128;  // of a channel
constexpr int kApply = 1024;        // float4s of a block that applies

// A channel's float4s, numbered over blocks of images and pixels: 0 .. vectors-1.
struct Work {
  int channels, batch;
  unsigned perPlane, vectors;
  unsigned stretch;    // float4s of a block
  unsigned stretches;  // of a channel
  __host__ __device__ unsigned blocks() const { return stretches * unsigned(channels); }
};
Work workOf(Shape shape, int batch, unsigned stretch, unsigned most) {
  const Planes planes = planesOf(shape, batch);
  Work w{shape.channels, batch, planes.perPlane, planes.perPlane * unsigned(blocksOf(batch)), stretch, 1};
  w.stretch = std::max(stretch, ((w.vectors + most - 1) / most + kThreads - 1) / kThreads * kThreads);
  w.stretches = (w.vectors + w.stretch - 1) / w.stretch;
  return w;
}
Work sumWork(Shape shape, int batch) { return workOf(shape, batch, kStretch, kMaxStretches); }
Work applyWork(Shape shape, int batch) { return workOf(shape, batch, kApply, 1u << 30); }

// Float index of the channel's float4 `v` in the tensor, and how many of its four images belong to the batch.
__device__ inline std::int64_t offsetOf(const Work& w, int channel, unsigned v) {
  const unsigned block = v / w.perPlane, inPlane = v % w.perPlane;
  return ((std::int64_t(block) * w.channels + channel) * w.perPlane + inPlane) * 4;
}
__device__ inline int imagesOf(const Work& w, unsigned v) {
  const int first = int(v / w.perPlane) * kLanes + int(v % kPixelVectors) * 4, rest = w.batch - first;
  return rest < 0 ? 0 : rest < 4 ? rest : 4;
}

struct Stretch {
  int channel;
  unsigned begin, end;
};
__device__ inline Stretch stretchOf(const Work& w, unsigned block) {
  const unsigned begin = block % w.stretches * w.stretch;
  return {int(block / w.stretches), begin, begin + w.stretch < w.vectors ? begin + w.stretch : w.vectors};
}

// count, mean and sum of squared differences from the mean
constexpr int kMoments = 3;

__global__ void __launch_bounds__(kThreads) normMomentsKernel(BatchNormForward a, Work work, double* moments) {
  const Stretch s = stretchOf(work, blockIdx.x);
  if (isZero(a.inputState, unsigned(s.channel))) return;
  const auto input = global(a.input);
  auto valueAt = [&](unsigned v) { return input.load4(offsetOf(work, s.channel, v)); };

  unsigned v = s.begin + threadIdx.x;
  float4 x{0, 0, 0, 0};
  int images = 0;
  if (v < s.end) {
    x = valueAt(v);
    images = imagesOf(work, v);
  }
  const float first[2] = {sumOf(firstOf(x, images)), float(images)};
  double firstSums[2];
  blockSums<2>(first, sharedArray<double>(0, 2 * kWarps), firstSums);
  const double start = firstSums[0] / firstSums[1];
  const float pivot = start - start == 0 ? float(start) : 0.0f;  // not of NaN, infinities, no images

  float sum = 0, squares = 0, count = 0;
  while (v < s.end) {
    const float4 d = firstOf(map(x, [&](float value) { return value - pivot; }), images);
    sum += sumOf(d);
    squares += sumOf(map(d, [](float value) { return value * value; }));
    count += float(images);
    v += kThreads;
    if (v >= s.end) break;
    x = valueAt(v);
    images = imagesOf(work, v);
  }
  const float all[3] = {count, sum, squares};
  double sums[3];
  blockSums<3>(all, sharedArray<double>(int(blockSumBytes(2)), 3 * kWarps), sums);
  if (threadIdx.x != 0) return;
  const auto to = global(moments) + std::int64_t(blockIdx.x) * kMoments;
  to[0] = sums[0];
  to[1] = sums[0] > 0 ? double(pivot) + sums[1] / sums[0] : 0.0;
  to[2] = sums[0] > 0 ? sums[2] - sums[1] * sums[1] / sums[0] : 0.0;
}

struct Moments {
  double mean = 0, variance = 0;
};
// By the 32 lanes of a warp; every lane gets the result.
__device__ inline Moments mergedMoments(const Work& w, int channel, double count, const double* moments) {
  const auto parts = global(moments) + std::int64_t(channel) * w.stretches * kMoments;
  const int lane = int(threadIdx.x % 32), n = int(w.stretches);
  double sum = 0, squares = 0;
  for (int i = lane; i < n; i += 32) sum += parts[i * kMoments] * parts[i * kMoments + 1];
  const double mean = warpSum(sum) / count;
  for (int i = lane; i < n; i += 32) {
    const double d = parts[i * kMoments + 1] - mean;
    squares += parts[i * kMoments + 2] + parts[i * kMoments] * d * d;
  }
  const double variance = warpSum(squares) / count;
  return {mean, variance < 0 ? 0.0 : variance};
}

// constants[channel] = {mean, weight / sqrt(variance + epsilon), bias, 0}; a warp for each channel.
__global__ void __launch_bounds__(kThreads)
    normForwardConstantsKernel(BatchNormForward a, Work work, const double* moments, float* constants) {
  const int channel = int(threadInGrid() / 32);
  if (channel >= work.channels) return;
  const auto runningMean = global(a.runningMean), runningVar = global(a.runningVar);
  Moments m;
  const double count = double(work.batch) * (work.perPlane / kPixelVectors);
  if (!a.training) m = {double(runningMean[channel]), double(runningVar[channel])};
  else if (!isZero(a.inputState, unsigned(channel))) m = mergedMoments(work, channel, count, moments);
  if (threadIdx.x % 32 != 0) return;
  const double inverse = 1.0 / sqrt(m.variance + double(a.epsilon));
  if (a.training) {
    const double unbiased = count > 1 ? m.variance * count / (count - 1) : m.variance;
    runningMean[channel] += a.momentum * (float(m.mean) - runningMean[channel]);
    runningVar[channel] += a.momentum * (float(unbiased) - runningVar[channel]);
    global(a.savedMean)[channel] = float(m.mean);
    global(a.savedInvStd)[channel] = float(inverse);
  }
  const double weight = a.weight ? double(global(a.weight)[channel]) : 1.0;
  global(constants).store4(4 * std::int64_t(channel), float4{float(m.mean), float(inverse * weight),
                                                             a.bias ? global(a.bias)[channel] : 0.0f, 0.0f});
}

__global__ void __launch_bounds__(kThreads) normApplyKernel(BatchNormForward a, Work work, const float* constants) {
  const Stretch s = stretchOf(work, gridDim.x - 1 - blockIdx.x);
  if (isZero(a.outputState, unsigned(s.channel))) return;
  const bool zeroInput = isZero(a.inputState, unsigned(s.channel));
  const float4 c = global(constants).load4(4 * std::int64_t(s.channel));
  const auto input = global(a.input);
  const auto output = global(a.output);
  for (unsigned v = s.begin + threadIdx.x; v < s.end; v += kThreads) {
    const std::int64_t at = offsetOf(work, s.channel, v);
    const float4 x = zeroInput ? float4{0, 0, 0, 0} : input.load4(at);
    output.store4(at, map(x, [&](float value) {
                    const float y = (value - c.x) * c.y + c.z;
                    return a.relu ? relu(y) : y;
                  }));
  }
}

// g, masked by the ReLU that follows.
__device__ inline float4 gradientAt(const BatchNormBackward& a, std::int64_t at) {
  const float4 g = global(a.gradOutput).load4(at);
  if (!a.reluOutput) return g;
  return map(g, global(a.reluOutput).load4(at), [](float gradient, float y) { return y > 0 ? gradient : 0.0f; });
}
__device__ inline bool isDead(const BatchNormBackward& a, int channel) {
  return (a.inputState && global(a.inputState)[channel] != kLive) ||
         (a.outputState && global(a.outputState)[channel] != kLive);
}

// Sums of g and g * (x - mean) over a stretch.
__global__ void __launch_bounds__(kThreads) normGradientSumsKernel(BatchNormBackward a, Work work, double* partial) {
  const Stretch s = stretchOf(work, blockIdx.x);
  if (isDead(a, s.channel)) return;
  const auto input = global(a.input);
  const float mean = global(a.savedMean)[s.channel];
  float sums[2] = {0, 0};
  for (unsigned v = s.begin + threadIdx.x; v < s.end; v += kThreads) {
    const std::int64_t at = offsetOf(work, s.channel, v);
    const float4 g = firstOf(gradientAt(a, at), imagesOf(work, v));
    sums[0] += sumOf(g);
    sums[1] += sumOf(map(g, input.load4(at), [&](float gradient, float x) { return gradient * (x - mean); }));
  }
  double total[2];
  blockSums<2>(sums, sharedArray<double>(0, 2 * kWarps), total);
  if (threadIdx.x != 0) return;
  global(partial)[2 * std::int64_t(blockIdx.x)] = total[0];
  global(partial)[2 * std::int64_t(blockIdx.x) + 1] = total[1];
}

// constants[channel] = {A, B, C, mean} with dx = A g + B (x - mean) + C; a warp for each channel.
__global__ void __launch_bounds__(kThreads)
    normBackwardConstantsKernel(BatchNormBackward a, Work work, const double* partial, float* constants) {
  const int channel = int(threadInGrid() / 32), lane = int(threadIdx.x % 32);
  if (channel >= work.channels) return;
  double sum = 0, product = 0;
  if (!isDead(a, channel)) {
    const auto parts = global(partial) + 2 * std::int64_t(channel) * work.stretches;
    for (int i = lane; i < int(work.stretches); i += 32) {
      sum += parts[2 * i];
      product += parts[2 * i + 1];
    }
    sum = warpSum(sum);
    product = warpSum(product);
  }
  if (lane != 0) return;
  const double inverse = double(global(a.savedInvStd)[channel]);
  product *= inverse;
  if (a.gradWeight) global(a.gradWeight)[channel] = float(product);
  if (a.gradBias) global(a.gradBias)[channel] = float(sum);
  const double count = double(work.batch) * (work.perPlane / kPixelVectors),
               slope = (a.weight ? double(global(a.weight)[channel]) : 1.0) * inverse;
  global(constants).store4(4 * std::int64_t(channel),
                           float4{float(slope), float(-slope * inverse * product / count), float(-slope * sum / count),
                                  global(a.savedMean)[channel]});
}

__global__ void __launch_bounds__(kThreads) normGradientKernel(BatchNormBackward a, Work work, const float* constants) {
  const Stretch s = stretchOf(work, gridDim.x - 1 - blockIdx.x);
  if (isZero(a.inputState, unsigned(s.channel))) return;
  const bool dead = isDead(a, s.channel);
  const float4 c = global(constants).load4(4 * std::int64_t(s.channel));
  const auto input = global(a.input);
  const auto result = global(a.gradInput);
  for (unsigned v = s.begin + threadIdx.x; v < s.end; v += kThreads) {
    const std::int64_t at = offsetOf(work, s.channel, v);
    float4 r{0, 0, 0, 0};
    if (!dead) {
      r = map(gradientAt(a, at), input.load4(at), [&](float g, float x) { return c.x * g + (c.y * (x - c.w) + c.z); });
      if (a.reluInput)
        r = map(r, global(a.reluInput).load4(at), [](float value, float x) { return x > 0 ? value : 0.0f; });
      r = firstOf(r, imagesOf(work, v));
    }
    result.store4(at, r);
  }
}

// Scratch memory: four constants of each channel, then the partial sums.
struct NormScratch {
  float* constants;
  double* partial;
};
NormScratch normScratch(Stream& stream, const Work& work, int perStretch) {
  std::size_t constants = (std::size_t(work.channels) * 4 * sizeof(float) + 255) / 256 * 256;
  auto* memory = static_cast<unsigned char*>(
      scratch(stream, constants + std::size_t(work.blocks()) * perStretch * sizeof(double)));
  return {reinterpret_cast<float*>(memory), reinterpret_cast<double*>(memory + constants)};
}
dim3 warpForEach(int channels) { return dim3(blocksFor(std::int64_t(channels) * 32)); }

}  // namespace

void enqueue(Stream& stream, const BatchNormForward& a) {
  const Work sums = sumWork(a.shape, a.batch), apply = applyWork(a.shape, a.batch);
  const NormScratch memory = normScratch(stream, sums, kMoments);
  const char* name = "batch norm forward";
  if (a.training)
    launch(stream, name, normMomentsKernel, dim3(sums.blocks()), dim3(kThreads), blockSumBytes(2) + blockSumBytes(3), a,
           sums, memory.partial);
  launch(stream, name, normForwardConstantsKernel, warpForEach(a.shape.channels), dim3(kThreads), 0, a, sums,
         memory.partial, memory.constants);
  launch(stream, name, normApplyKernel, dim3(apply.blocks()), dim3(kThreads), 0, a, apply, memory.constants);
}

void enqueue(Stream& stream, const BatchNormBackward& a) {
  const Work sums = sumWork(a.shape, a.batch), apply = applyWork(a.shape, a.batch);
  const NormScratch memory = normScratch(stream, sums, 2);
  const char* name = "batch norm backward";
  launch(stream, name, normGradientSumsKernel, dim3(sums.blocks()), dim3(kThreads), blockSumBytes(2), a, sums,
         memory.partial);
  launch(stream, name, normBackwardConstantsKernel, warpForEach(a.shape.channels), dim3(kThreads), 0, a, sums,
         memory.partial, memory.constants);
  launch(stream, name, normGradientKernel, dim3(apply.blocks()), dim3(kThreads), 0, a, apply, memory.constants);
}

}  // namespace selfcompress::cuda
