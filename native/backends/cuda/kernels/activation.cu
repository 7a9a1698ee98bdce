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
__device__ inline float sigmoidSlope(float x) {
  const float e = expf(-fabsf(x)), s = 1.0f / (1.0f + e);
  return e * s * s;
}
// min(max(x, low), high) that leaves NaN a NaN.
__device__ inline float clipped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// geluTanh is x * sigmoid(of this); beyond 30 its slope is that of x or of 0.
__device__ inline float geluTanhArgument(float x) { return x * (x * x * 0.071354816f + 1.59576912f); }
__device__ inline float geluTanhSlope(float x) {
  x = clipped(x, -30.0f, 30.0f);
  const float u = geluTanhArgument(x);
  return x * sigmoidSlope(u) * (x * x * 0.214064449f + 1.59576912f) + sigmoid(u);
}

// x * Phi(x) and x * sigmoid(x) are 0 at -infinity, where the product would be NaN.
template <Activation kKind>
__device__ inline float activated(float x, float alpha, float beta) {
  const bool lowest = x < -3.4e38f;
  if constexpr (kKind == Activation::kRelu) return relu(x);
  if constexpr (kKind == Activation::kGelu) return lowest ? 0.0f : x * normalCdf(x);
  if constexpr (kKind == Activation::kSilu) return lowest ? 0.0f : x * sigmoid(x);
  if constexpr (kKind == Activation::kGeluTanh) return lowest ? 0.0f : x * sigmoid(geluTanhArgument(x));
  if constexpr (kKind == Activation::kSigmoid) return sigmoid(x);
  if constexpr (kKind == Activation::kTanh) return tanhf(x);
  if constexpr (kKind == Activation::kHardSigmoid) return clipped(x * alpha + beta, 0, 1);
  if constexpr (kKind == Activation::kHardSwish) return x < -3 ? 0.0f : x * clipped(x * (1.0f / 6) + 0.5f, 0, 1);
  if constexpr (kKind == Activation::kLeakyRelu) return x > 0 ? x : alpha * x;
  if constexpr (kKind == Activation::kClip) return clipped(x, alpha, beta);
  if constexpr (kKind == Activation::kElu) return x > 0 ? x : alpha * expm1f(x);
  if constexpr (kKind == Activation::kSoftplus) return relu(x) + log1pf(expf(-fabsf(x)));
  if constexpr (kKind == Activation::kExp) return expf(x);
  if constexpr (kKind == Activation::kLog) return logf(x);
  if constexpr (kKind == Activation::kSqrt) return sqrtf(x);
  if constexpr (kKind == Activation::kAbs) return fabsf(x);
  if constexpr (kKind == Activation::kSquare) return x * x;
  if constexpr (kKind == Activation::kReciprocal) return 1.0f / x;
  return x * alpha + beta;  // kAffine
}
template <Activation kKind>
__device__ inline float gradientOf(float x, float g, float alpha, float beta) {
  if constexpr (kKind == Activation::kRelu) return x > 0 ? g : 0.0f;
  if constexpr (kKind == Activation::kGelu) return g * (normalCdf(x) + x * normalPdf(x));
  if constexpr (kKind == Activation::kSilu) {
    const float s = sigmoid(x);
    return g * (s * (1.0f + x * (1.0f - s)));
  }
  if constexpr (kKind == Activation::kGeluTanh) return g * geluTanhSlope(x);
  if constexpr (kKind == Activation::kSigmoid) return g * sigmoidSlope(x);
  if constexpr (kKind == Activation::kTanh) return g * 4.0f * sigmoidSlope(x + x);
  if constexpr (kKind == Activation::kHardSigmoid) {
    const float u = x * alpha + beta;
    return u > 0 && u < 1 ? g * alpha : 0.0f;
  }
  if constexpr (kKind == Activation::kHardSwish) return x < -3 ? 0.0f : x > 3 ? g : g * (x * (1.0f / 3) + 0.5f);
  if constexpr (kKind == Activation::kLeakyRelu) return x > 0 ? g : g * alpha;
  if constexpr (kKind == Activation::kClip) return x > alpha && x < beta ? g : 0.0f;
  if constexpr (kKind == Activation::kElu) return x > 0 ? g : g * alpha * expf(x);
  if constexpr (kKind == Activation::kSoftplus) return g * sigmoid(x);
  if constexpr (kKind == Activation::kExp) return g * expf(x);
  if constexpr (kKind == Activation::kLog) return g / x;
  if constexpr (kKind == Activation::kSqrt) return g * (0.5f / sqrtf(x));
  if constexpr (kKind == Activation::kAbs) return x > 0 ? g : x < 0 ? -g : x;
  if constexpr (kKind == Activation::kSquare) return g * (x + x);
  if constexpr (kKind == Activation::kReciprocal) return g * (-1.0f / (x * x));
  return g * alpha;  // kAffine
}

