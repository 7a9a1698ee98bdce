// Random convolutions as test cases, run on a backend and compared with the reference.
#pragma once

#include "test/support.h"

namespace test {

inline Conv2dGeometry randomGeometry(Random& random) {
  for (;;) {
    Conv2dGeometry g;
    g.groups = random.chance(0.7) ? 1 : random.integer(2, 4);
    bool depthwise = random.chance(0.1);
    g.inChannels = g.groups * random.integer(1, random.chance(0.2) ? 40 : 9);
    g.outChannels = depthwise ? g.inChannels : g.groups * random.integer(1, random.chance(0.2) ? 40 : 11);
    if (depthwise) g.groups = g.inChannels;
    g.height = random.integer(1, 13);
    g.width = random.chance(0.1) ? 70 : random.integer(1, 13);
    g.kernelHeight = random.integer(1, 5);
    g.kernelWidth = random.chance(0.5) ? g.kernelHeight : random.integer(1, 7);
    g.strideH = random.integer(1, 3);
    g.strideW = random.chance(0.5) ? g.strideH : random.integer(1, 3);
    g.padH = random.integer(0, 3);
    g.padW = random.integer(0, 3);
    g.dilationH = random.chance(0.8) ? 1 : 2;
    g.dilationW = random.chance(0.8) ? 1 : 3;
    if (random.chance(0.15)) g.height = g.width = g.kernelHeight = g.kernelWidth = 1, g.padH = g.padW = 0;
    int spanH = g.height + 2 * g.padH - g.dilationH * (g.kernelHeight - 1),
        spanW = g.width + 2 * g.padW - g.dilationW * (g.kernelWidth - 1);
    if (spanH >= 1 && spanW >= 1) return g;
  }
}

struct Case {
  Conv2dGeometry geometry;
  int batch;
  std::vector<float> input, weight, bias, gradOutput, before;
  bool lists, withBias, relu, mask, accumulate, exact = false;
  std::vector<std::int32_t> liveIn, liveOut, state;
  std::vector<float> bitDepth, exponent;  // of a quantizer; empty: none
};

// Square kernels without stride on enough channels: where the fast algorithms are chosen.
inline Conv2dGeometry plainGeometry(Random& random) {
  Conv2dGeometry g;
  g.kernelHeight = g.kernelWidth = random.chance(0.5) ? 3 : 5;
  g.inChannels = random.integer(10, 40), g.outChannels = random.integer(10, 40);
  g.height = random.integer(6, 21), g.width = random.integer(6, 21);
  g.padH = random.integer(0, g.kernelHeight - 1), g.padW = random.integer(0, g.kernelHeight - 1);
  return g;
}

// Values of a convolution, with zero gradients in padding lanes, as the contract wants them.
inline void drawValues(Random& random, Case& c) {
  c.input = random.reals(laneElements(c.geometry.input(), c.batch));
  c.weight = random.reals(c.geometry.weights());
  c.bias = random.reals(c.geometry.outChannels);
  c.gradOutput = random.reals(laneElements(c.geometry.output(), c.batch));
  Shape out = c.geometry.output();
  for (int n = c.batch; n < blocksOf(c.batch) * kLanes; n++)
    for (int o = 0; o < out.channels; o++)
      for (int p = 0; p < out.pixels(); p++) c.gradOutput[laneOffset(out, n, o, 0, p)] = 0;
  c.before = random.reals(laneElements(c.geometry.input(), c.batch));
}
// What is done beside the products; dead output channels are constant or zero.
inline void drawOptions(Random& random, Case& c) {
  c.state.assign(std::size_t(c.geometry.outChannels), random.chance(0.5) ? kConstant : kZero);
  for (int o : c.liveOut) c.state[std::size_t(o)] = kLive;
  c.withBias = random.chance(0.5);
  c.relu = random.chance(0.3);
  c.mask = random.chance(0.3);
  c.accumulate = random.chance(0.3);
}

inline Case makeCase(std::uint64_t seed, Conv2dGeometry (*geometry)(Random&) = randomGeometry) {
  Random random(seed);
  Case c;
  c.geometry = geometry(random);
  c.batch = random.chance(0.3) ? random.integer(1, 50) : random.integer(1, 20);
  drawValues(random, c);
  c.lists = random.chance(0.5);
  double keep = random.chance(0.1) ? 0.0 : random.real(0.2f, 1);
  c.liveIn = random.channels(c.geometry.inChannels, keep);
  c.liveOut = random.channels(c.geometry.outChannels, keep);
  drawOptions(random, c);
  return c;
}

// What a case computes.
enum Which { kForward, kGradInput, kGradWeight };

inline std::vector<float> runCase(Backend& backend, const Case& c, Which which) {
  const Conv2dGeometry& g = c.geometry;
  Buffer<float> input(backend, c.input), weight(backend, c.weight), bias(backend, c.bias), grad(backend, c.gradOutput);
  Buffer<std::int32_t> in(backend, c.liveIn), out(backend, c.liveOut), state(backend, c.state);
  Buffer<std::int32_t> inCount(backend, {std::int32_t(c.liveIn.size())}),
      outCount(backend, {std::int32_t(c.liveOut.size())});
  Buffer<char> workspace(backend, std::int64_t(backend.conv2dWorkspace(g, c.batch)) + 64, 0);
  ChannelList liveIn, liveOut;
  Buffer<float> bitDepth(backend, c.bitDepth), exponent(backend, c.exponent);
  WeightQuantizer quantizer;
  if (!c.bitDepth.empty()) quantizer = {bitDepth.get(), exponent.get()};
  if (c.lists) liveIn = {in.get(), inCount.get()}, liveOut = {out.get(), outCount.get()};
  if (which == kForward) {
    Buffer<float> output(backend, laneElements(g.output(), c.batch), 7.0f);
    backend.run(Conv2dForward{g, c.batch, input.get(), weight.get(), c.withBias ? bias.get() : nullptr, c.relu, liveIn,
                              liveOut, c.lists ? state.get() : nullptr, output.get(), workspace.get(), c.exact,
                              quantizer});
    return output.values();
  }
  if (which == kGradInput) {
    Buffer<float> result(backend, c.before);
    backend.run(Conv2dGradInput{g, c.batch, grad.get(), weight.get(), liveIn, liveOut, c.mask ? input.get() : nullptr,
                                c.accumulate, result.get(), workspace.get(), quantizer});
    return result.values();
  }
  Buffer<float> result(backend, g.weights(), 7.0f), gradBias(backend, g.outChannels, 7.0f);
  backend.run(Conv2dGradWeight{g, c.batch, input.get(), grad.get(), liveIn, liveOut, result.get(),
                               c.withBias ? gradBias.get() : nullptr, workspace.get()});
  std::vector<float> all = result.values(), biasValues = gradBias.values();
  all.insert(all.end(), biasValues.begin(), biasValues.end());
  return all;
}

// The operands that multiply, as a precision has them: 11 bits of significand with ties away from zero, or 8 with ties
// to even.
inline std::vector<float> rounded(std::vector<float> values, Precision precision) {
  for (float& v : values) {
    int exponent = 0;
    float significand = std::frexp(v, &exponent);
    if (precision == Precision::kTf32) v = std::ldexp(std::round(std::ldexp(significand, 11)), exponent - 11);
    if (precision == Precision::kBfloat16) v = std::ldexp(std::nearbyint(std::ldexp(significand, 8)), exponent - 8);
  }
  return values;
}
inline std::vector<float> expectedOfRounded(Backend& reference, const Case& c, Which which, Precision precision) {
  Case r = c;
  r.input = rounded(c.input, precision), r.weight = rounded(c.weight, precision),
  r.gradOutput = rounded(c.gradOutput, precision);
  std::vector<float> result = runCase(reference, r, which);
  if (which == kGradWeight) {  // the bias's gradient is a sum, not a product
    std::vector<float> exact = runCase(reference, c, which);
    std::copy(exact.begin() + c.geometry.weights(), exact.end(), result.begin() + c.geometry.weights());
  }
  return result;
}

// With the lower precisions a convolution has to be within `bound` of the reference on rounded operands, or on exact
// ones where it takes no tensor cores; and within what rounding them may do, of the reference on exact operands.
struct Compared {
  Precision precision;
  double roughBound;
  std::unique_ptr<Backend> backend;
  double worst = 0, worstRough = 0;
};
inline std::vector<Compared> comparedBackends(double bound) {
  std::vector<Compared> all;
  for (Precision precision : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16})
    for (auto& backend : testedBackends(precision))
      all.push_back({precision,
                     precision == Precision::kFloat32 ? bound
                     : precision == Precision::kTf32  ? 1e-3
                                                      : 8e-3,
                     std::move(backend)});
  return all;
}

// All three operations of a case on every backend, against the reference.
inline void compareCase(Backend& reference, std::vector<Compared>& compared, const Case& c, double bound) {
  for (Which which : {kForward, kGradInput, kGradWeight}) {
    CAPTURE(int(which));
    std::vector<float> expected = runCase(reference, c, which);
    for (Compared& other : compared) {
      CAPTURE(other.backend->name());
      std::vector<float> actual = runCase(*other.backend, c, which);
      double error = difference(actual, expected, 1.0);
      CHECK(error < other.roughBound);
      other.worstRough = std::max(other.worstRough, error);
      if (error >= bound)
        error = std::min(error, difference(actual, expectedOfRounded(reference, c, which, other.precision), 1.0));
      CHECK(error < bound);
      other.worst = std::max(other.worst, error);
    }
  }
}
inline void report(const std::vector<Compared>& compared) {
  for (const Compared& other : compared)
    MESSAGE(other.backend->name() << ": largest relative error " << other.worst << ", with exact operands "
                                  << other.worstRough);
}

}  // namespace test
