// Batch normalisation of one channel with known moments (moments.h): one read and write. Backward: one read for its two
// sums, one read and write for the result. The activation behind it is part of each.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct ChannelPlanes {
  std::int64_t stride;  // floats between blocks
  std::int64_t offset;  // of the channel in a block
  int blocks, pixels, lastLanes;
  int lanes(int block) const { return block + 1 == blocks ? lastLanes : 16; }
};

inline ChannelPlanes planesOf(Shape shape, int batch, int channel) {
  std::int64_t pixels = std::int64_t(shape.height) * shape.width;
  int blocks = (batch + 15) / 16;
  return {pixels * shape.channels * 16, pixels * channel * 16, blocks, int(pixels), batch - (blocks - 1) * 16};
}

inline void fillChannel(float* data, const ChannelPlanes& c, F16 value) {
  for (int n = 0; n < c.blocks; n++)
    for (int i = 0; i < c.pixels; i++) store(data + n * c.stride + c.offset + i * 16, value);
}

struct NoActivation {
  static constexpr bool kAny = false;
  F16 of(F16 y) const { return y; }
  F16 gradient(F16, F16 g) const { return g; }
};
template <Activation kKind>
struct Applied {
  static constexpr bool kAny = true;
  F16 alpha, beta;
  F16 of(F16 y) const { return activated<kKind>(y, alpha, beta); }
  F16 gradient(F16 y, F16 g) const { return gradientOf<kKind>(y, g, alpha, beta); }
};
template <class Call>
inline void withActivation(const AppliedActivation& a, const Call& call) {
  switch (a.kind) {
    case NormActivation::kNone:
      return call(NoActivation());
#define SC_APPLIED(kKind)     \
  case NormActivation::kKind: \
    return call(Applied<Activation::kKind>{set(a.alpha), set(a.beta)});
      SELFCOMPRESS_NORM_ACTIVATIONS(SC_APPLIED)
#undef SC_APPLIED
  }
}

// y = scale * x + shift. Backward takes the same from what forward has saved.
struct NormLine {
  float scale, shift;
};

template <class Function>
inline void affineChannel(const float* input, float* output, const ChannelPlanes& c, NormLine line, const Function& f,
                          bool past) {
  const F16 a = set(line.scale), b = set(line.shift);
  for (int n = 0; n < c.blocks; n++) {
    const float* x = input + n * c.stride + c.offset;
    float* y = output + n * c.stride + c.offset;
    for (int i = 0; i < c.pixels; i++) storeResult(y + i * 16, f.of(fma(load(x + i * 16), a, b)), past);
  }
}

inline void batchNormForward(const BatchNormForward& a, int channel, const ChannelMoments& m, bool past) {
  const ChannelPlanes c = planesOf(a.shape, a.batch, channel);
  const bool zeroInput = a.inputState && a.inputState[channel] == kZero;
  const bool skip = a.outputState && a.outputState[channel] == kZero;
  double mean = m.mean;
  float inverse;
  if (a.training) {
    inverse = float(1.0 / ::sqrt(m.variance + double(a.epsilon)));
    double count = (16.0 * (c.blocks - 1) + c.lastLanes) * c.pixels;
    double unbiased = count > 1 ? m.variance * count / (count - 1) : m.variance;
    a.runningMean[channel] += a.momentum * (float(mean) - a.runningMean[channel]);
    a.runningVar[channel] += a.momentum * (float(unbiased) - a.runningVar[channel]);
    a.savedMean[channel] = float(mean);
    a.savedInvStd[channel] = inverse;
  } else {
    mean = a.runningMean[channel];
    inverse = float(1.0 / ::sqrt(double(a.runningVar[channel]) + double(a.epsilon)));
  }
  const float weight = a.weight ? a.weight[channel] : 1.0f, bias = a.bias ? a.bias[channel] : 0.0f,
              scale = inverse * weight;
  const NormLine line{scale, float(double(bias) - mean * double(scale))};
  if (a.training && a.savedShift) a.savedShift[channel] = line.shift;
  if (skip) return;
  withActivation(a.activation, [&](auto f) {
    if (zeroInput) fillChannel(a.output, c, f.of(set(line.shift)));
    else affineChannel(a.input, a.output, c, line, f, past);
  });
}