// Images of the float4 that belong to the batch.
__device__ inline int imagesOf(int batch, const Planes& planes, unsigned v) {
  const int rest = batch - int(v / planes.perPlane / planes.channels) * kLanes - int(v % kPixelVectors) * 4;
  return rest < 0 ? 0 : rest < 4 ? rest : 4;
}

// atZero: f(0), which fills channels that are exactly zero unless it is 0 as well.
template <Activation kKind>
__global__ void __launch_bounds__(kThreads) activationForwardKernel(ActivationForward a, Planes planes, float atZero) {
  const unsigned v = threadInGrid();
  if (v >= planes.total) return;
  const std::int64_t at = std::int64_t(v) * 4;
  const int images = imagesOf(a.batch, planes, v);
  if (isZero(a.state, channelOf(planes, v))) {
    if (atZero != 0) global(a.output).store4(at, firstOf(float4{atZero, atZero, atZero, atZero}, images));
    return;
  }
  global(a.output).store4(
      at,
      firstOf(map(global(a.input).load4(at), [&](float x) { return activated<kKind>(x, a.alpha, a.beta); }), images));
}

template <Activation kKind>
__global__ void __launch_bounds__(kThreads) activationBackwardKernel(ActivationBackward a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total || isZero(a.state, channelOf(planes, v))) return;
  const std::int64_t at = std::int64_t(v) * 4;
  const float4 x = global(a.input).load4(at), g = global(a.gradOutput).load4(at);
  const float4 result = map(x, g, [&](float xi, float gi) { return gradientOf<kKind>(xi, gi, a.alpha, a.beta); });
  global(a.gradInput).store4(at, firstOf(result, imagesOf(a.batch, planes, v)));
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

// clang-format off
#define SC_ACTIVATIONS(X) \
  X(kRelu) X(kGelu) X(kSilu) X(kGeluTanh) X(kSigmoid) X(kTanh) X(kHardSigmoid) X(kHardSwish) X(kLeakyRelu) \
  X(kClip) X(kElu) X(kSoftplus) X(kExp) X(kLog) X(kSqrt) X(kAbs) X(kSquare) X(kReciprocal) X(kAffine)
// clang-format on
void enqueue(Stream& stream, const ActivationForward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  const float atZero = activationOfZero(a.kind, a.alpha, a.beta);
  switch (a.kind) {
#define SC_FORWARD(kKind)                                                                   \
  case Activation::kKind:                                                                   \
    return launch(stream, "activation forward", activationForwardKernel<Activation::kKind>, \
                  dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes, atZero);
    SC_ACTIVATIONS(SC_FORWARD)
#undef SC_FORWARD
  }
}

void enqueue(Stream& stream, const ActivationBackward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  switch (a.kind) {
#define SC_BACKWARD(kKind)                                                                    \
  case Activation::kKind:                                                                     \
    return launch(stream, "activation backward", activationBackwardKernel<Activation::kKind>, \
                  dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
    SC_ACTIVATIONS(SC_BACKWARD)
#undef SC_BACKWARD
  }
}
#undef SC_ACTIVATIONS

void enqueue(Stream& stream, const Dropout& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  const unsigned most = unsigned(limits(stream).multiprocessors * kDropoutBlocks);
  launch(stream, "dropout", dropoutKernel, dim3(std::min(blocksFor(planes.total), most)), dim3(kThreads), 0, a, planes);
}

}  // namespace selfcompress::cuda
