// Operations that work plane by plane (one channel of one block of images) or channel by channel.
#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.h"
#include "cpu/moments.h"
#include "cpu/planes.h"

namespace selfcompress::cpu {
namespace {

ChannelMoments inputMoments(const BatchNormForward& a, const Kernels& kernels, int channel) {
  if (!a.training || (a.inputState && a.inputState[channel] == kZero)) return {};
  if (a.statistics) return a.statistics[channel];
  MomentSum sum;
  const int pixels = a.shape.pixels();
  for (int n = 0; n < blocksOf(a.batch); n++) {
    const float* plane = a.input + (std::int64_t(n) * a.shape.channels + channel) * pixels * kLanes;
    for (int i = 0; i < piecesOf(pixels); i++) sum.add(pieceMoments(kernels, plane, pixels, lanesOf(a.batch, n), i));
  }
  return sum.result();
}

}  // namespace

void CpuBackend::run(const BatchNormForward& a) {
  bool past = a.output != a.input &&
              writesPast(a.shape, a.batch, [&](int c) { return !a.outputState || a.outputState[c] != kZero; });
  parallelFor(a.shape.channels,
              [&](std::int64_t c) { kernels_.batchNormForward(a, int(c), inputMoments(a, kernels_, int(c)), past); },
              {2 * timeOf(laneElements({1, a.shape.height, a.shape.width}, a.batch))});
}
void CpuBackend::run(const BatchNormBackward& a) {
  bool past = a.gradInput != a.gradOutput && a.gradInput != a.input &&
              writesPast(a.shape, a.batch, [&](int c) { return !a.inputState || a.inputState[c] != kZero; });
  parallelFor(a.shape.channels, [&](std::int64_t c) { kernels_.batchNormBackward(a, int(c), past); },
              {3 * timeOf(laneElements({1, a.shape.height, a.shape.width}, a.batch))});
}
void CpuBackend::run(const ActivationForward& a) {
  const float atZero = activationOfZero(a.kind, a.alpha, a.beta);
  forPlanes(a.shape, a.batch, atZero == 0 ? a.state : nullptr,
            [&](int n, int c) { layers_.activationForward(a, n, c); });
}
void CpuBackend::run(const ActivationBackward& a) {
  forPlanes(a.shape, a.batch, a.state, [&](int n, int c) { layers_.activationBackward(a, n, c); });
}
void CpuBackend::run(const Dropout& a) {
  forPlanes(a.shape, a.batch, a.state, [&](int n, int c) { layers_.dropout(a, n, c); });
}
void CpuBackend::run(const PoolForward& a) {
  forPlanes(a.geometry.input, a.batch, a.state, [&](int n, int c) { kernels_.poolForward(a, n, c); });
}
void CpuBackend::run(const PoolBackward& a) {
  bool past = writesPast(a.geometry.input, a.batch, [&](int c) { return !a.state || a.state[c] != kZero; });
  forPlanes(a.geometry.input, a.batch, a.state, [&](int n, int c) { kernels_.poolBackward(a, n, c, past); });
}
void CpuBackend::run(const Add& a) {
  forPlanes(a.shape, a.batch, nullptr, [&](int n, int c) {
    if (!a.stateA || !a.stateB || a.stateA[c] != kZero || a.stateB[c] != kZero) kernels_.add(a, n, c);
  });
}
void CpuBackend::run(const CopyChannels& a) {
  forPlanes({a.count, a.input.height, a.input.width}, a.batch, a.state,
            [&](int n, int i) { kernels_.copyChannels(a, n, i); });
}
void CpuBackend::run(const GatherImages& a) {
  const bool twice = mixes(a.augmentation), roomy = twice || a.augmentation.colour > 0;
  const std::size_t room = roomy ? 2 * std::size_t(a.shape.elements()) * sizeof(float) : 0;
  const double perValue = (isAffine(a.augmentation) ? 20 : 5) + (a.augmentation.colour > 0 ? 10 : 0);
  parallelFor(blocksOf(a.batch), room,
              [&](std::int64_t n, std::byte* memory) {
                kernels_.gatherImages(a, int(n), room ? reinterpret_cast<float*>(memory) : nullptr);
              },
              {(twice ? 2 : 1) * perValue * timeOf(a.shape.elements() * kLanes)});
}
void CpuBackend::run(const ToLanes& a) {
  std::int64_t elements = a.shape.elements();
  parallelFor(blocksOf(a.batch),
              [&](std::int64_t n) {
                float* out = a.lanes + n * elements * kLanes;
                for (int i = 0; i < kLanes; i++) {
                  std::int64_t image = n * kLanes + i;
                  const float* in = a.plain + image * elements;
                  for (std::int64_t p = 0; p < elements; p++) out[p * kLanes + i] = image < a.batch ? in[p] : 0.0f;
                }
              },
              {5 * timeOf(elements * kLanes)});
}

void CpuBackend::run(const FromLanes& a) {
  std::int64_t elements = a.shape.elements();
  parallelFor(a.batch,
              [&](std::int64_t image) {
                const float* in = a.lanes + image / kLanes * elements * kLanes + image % kLanes;
                for (std::int64_t p = 0; p < elements; p++) a.plain[image * elements + p] = in[p * kLanes];
              },
              {5 * timeOf(elements)});
}

void CpuBackend::run(const ClearChannels& a) {
  const std::size_t plane = std::size_t(a.shape.pixels()) * kLanes;
  for (int c = 0; c < a.shape.channels; c++)
    for (int n = 0; n < blocksOf(a.batch) && a.state[c] == kZero; n++)
      std::fill_n(a.output + (std::size_t(n) * std::size_t(a.shape.channels) + std::size_t(c)) * plane, plane, 0.0f);
}

}  // namespace selfcompress::cpu
