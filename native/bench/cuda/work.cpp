#include "bench/cuda/work.h"

#include <algorithm>
#include <cmath>

namespace selfcompress::bench {
namespace {

constexpr double kFloat = sizeof(float);

std::string text(int value) { return std::to_string(value); }
std::string text(Shape s) { return text(s.channels) + "x" + text(s.height) + "x" + text(s.width); }

int live(const ChannelList& list, int channels) { return list.index ? *list.count : channels; }
int notZero(const std::int32_t* state, int channels) {
  if (!state) return channels;
  int count = 0;
  for (int c = 0; c < channels; c++) count += state[c] != kZero;
  return count;
}
double channelBytes(Shape shape, int batch) { return double(shape.pixels()) * kLanes * blocksOf(batch) * kFloat; }
double tensorBytes(Shape shape, int batch, const std::int32_t* state) {
  return channelBytes(shape, batch) * notZero(state, shape.channels);
}
int liveBits(const float* bitDepth, int channels) {
  int count = 0;
  for (int c = 0; c < channels; c++) count += bitDepth[c] > 0;
  return count;
}

double roundUp(double value, double step) { return std::ceil(value / step) * step; }

struct ConvWork {
  double input, output, weights;  // bytes
  Work work;
};
// rows, depth: which of the sides a tile's rows are, and which the sum runs over: rounded up to 16 and 32.
ConvWork convWork(const Conv2dGeometry& g, int batch, const ChannelList& ins, const ChannelList& outs,
                  bool transposed) {
  const int in = live(ins, g.inChannels), out = live(outs, g.outChannels), area = g.kernelHeight * g.kernelWidth;
  ConvWork c{channelBytes(g.input(), batch) * in,
             channelBytes(g.output(), batch) * out,
             double(in) / g.groups * out * area * kFloat,
             {}};
  c.work.what = text(in) + " -> " + text(out) + ", " + text(g.kernelHeight) + "x" + text(g.kernelWidth) + ", " +
                text(g.outHeight()) + "x" + text(g.outWidth());
  const double pixels = double(g.outHeight()) * g.outWidth() * batch;
  c.work.flops = 2.0 * in / g.groups * out * area * pixels;
  const double rows = double(transposed ? in : out) / g.groups, depth = double(transposed ? out : in) / g.groups * area;
  c.work.padded = 2.0 * g.groups * roundUp(rows, 16) * roundUp(depth, 32) * pixels;
  return c;
}

Work of(std::string what, double bytes, double flops = 0) { return {std::move(what), bytes, 0, flops, 0}; }
Work ofChannels(int channels, double bytesOfEach) { return of(text(channels), channels * bytesOfEach); }

}  // namespace

Work workOf(const QuantizeForward& a) {
  const double live = liveBits(a.bitDepth, a.channels), dead = a.channels - live, n = double(a.perChannel);
  return of(text(a.channels) + "x" + std::to_string(a.perChannel), (2 * live + dead) * n * kFloat, 6 * live * n);
}
Work workOf(const QuantizeBackward& a) {
  const double live = liveBits(a.bitDepth, a.channels), dead = a.channels - live, n = double(a.perChannel);
  return of(text(a.channels) + "x" + std::to_string(a.perChannel), (3 * live + dead) * n * kFloat, 16 * live * n);
}
Work workOf(const QuantizeCodes& a) { return ofChannels(a.channels, 2 * double(a.perChannel) * kFloat); }
Work workOf(const BitPenalty& a) { return ofChannels(a.channels, 2 * kFloat); }
Work workOf(const RateCounts& a) { return ofChannels(a.channels, double(a.perChannel) * kFloat); }
Work workOf(const RatePenalty& a) { return ofChannels(a.channels, 4 * kFloat); }
Work workOf(const IdleChannels& a) { return ofChannels(a.channels, 4 * kFloat); }
Work workOf(const TieExponents& a) { return ofChannels(a.channels, 3 * kFloat); }

Work workOf(const Conv2dForward& a) {
  ConvWork c = convWork(a.geometry, a.batch, a.liveIn, a.liveOut, false);
  c.work.bytes = c.input + c.weights + c.output;
  return c.work;
}
Work workOf(const Conv2dGradInput& a) {
  ConvWork c = convWork(a.geometry, a.batch, a.liveIn, a.liveOut, true);
  c.work.bytes = c.output + c.weights + c.input * (1 + (a.reluInput ? 1 : 0) + (a.accumulate ? 1 : 0));
  return c.work;
}
Work workOf(const Conv2dGradWeight& a) {
  ConvWork c = convWork(a.geometry, a.batch, a.liveIn, a.liveOut, false);
  c.work.bytes = c.output + c.input + double(a.geometry.weights()) * kFloat;
  return c.work;
}

Work workOf(const BatchNormForward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.inputState), y = tensorBytes(a.shape, a.batch, a.outputState);
  const double again = a.training ? x : 0;
  return {text(a.shape), x + again + y, again, (a.training ? 8 : 3) * x / kFloat, 0};
}
Work workOf(const BatchNormBackward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.inputState), read = 2 * x;
  return {text(a.shape), 2 * read + x * (1 + (a.reluInput ? 1 : 0)), read, 12 * x / kFloat, 0};
}
Work workOf(const ActivationForward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.state);
  return of(text(a.shape), 2 * x, (a.kind == Activation::kRelu ? 1 : 30) * x / kFloat);
}
Work workOf(const ActivationBackward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.state);
  return of(text(a.shape), 3 * x, (a.kind == Activation::kRelu ? 1 : 50) * x / kFloat);
}
Work workOf(const Dropout& a) {
  const double x = tensorBytes(a.shape, a.batch, a.state);
  return of(text(a.shape), 2 * x, 40 * x / kFloat);
}
Work workOf(const PoolForward& a) {
  const PoolGeometry& g = a.geometry;
  const double x = tensorBytes(g.input, a.batch, a.state), y = tensorBytes(g.output(), a.batch, a.state);
  return of(text(g.input), x + y, y / kFloat * g.kernelHeight * g.kernelWidth);
}
Work workOf(const PoolBackward& a) {
  const PoolGeometry& g = a.geometry;
  const double x = tensorBytes(g.input, a.batch, a.state), y = tensorBytes(g.output(), a.batch, a.state);
  const double reads = (a.kind == Pool::kMax ? 1 : 0) + (a.reluInput ? 1 : 0);
  return of(text(g.input), (1 + reads) * x + y, y / kFloat * g.kernelHeight * g.kernelWidth * 3);
}
Work workOf(const Add& a) {
  const double x = tensorBytes(a.shape, a.batch, a.stateA), y = tensorBytes(a.shape, a.batch, a.stateB);
  return of(text(a.shape), x + y + std::max(x, y), std::max(x, y) / kFloat);
}
Work workOf(const CopyChannels& a) {
  const double x = channelBytes(a.input, a.batch) * notZero(a.state, a.count);
  return of(text(a.input), (a.accumulate ? 3 : 2) * x);
}

