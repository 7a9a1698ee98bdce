// Batch normalisation. A channel's values are cut into stretches, one block each, so that few channels of large images
// and many channels of small ones both fill a GPU.
//
// - forward, training: one read for the statistics, one read and write for the result. A block sums differences from
//   a pivot (the mean of its first values), so that its variance does not cancel: float within a warp, double from
//   there. A second kernel, a warp for each channel, merges the blocks' counts, means and squares in a fixed order
//   (Chan, Golub & LeVeque 1983), updates the running statistics and leaves the channel's constants. The third applies
//   them, with the activation.
// - forward, evaluation: constants, then one read and write.
// - backward: one read of g and x for the two sums, one more with the write of dL/dx.
//
// The kernels that apply go through the stretches in reverse: what was read last is still in the L2 cache.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/activation.cuh"

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

// Of a channel, or what stands for it where there is no array.
__device__ inline float valueOr(const float* values, int channel, float otherwise) {
  return values ? global(values)[channel] : otherwise;
}

// y. Fused and in one place, so that backward has the bits of forward.
__device__ inline float normalised(float x, float mean, float scale, float bias) { return fmaf(x - mean, scale, bias); }

struct NoActivation {
  static constexpr bool kAny = false;
  __device__ static float of(const AppliedActivation&, float y) { return y; }
  __device__ static float gradient(const AppliedActivation&, float, float g) { return g; }
};
template <Activation kKind>
struct Applied {
  static constexpr bool kAny = true;
  __device__ static float of(const AppliedActivation& a, float y) { return activated<kKind>(y, a.alpha, a.beta); }
  __device__ static float gradient(const AppliedActivation& a, float y, float g) {
    return gradientOf<kKind>(y, g, a.alpha, a.beta);
  }
};

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
  const float inverse = float(1.0 / sqrt(m.variance + double(a.epsilon)));
  if (a.training) {
    const double unbiased = count > 1 ? m.variance * count / (count - 1) : m.variance;
    runningMean[channel] += a.momentum * (float(m.mean) - runningMean[channel]);
    runningVar[channel] += a.momentum * (float(unbiased) - runningVar[channel]);
    global(a.savedMean)[channel] = float(m.mean);
    global(a.savedInvStd)[channel] = inverse;
  }
  global(constants).store4(4 * std::int64_t(channel), float4{float(m.mean), inverse * valueOr(a.weight, channel, 1.0f),
                                                             valueOr(a.bias, channel, 0.0f), 0.0f});
}

template <class Function>
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
    output.store4(at,
                  map(x, [&](float value) { return Function::of(a.activation, normalised(value, c.x, c.y, c.z)); }));
  }
}

// dL/dy of a channel at a place, from that of f(y).
template <class Function>
struct NormGradient {
  const BatchNormBackward& a;
  float mean, scale, bias;
  __device__ NormGradient(const BatchNormBackward& args, int channel)
      : a(args),
        mean(global(a.savedMean)[channel]),
        scale(global(a.savedInvStd)[channel] * valueOr(a.weight, channel, 1.0f)),
        bias(Function::kAny ? valueOr(a.bias, channel, 0.0f) : 0.0f) {}
  __device__ float4 operator()(std::int64_t place, float4 input) const {
    const float4 g = global(a.gradOutput).load4(place);
    return map(g, input, [&](float gradient, float x) {
      return Function::gradient(a.activation, normalised(x, mean, scale, bias), gradient);
    });
  }
};
__device__ inline bool isDead(const BatchNormBackward& a, int channel) {
  return (a.inputState && global(a.inputState)[channel] != kLive) ||
         (a.outputState && global(a.outputState)[channel] != kLive);
}

