// Element-wise activations and dropout: every tensor is read once and written once, a float4 for each thread; planes of
// channels that are exactly zero are neither read nor written.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kDropoutBlocks = 8;  // for each multiprocessor

__device__ inline float normalCdf(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }
__device__ inline float normalPdf(float x) { return 0.39894228040143268f * expf(-0.5f * x * x); }
__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// x * Phi(x) and x * sigmoid(x) are 0 at -infinity, where the product would be NaN.
template <Activation kKind>
__device__ inline float activated(float x) {
  if constexpr (kKind == Activation::kRelu) return relu(x);
  if (x < -3.4e38f) return 0.0f;
  if constexpr (kKind == Activation::kGelu) return x * normalCdf(x);
  return x * sigmoid(x);
}
template <Activation kKind>
__device__ inline float gradientOf(float x, float g) {
  if constexpr (kKind == Activation::kRelu) return x > 0 ? g : 0.0f;
  if constexpr (kKind == Activation::kGelu) return g * (normalCdf(x) + x * normalPdf(x));
  const float s = sigmoid(x);
  return g * (s * (1.0f + x * (1.0f - s)));
}

template <Activation kKind>
__global__ void __launch_bounds__(kThreads) activationForwardKernel(ActivationForward a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total || isZero(a.state, channelOf(planes, v))) return;
  const std::int64_t at = std::int64_t(v) * 4;
  global(a.output).store4(at, map(global(a.input).load4(at), [](float x) { return activated<kKind>(x); }));
}

template <Activation kKind>
__global__ void __launch_bounds__(kThreads) activationBackwardKernel(ActivationBackward a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total || isZero(a.state, channelOf(planes, v))) return;
  const std::int64_t at = std::int64_t(v) * 4;
  const float4 x = global(a.input).load4(at), g = global(a.gradOutput).load4(at);
  global(a.gradInput).store4(at, map(x, g, [](float xi, float gi) { return gradientOf<kKind>(xi, gi); }));
}

// As many blocks as the device holds at once: the key is made once per thread, not once per float4.
__global__ void __launch_bounds__(kThreads) dropoutKernel(Dropout a, Planes planes) {
  const StepCounter& counter = *global(a.counter).at(0);
  const std::uint64_t key = dropoutKey(counter.seed, counter.step, a.site);
  const float keep = 1.0f / (1.0f - a.probability);
  auto factor = [&](std::int64_t offset) {
    return uniformFrom(mix64(key + std::uint64_t(offset))) >= a.probability ? keep : 0.0f;
  };
  for (std::int64_t v = threadInGrid(); v < planes.total; v += gridDim.x * blockDim.x) {
    if (isZero(a.state, channelOf(planes, unsigned(v)))) continue;
    const std::int64_t at = v * 4;
    const float4 x = global(a.input).load4(at);
    global(a.output).store4(at,
                            float4{x.x * factor(at), x.y * factor(at + 1), x.z * factor(at + 2), x.w * factor(at + 3)});
  }
}

}  // namespace

void enqueue(Stream& stream, const ActivationForward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  auto* kernel = a.kind == Activation::kRelu   ? activationForwardKernel<Activation::kRelu>
                 : a.kind == Activation::kGelu ? activationForwardKernel<Activation::kGelu>
                                               : activationForwardKernel<Activation::kSilu>;
  launch(stream, "activation forward", kernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const ActivationBackward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  auto* kernel = a.kind == Activation::kRelu   ? activationBackwardKernel<Activation::kRelu>
                 : a.kind == Activation::kGelu ? activationBackwardKernel<Activation::kGelu>
                                               : activationBackwardKernel<Activation::kSilu>;
  launch(stream, "activation backward", kernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const Dropout& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  const unsigned most = unsigned(limits(stream).multiprocessors * kDropoutBlocks);
  launch(stream, "dropout", dropoutKernel, dim3(std::min(blocksFor(planes.total), most)), dim3(kThreads), 0, a, planes);
}

}  // namespace selfcompress::cuda