Work workOf(const ClearChannels& a) {
  const double zero = a.shape.channels - notZero(a.state, a.shape.channels);
  return of(text(a.shape), channelBytes(a.shape, a.batch) * zero);
}
Work workOf(const PReluForward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.state);
  return of(text(a.shape), 2 * x, x / kFloat);
}
Work workOf(const PReluBackward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.state);
  return of(text(a.shape), 3 * x, 3 * x / kFloat);
}
double operandBytes(const Operand& operand, Shape shape, int batch) {
  const Shape b = operand.of(shape);
  return operand.plain ? double(b.elements()) * kFloat : tensorBytes(b, batch, nullptr);
}
Work workOf(const BinaryForward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.stateA);
  return of(text(a.shape), 2 * x + operandBytes(a.operand, a.shape, a.batch), x / kFloat);
}
Work workOf(const BinaryBackward& a) {
  const double x = tensorBytes(a.shape, a.batch, a.stateA), y = operandBytes(a.operand, a.shape, a.batch);
  const bool reads = a.kind == Binary::kMultiply || a.kind == Binary::kDivide;
  return of(text(a.shape), x + (reads ? x + y : 0) + (a.gradA ? x : 0) + (a.gradB ? y : 0), 4 * x / kFloat);
}
Work workOf(const SoftmaxForward& a) {
  const double x = tensorBytes(a.shape, a.batch, nullptr);
  return {text(a.shape), 4 * x, 2 * x, 40 * x / kFloat, 0};
}
Work workOf(const SoftmaxBackward& a) {
  const double x = tensorBytes(a.shape, a.batch, nullptr);
  return {text(a.shape), 5 * x, 2 * x, 5 * x / kFloat, 0};
}
template <class Norm>
Work normForwardWork(const Norm& a) {
  const double x = tensorBytes(a.shape, a.batch, a.inputState), y = tensorBytes(a.shape, a.batch, a.outputState);
  return {text(a.shape), 3 * x + y, 2 * x, 8 * x / kFloat, 0};
}
template <class Norm>
Work normBackwardWork(const Norm& a) {
  const double x = tensorBytes(a.shape, a.batch, a.inputState);
  return {text(a.shape), 7 * x, 4 * x, 16 * x / kFloat, 0};
}
Work workOf(const LayerNormForward& a) { return normForwardWork(a); }
Work workOf(const LayerNormBackward& a) { return normBackwardWork(a); }
Work workOf(const GroupNormForward& a) { return normForwardWork(a); }
Work workOf(const GroupNormBackward& a) { return normBackwardWork(a); }
Work workOf(const EmbeddingForward& a) {
  const Shape shape{a.dimensions, 1, a.positions};
  return of(text(shape), 2 * tensorBytes(shape, a.batch, a.state));
}
Work workOf(const EmbeddingBackward& a) {
  const Shape shape{a.dimensions, 1, a.positions};
  const double g = tensorBytes(shape, a.batch, a.state);
  return {text(shape), 2 * g + double(a.dimensions) * a.vocabulary * kFloat, g, g / kFloat, 0};
}
Work workOf(const ElementLoss& a) {
  const double z = tensorBytes(a.shape, a.batch, nullptr);
  return of(text(a.shape), z * (a.gradOutput ? 3 : 2), 10 * z / kFloat);
}
Work workOf(const PositionCrossEntropy& a) {
  const double z = tensorBytes(a.shape, a.batch, nullptr), again = z * (a.gradLogits ? 2 : 1);
  return {text(a.shape), z + again + (a.gradLogits ? z : 0), again, 40 * z / kFloat, 0};
}
Work workOf(const SoftCrossEntropy& a) {
  const double z = tensorBytes(a.shape, a.batch, nullptr);
  return {text(a.shape), 6 * z, 2 * z, 80 * z / kFloat, 0};
}
Work workOf(const StateOfProduct& a) { return ofChannels(a.channels, 3 * kFloat); }
Work workOf(const StateThroughActivation& a) { return ofChannels(a.channels, 2 * kFloat); }
Work workOf(const StateThroughLayerNorm& a) { return ofChannels(a.channels, 4 * kFloat); }

