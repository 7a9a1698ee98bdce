// Element-wise activations and dropout: every tensor is read once and written once, a float4 for each thread; planes of
// channels that are exactly zero are neither read nor written.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/activation.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kDropoutBlocks = 8;  // for each multiprocessor

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
