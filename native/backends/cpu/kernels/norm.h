// Batch normalisation of one channel with known moments (moments.h): one read and write. Backward: one read for its two
// sums, one read and write for the result.
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

inline void fillChannel(float* data, const ChannelPlanes& c, float value) {
  for (int n = 0; n < c.blocks; n++)
    for (int i = 0; i < c.pixels; i++) store(data + n * c.stride + c.offset + i * 16, set(value));
}

inline void affineChannel(const float* input, float* output, const ChannelPlanes& c, float scale, float shift,
                          bool relu, bool past) {
  const F16 a = set(scale), b = set(shift), none = zero();
  for (int n = 0; n < c.blocks; n++) {
    const float* x = input + n * c.stride + c.offset;
    float* y = output + n * c.stride + c.offset;
    for (int i = 0; i < c.pixels; i++) {
      F16 v = fma(load(x + i * 16), a, b);
      storeResult(y + i * 16, relu ? vmax(none, v) : v, past);
    }
  }
}

inline void batchNormForward(const BatchNormForward& a, int channel, const ChannelMoments& m, bool past) {
  const ChannelPlanes c = planesOf(a.shape, a.batch, channel);
  const float weight = a.weight ? a.weight[channel] : 1.0f, bias = a.bias ? a.bias[channel] : 0.0f;
  const bool zeroInput = a.inputState && a.inputState[channel] == kZero;
  const bool skip = a.outputState && a.outputState[channel] == kZero;
  double mean, inverse;
  if (a.training) {
    mean = m.mean;
    inverse = 1.0 / ::sqrt(m.variance + double(a.epsilon));
    double count = (16.0 * (c.blocks - 1) + c.lastLanes) * c.pixels;
    double unbiased = count > 1 ? m.variance * count / (count - 1) : m.variance;
    a.runningMean[channel] += a.momentum * (float(mean) - a.runningMean[channel]);
    a.runningVar[channel] += a.momentum * (float(unbiased) - a.runningVar[channel]);
    a.savedMean[channel] = float(mean);
    a.savedInvStd[channel] = float(inverse);
  } else {
    mean = a.runningMean[channel];
    inverse = 1.0 / ::sqrt(double(a.runningVar[channel]) + double(a.epsilon));
  }
  if (skip) return;
  const float scale = float(inverse) * weight, shift = float(double(bias) - mean * scale);
  if (zeroInput) return fillChannel(a.output, c, a.relu && shift < 0 ? 0.0f : shift);
  affineChannel(a.input, a.output, c, scale, shift, a.relu, past);
}

inline void batchNormBackward(const BatchNormBackward& a, int channel, bool past) {
  const ChannelPlanes c = planesOf(a.shape, a.batch, channel);
  const bool deadInput = a.inputState && a.inputState[channel] != kLive;
  const bool deadOutput = a.outputState && a.outputState[channel] != kLive;
  if (deadInput || deadOutput) {
    if (a.gradWeight) a.gradWeight[channel] = 0;
    if (a.gradBias) a.gradBias[channel] = 0;
    if (!a.inputState || a.inputState[channel] != kZero) fillChannel(a.gradInput, c, 0);
    return;
  }
  const float meanX = a.savedMean[channel], inverse = a.savedInvStd[channel],
              weight = a.weight ? a.weight[channel] : 1.0f;
  const F16 none = zero(), mu = set(meanX);
  double sumG = 0, sumGx = 0;
  for (int n = 0; n < c.blocks; n++) {
    std::int64_t at = n * c.stride + c.offset;
    F16 s = none, sx = none;
    for (int i = 0; i < c.pixels; i++, at += 16) {
      F16 g = load(a.gradOutput + at);
      if (a.reluOutput) g = select(less(none, load(a.reluOutput + at)), g, none);
      s = s + g;
      sx = fma(g, load(a.input + at) - mu, sx);
    }
    sumG += sumDouble(s, c.lanes(n));
    sumGx += sumDouble(sx, c.lanes(n));
  }
  sumGx *= inverse;
  if (a.gradWeight) a.gradWeight[channel] = float(sumGx);
  if (a.gradBias) a.gradBias[channel] = float(sumG);
  const double count = (16.0 * (c.blocks - 1) + c.lastLanes) * c.pixels;
  const float slope = weight * inverse;
  const F16 A = set(slope), B = set(float(-double(slope) * inverse * sumGx / count)),
            C = set(float(-double(slope) * sumG / count));
  const M16 used = lanesBelow(c.lastLanes);
  for (int n = 0; n < c.blocks; n++) {
    const bool partial = n + 1 == c.blocks && c.lastLanes < 16;
    std::int64_t at = n * c.stride + c.offset;
    for (int i = 0; i < c.pixels; i++, at += 16) {
      F16 g = load(a.gradOutput + at);
      if (a.reluOutput) g = select(less(none, load(a.reluOutput + at)), g, none);
      F16 r = fma(A, g, fma(B, load(a.input + at) - mu, C));
      if (a.reluInput) r = select(less(none, load(a.reluInput + at)), r, none);
      if (partial) r = select(used, r, none);
      storeResult(a.gradInput + at, r, past);
    }
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