Work workOf(const StateFromBits& a) { return ofChannels(a.channels, 3 * kFloat); }
Work workOf(const StateThroughNorm& a) { return ofChannels(a.channels, 3 * kFloat); }
Work workOf(const StateOfSum& a) { return ofChannels(a.channels, 3 * kFloat); }
Work workOf(const StateCopy& a) { return ofChannels(a.channels, (1 + a.repeat) * kFloat); }
Work workOf(const ListChannels& a) { return ofChannels(a.channels, 2 * kFloat); }

Work workOf(const CrossEntropy& a) {
  const double z = tensorBytes({a.classes, 1, 1}, a.batch, nullptr);
  return of(text(a.classes), z * (a.gradLogits ? 2 : 1), 40 * z / kFloat);
}
Work workOf(const MeanSquaredError& a) {
  const double z = tensorBytes(a.shape, a.batch, nullptr);
  return of(text(a.shape), z * (a.gradOutput ? 3 : 2), 4 * z / kFloat);
}

Work workOf(const OptimizerStep& a) {
  double count = double(a.count);
  if (a.frozenBitDepth) {
    const int channels = int(a.count / a.perChannel);
    count *= double(liveBits(a.frozenBitDepth, channels)) / channels;
  }
  const bool sgd = a.kind == Optimizer::kSgd;
  return of(std::to_string(a.count), count * (sgd ? 5 : 7) * kFloat, count * (sgd ? 6 : 14));
}
Work workOf(const AverageParameters& a) {
  return of(std::to_string(a.count), double(a.count) * 3 * kFloat, double(a.count) * 3);
}
Work workOf(const SumOfSquares& a) {
  return of(std::to_string(a.count), double(a.count) * kFloat, 2 * double(a.count));
}
Work workOf(const ClipScale&) { return of("1", 3 * kFloat); }
Work workOf(const ClampBitDepth& a) { return ofChannels(int(a.count), 4 * kFloat); }
Work workOf(const KeepFamilies& a) { return ofChannels(a.families, 8 * kFloat); }
Work workOf(const RangeGradients& a) { return ofChannels(a.channels, 5 * kFloat); }
Work workOf(const KeepRange& a) { return ofChannels(a.channels, 4 * kFloat); }
Work workOf(const DecayDead& a) { return ofChannels(a.channels, 5 * kFloat); }

Work workOf(const GatherImages& a) {
  const double y = tensorBytes(a.shape, a.batch, nullptr),
               raw = double(a.shape.elements()) * a.batch * (a.bytes ? 1 : kFloat);
  return of(text(a.shape), raw + y, (isAffine(a.augmentation) ? 20 : 2) * y / kFloat);
}
Work workOf(const ToLanes& a) { return of(text(a.shape), 2 * tensorBytes(a.shape, a.batch, nullptr)); }
Work workOf(const FromLanes& a) { return of(text(a.shape), 2 * tensorBytes(a.shape, a.batch, nullptr)); }

}  // namespace selfcompress::bench
