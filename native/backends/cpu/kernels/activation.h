// Activations, PReLU and dropout on one plane.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

template <Activation kKind>
inline void activatePlane(const ActivationForward& a, std::int64_t at, std::int64_t end, int images) {
  const F16 alpha = set(a.alpha), beta = set(a.beta);
  if (images == 16)
    for (; at < end; at += 16) store(a.output + at, activated<kKind>(load(a.input + at), alpha, beta));
  const M16 used = lanesBelow(images);
  for (; at < end; at += 16)
    store(a.output + at, select(used, activated<kKind>(load(a.input + at), alpha, beta), zero()));
}
template <Activation kKind>
inline void activationGradient(const ActivationBackward& a, std::int64_t at, std::int64_t end, int images) {
  const F16 alpha = set(a.alpha), beta = set(a.beta);
  if (images == 16)
    for (; at < end; at += 16)
      store(a.gradInput + at, gradientOf<kKind>(load(a.input + at), load(a.gradOutput + at), alpha, beta));
  const M16 used = lanesBelow(images);
  for (; at < end; at += 16) {
    const F16 g = gradientOf<kKind>(load(a.input + at), load(a.gradOutput + at), alpha, beta);
    store(a.gradInput + at, select(used, g, zero()));
  }
}

// A channel that is exactly zero becomes f(0).
inline void fillZeroChannel(const ActivationForward& a, int block, int channel) {
  const F16 value = set(activationOfZero(a.kind, a.alpha, a.beta));
  const F16 filled = select(lanesBelow(imagesOf(a.batch, block)), value, zero());
  const std::int64_t at = planeOffset(a.shape, block, channel), end = at + pixelsOf(a.shape) * 16;
  for (std::int64_t i = at; i < end; i += 16) store(a.output + i, filled);
}

// clang-format off
#define SC_ACTIVATIONS(X) \
  X(kRelu) X(kGelu) X(kSilu) X(kGeluTanh) X(kSigmoid) X(kTanh) X(kHardSigmoid) X(kHardSwish) X(kLeakyRelu) \
  X(kClip) X(kElu) X(kSoftplus) X(kExp) X(kLog) X(kSqrt) X(kAbs) X(kSquare) X(kReciprocal) X(kAffine)
// clang-format on
#define SC_FORWARD(kKind) \
  case Activation::kKind: \
    return activatePlane<Activation::kKind>(a, at, end, images);
#define SC_BACKWARD(kKind) \
  case Activation::kKind:  \
    return activationGradient<Activation::kKind>(a, at, end, images);

inline void activationForward(const ActivationForward& a, int block, int channel) {
  if (isZeroChannel(a.state, channel)) return fillZeroChannel(a, block, channel);
  const std::int64_t at = planeOffset(a.shape, block, channel), end = at + pixelsOf(a.shape) * 16;
  const int images = imagesOf(a.batch, block);
  switch (a.kind) { SC_ACTIVATIONS(SC_FORWARD) }
}

inline void activationBackward(const ActivationBackward& a, int block, int channel) {
  std::int64_t at = planeOffset(a.shape, block, channel), end = at + pixelsOf(a.shape) * 16;
  const int images = imagesOf(a.batch, block);
  switch (a.kind) { SC_ACTIVATIONS(SC_BACKWARD) }
}
#undef SC_ACTIVATIONS
#undef SC_FORWARD
#undef SC_BACKWARD

inline void fillPlane(float* output, Shape shape, int block, int channel, float value) {
  const std::int64_t at = planeOffset(shape, block, channel), end = at + pixelsOf(shape) * 16;
  for (std::int64_t i = at; i < end; i += 16) store(output + i, set(value));
}

inline void preluForward(const PReluForward& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), end = at + pixelsOf(a.shape) * 16;
  const F16 slope = set(a.slope[a.shared ? 0 : channel]);
  for (std::int64_t i = at; i < end; i += 16) {
    const F16 x = load(a.input + i);
    store(a.output + i, select(less(zero(), x), x, slope * x));
  }
}

// Returns the plane's part of the slope's gradient.
inline double preluBackward(const PReluBackward& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), end = at + pixelsOf(a.shape) * 16;
  const F16 slope = set(a.slope[a.shared ? 0 : channel]);
  double all = 0;
  F16 part = zero();
  for (std::int64_t i = at; i < end; i += 16) {
    const F16 x = load(a.input + i), g = load(a.gradOutput + i);
    const M16 above = less(zero(), x);
    part = part + select(above, zero(), g * x);
    store(a.gradInput + i, select(above, g, slope * g));
    if ((i - at) % 2048 == 2032 || i + 16 == end) {
      all += sumDouble(part, imagesOf(a.batch, block));
      part = zero();
    }
  }
  return all;
}

inline void dropout(const Dropout& a, int block, int channel) {
  const std::int64_t at = planeOffset(a.shape, block, channel), n = std::int64_t(a.shape.height) * a.shape.width * 16;
  const std::uint64_t key = dropoutKey(a.counter->seed, a.counter->step, a.site);
  const float keep = 1.0f / (1.0f - a.probability);
  for (std::int64_t i = at; i < at + n; i += 16) {
    float factor[16];
    for (int lane = 0; lane < 16; lane++)
      factor[lane] = uniformFrom(mix64(key + std::uint64_t(i + lane))) >= a.probability ? keep : 0.0f;
    store(a.output + i, load(a.input + i) * load(factor));
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