// dL/dy at a place, from that of f(y).
template <class Function>
struct NormGradient {
  const BatchNormBackward& a;
  const Function& f;
  F16 scale, shift;
  F16 at(std::int64_t i, F16 x) const {
    const F16 g = load(a.gradOutput + i);
    if constexpr (Function::kAny) return f.gradient(fma(x, scale, shift), g);
    return g;
  }
};

struct NormSums {
  double g = 0, gx = 0;  // of the gradient, and of the gradient times (x - mean)
};
template <class Gradient>
inline NormSums normSums(const BatchNormBackward& a, const ChannelPlanes& c, F16 mean, const Gradient& gradient) {
  NormSums sums;
  for (int n = 0; n < c.blocks; n++) {
    std::int64_t at = n * c.stride + c.offset;
    F16 s = zero(), sx = zero();
    for (int i = 0; i < c.pixels; i++, at += 16) {
      const F16 x = load(a.input + at), g = gradient.at(at, x);
      s = s + g;
      sx = fma(g, x - mean, sx);
    }
    sums.g += sumDouble(s, c.lanes(n));
    sums.gx += sumDouble(sx, c.lanes(n));
  }
  return sums;
}

// dx = factor * g + ofX * (x - mean) + ofOne
struct NormFactors {
  F16 factor, ofX, ofOne, mean;
};
template <class Gradient>
inline void writeNormGradient(const BatchNormBackward& a, const ChannelPlanes& c, const NormFactors& k,
                              const Gradient& gradient, bool past) {
  const F16 none = zero();
  const M16 used = lanesBelow(c.lastLanes);
  for (int n = 0; n < c.blocks; n++) {
    const bool partial = n + 1 == c.blocks && c.lastLanes < 16;
    std::int64_t at = n * c.stride + c.offset;
    for (int i = 0; i < c.pixels; i++, at += 16) {
      const F16 x = load(a.input + at);
      F16 r = fma(k.factor, gradient.at(at, x), fma(k.ofX, x - k.mean, k.ofOne));
      if (a.reluInput) r = select(less(none, load(a.reluInput + at)), r, none);
      if (partial) r = select(used, r, none);
      storeResult(a.gradInput + at, r, past);
    }
  }
}

inline void batchNormBackward(const BatchNormBackward& a, int channel, bool past) {
  const ChannelPlanes c = planesOf(a.shape, a.batch, channel);
  const bool deadInput = a.inputState && a.inputState[channel] != kLive;
  const bool deadOutput = a.outputState && a.outputState[channel] != kLive;
  if (deadInput || deadOutput) {
    if (a.gradWeight) a.gradWeight[channel] = 0;
    if (a.gradBias) a.gradBias[channel] = 0;
    if (!a.inputState || a.inputState[channel] != kZero) fillChannel(a.gradInput, c, zero());
    return;
  }
  const float inverse = a.savedInvStd[channel];
  const NormLine line{inverse * (a.weight ? a.weight[channel] : 1.0f),
                      a.activation.kind == NormActivation::kNone ? 0.0f : a.savedShift[channel]};
  const F16 mean = set(a.savedMean[channel]);
  withActivation(a.activation, [&](auto f) {
    const NormGradient<decltype(f)> gradient{a, f, set(line.scale), set(line.shift)};
    NormSums sums = normSums(a, c, mean, gradient);
    sums.gx *= inverse;
    if (a.gradWeight) a.gradWeight[channel] = float(sums.gx);
    if (a.gradBias) a.gradBias[channel] = float(sums.g);
    const double count = (16.0 * (c.blocks - 1) + c.lastLanes) * c.pixels, slope = line.scale;
    const NormFactors factors{set(line.scale), set(float(-slope * inverse * sums.gx / count)),
                              set(float(-slope * sums.g / count)), mean};
    writeNormGradient(a, c, factors, gradient, past);
  });
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