// Sums of g and g * (x - mean) over a stretch.
template <class Function>
__global__ void __launch_bounds__(kThreads) normGradientSumsKernel(BatchNormBackward a, Work work, double* partial) {
  const Stretch s = stretchOf(work, blockIdx.x);
  if (isDead(a, s.channel)) return;
  const auto input = global(a.input);
  const NormGradient<Function> gradient(a, s.channel);
  float sums[2] = {0, 0};
  for (unsigned v = s.begin + threadIdx.x; v < s.end; v += kThreads) {
    const std::int64_t at = offsetOf(work, s.channel, v);
    const float4 x = input.load4(at), g = firstOf(gradient(at, x), imagesOf(work, v));
    sums[0] += sumOf(g);
    sums[1] += sumOf(map(g, x, [&](float gi, float xi) { return gi * (xi - gradient.mean); }));
  }
  double total[2];
  blockSums<2>(sums, sharedArray<double>(0, 2 * kWarps), total);
  if (threadIdx.x != 0) return;
  global(partial)[2 * std::int64_t(blockIdx.x)] = total[0];
  global(partial)[2 * std::int64_t(blockIdx.x) + 1] = total[1];
}

// constants[channel] = {A, B, C, 0} with dx = A g + B (x - mean) + C; a warp for each channel.
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
  const float inverse = global(a.savedInvStd)[channel], scale = inverse * valueOr(a.weight, channel, 1.0f);
  product *= double(inverse);
  if (a.gradWeight) global(a.gradWeight)[channel] = float(product);
  if (a.gradBias) global(a.gradBias)[channel] = float(sum);
  const double count = double(work.batch) * (work.perPlane / kPixelVectors), slope = double(scale);
  global(constants).store4(4 * std::int64_t(channel), float4{scale, float(-slope * double(inverse) * product / count),
                                                             float(-slope * sum / count), 0.0f});
}

template <class Function>
__global__ void __launch_bounds__(kThreads) normGradientKernel(BatchNormBackward a, Work work, const float* constants) {
  const Stretch s = stretchOf(work, gridDim.x - 1 - blockIdx.x);
  if (isZero(a.inputState, unsigned(s.channel))) return;
  const bool dead = isDead(a, s.channel);
  const float4 c = global(constants).load4(4 * std::int64_t(s.channel));
  const auto input = global(a.input);
  const auto result = global(a.gradInput);
  const NormGradient<Function> gradient(a, s.channel);
  for (unsigned v = s.begin + threadIdx.x; v < s.end; v += kThreads) {
    const std::int64_t at = offsetOf(work, s.channel, v);
    float4 r{0, 0, 0, 0};
    if (!dead) {
      const float4 x = input.load4(at);
      r = map(gradient(at, x), x, [&](float g, float xi) { return c.x * g + (c.y * (xi - gradient.mean) + c.z); });
      if (a.reluInput)
        r = map(r, global(a.reluInput).load4(at), [](float value, float mask) { return mask > 0 ? value : 0.0f; });
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
// call(f): f is what stands for the activation.
template <class Call>
void withActivation(const AppliedActivation& a, const Call& call) {
  switch (a.kind) {
    case NormActivation::kNone:
      return call(NoActivation());
#define SC_APPLIED(kKind)     \
  case NormActivation::kKind: \
    return call(Applied<Activation::kKind>());
      SELFCOMPRESS_NORM_ACTIVATIONS(SC_APPLIED)
#undef SC_APPLIED
  }
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
  withActivation(a.activation, [&](auto f) {
    launch(stream, name, normApplyKernel<decltype(f)>, dim3(apply.blocks()), dim3(kThreads), 0, a, apply,
           memory.constants);
  });
}

void enqueue(Stream& stream, const BatchNormBackward& a) {
  const Work sums = sumWork(a.shape, a.batch), apply = applyWork(a.shape, a.batch);
  const NormScratch memory = normScratch(stream, sums, 2);
  const char* name = "batch norm backward";
  withActivation(a.activation, [&](auto f) {
    launch(stream, name, normGradientSumsKernel<decltype(f)>, dim3(sums.blocks()), dim3(kThreads), blockSumBytes(2), a,
           sums, memory.partial);
    launch(stream, name, normBackwardConstantsKernel, warpForEach(a.shape.channels), dim3(kThreads), 0, a, sums,
           memory.partial, memory.constants);
    launch(stream, name, normGradientKernel<decltype(f)>, dim3(apply.blocks()), dim3(kThreads), 0, a, apply,
           memory.constants);
  });
}

}  // namespace selfcompress::cuda
