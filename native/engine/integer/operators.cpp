// What each kind of node becomes in integers: one entry for each, in one table.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/integer/build.h"
#include "engine/integer/functions.h"
#include "model/packed.h"
#include "ops/convolution/weight_layer.h"
#include "ops/pooling/pools.h"
#include "ops/quantize/quantize_math.h"

namespace selfcompress::engine::integer {
namespace {

constexpr int kMostBits = 8;
// Sums that a channel without weights gives its bias as, so that it is not rounded to whole codes.
constexpr double kBiasSums = 1 << 20;
// The weight of a norm by itself: its shift is rounded to that part of a code.
constexpr std::int8_t kNormWeight = 64;

// Floats of a layer's channels: value = scale * sum of codes + bias.
struct ChannelValues {
  std::vector<double> scale, bias;
};

// Codes of the weights, [out][kernel height][kernel width][channels of the group], with their scales.
ChannelValues readCodes(const Builder& b, int i, Step& step) {
  const Tensors tensors = b.tensors(i);
  const std::size_t index = tensors.index(Role::kWeight);
  if (b.reader().content(index) != model::Content::kCodes) throw Fault{"weights with bit depths"};
  const model::CodeTensor given = b.reader().codes(index);
  const std::size_t channels = std::size_t(given.shape.channels), row = std::size_t(given.shape.perChannel());
  const std::size_t places = std::size_t(step.conv.kernel_height) * std::size_t(step.conv.kernel_width);
  const std::size_t depth = row / places;
  step.weights.resize(channels * row);
  ChannelValues values;
  for (std::size_t o = 0; o < channels; o++) {
    const std::int32_t* codes = given.codes.data() + o * row;
    const auto [low, high] = model::extremes(codes, row);
    const int bits = bitsOfCodes(low, high);
    if (bits > kMostBits) throw Fault{"codes of at most 8 bits (they have " + std::to_string(bits) + ")"};
    step.bits.push_back(std::uint8_t(bits));
    for (std::size_t k = 0; k < depth; k++)
      for (std::size_t p = 0; p < places; p++)
        step.weights[o * row + p * depth + k] = std::int8_t(codes[k * places + p]);
    values.scale.push_back(powerOfTwo(double(given.exponents[o])));
  }
  values.bias.assign(channels, 0.0);
  if (tensors.find(Role::kBias)) {
    const std::vector<float> bias = tensors.floats(Role::kBias);
    values.bias.assign(bias.begin(), bias.end());
  }
  return values;
}

// Biases in sums, and what makes codes of sums.
void setChannels(Step& step, const ChannelValues& values, CodeScale in, CodeScale out) {
  const std::size_t row = step.perChannel();
  for (std::size_t o = 0; o < values.scale.size(); o++) {
    double scale = values.scale[o];
    if (step.bits[o] == 0) {  // no weights, and so no scale of their own
      scale = std::fabs(values.bias[o]) / (double(in.scale) * kBiasSums);
      if (scale == 0) scale = 1;
    }
    const double sum = scale * double(in.scale), bias = std::floor(values.bias[o] / sum + 0.5);
    double most = std::fabs(bias);
    for (std::size_t k = 0; k < row; k++) most += 255.0 * std::abs(int(step.weights[o * row + k]));
    if (!(most <= double(INT32_MAX))) throw Fault{"sums that fit 32 bits"};
    step.channels.push_back({std::int32_t(bias), fixedPoint(sum / double(out.scale), "node \"" + step.name + "\"")});
  }
}

sc_conv convOf(const Conv2dGeometry& g) {
  sc_conv c{};
  c.height = g.height, c.width = g.width, c.channels = g.inChannels;
  c.out_height = g.outHeight(), c.out_width = g.outWidth(), c.out_channels = g.outChannels;
  c.kernel_height = g.kernelHeight, c.kernel_width = g.kernelWidth;
  c.stride_height = g.strideH, c.stride_width = g.strideW, c.pad_height = g.padH, c.pad_width = g.padW;
  c.dilation_height = g.dilationH, c.dilation_width = g.dilationW, c.groups = g.groups;
  return c;
}

// The layer, the norm behind it and what bounds its values.
void addLayer(Builder& b, int i, const sc_conv& geometry) {
  Step made;
  made.conv = geometry, made.name = b.node(i).name;
  ChannelValues values = readCodes(b, i, made);
  int last = i;
  std::vector<float> factor, shift;
  if (b.takeNorm(last, factor, shift))
    for (std::size_t o = 0; o < factor.size(); o++) {
      values.bias[o] = values.bias[o] * double(factor[o]) + double(shift[o]);
      values.scale[o] *= double(factor[o]);
      if (factor[o] != 0) continue;
      made.bits[o] = 0;
      const auto row = made.weights.begin() + std::ptrdiff_t(o * made.perChannel());
      std::fill(row, row + std::ptrdiff_t(made.perChannel()), std::int8_t(0));
    }
  const Bounds bounds = b.takeBounds(last);
  const CodeScale in = b.value(b.input(i)).code, out = b.rangeOf(last);
  setChannels(made, values, in, out);
  made.conv.in_zero = in.zero, made.conv.out_zero = out.zero;
  setBounds(bounds, out, made.conv.low, made.conv.high);
  Step& step = b.add(StepKind::kConv, i, {b.input(i)}, last,
                     {geometry.out_channels, geometry.out_height, geometry.out_width}, out);
  step.conv = made.conv, step.weights = std::move(made.weights), step.bits = std::move(made.bits);
  step.channels = std::move(made.channels);
}

void buildConv(Builder& b, int i) { addLayer(b, i, convOf(conv2dGeometry(b.context(i)))); }

// All of the input as one window, or a kernel of one place.
void buildLinear(Builder& b, int i) {
  const Shape in = b.value(b.input(i)).shape;
  Conv2dGeometry g;
  g.inChannels = in.channels, g.height = in.height, g.width = in.width,
  g.outChannels = b.node(i).integer("outFeatures");
  if (!b.node(i).flag("perPosition")) g.kernelHeight = in.height, g.kernelWidth = in.width;
  addLayer(b, i, convOf(g));
}

// A norm that is not behind a layer: a convolution of every channel by itself.
void buildNorm(Builder& b, int i) {
  std::vector<float> factor, shift;
  findEngineOperator(b.node(i).op->kind)->affine(b.tensors(i), factor, shift);
  const Value from = b.value(b.input(i));
  Conv2dGeometry g;
  g.inChannels = g.outChannels = g.groups = from.shape.channels;
  g.height = from.shape.height, g.width = from.shape.width;
  int last = i;
  const Bounds bounds = b.takeBounds(last);
  const CodeScale out = b.rangeOf(last);
  Step& step = b.add(StepKind::kConv, i, {b.input(i)}, last, from.shape, out);
  step.conv = convOf(g);
  ChannelValues values;
  for (std::size_t c = 0; c < factor.size(); c++) {
    step.weights.push_back(factor[c] == 0 ? 0 : kNormWeight), step.bits.push_back(factor[c] == 0 ? 0 : kMostBits);
    values.scale.push_back(double(factor[c]) / kNormWeight), values.bias.push_back(double(shift[c]));
  }
  setChannels(step, values, from.code, out);
  step.conv.in_zero = from.code.zero, step.conv.out_zero = out.zero;
  setBounds(bounds, out, step.conv.low, step.conv.high);
}

sc_pool poolOf(const PoolGeometry& g) {
  sc_pool p{};
  p.height = g.input.height, p.width = g.input.width, p.channels = g.input.channels;
  p.out_height = g.output().height, p.out_width = g.output().width;
  p.kernel_height = g.kernelHeight, p.kernel_width = g.kernelWidth;
  p.stride_height = g.strideH, p.stride_width = g.strideW, p.pad_height = g.padH, p.pad_width = g.padW;
  return p;
}

template <PoolGeometry (*geometryOf)(const NodeContext&)>
void buildMaximum(Builder& b, int i) {
  const PoolGeometry g = geometryOf(b.context(i));
  Step& step = b.add(StepKind::kMaxPool, i, {b.input(i)}, i, g.output(), b.value(b.input(i)).code);
  step.pool = poolOf(g);
}

template <PoolGeometry (*geometryOf)(const NodeContext&)>
void buildAverage(Builder& b, int i) {
  const PoolGeometry g = geometryOf(b.context(i));
  int last = i;
  const Bounds bounds = b.takeBounds(last);
  const CodeScale in = b.value(b.input(i)).code, out = b.rangeOf(last);
  Step& step = b.add(StepKind::kAveragePool, i, {b.input(i)}, last, g.output(), out);
  step.pool = poolOf(g);
  const int window = g.kernelHeight * g.kernelWidth;
  if (double(window) * 255 > double(INT32_MAX)) throw Fault{"sums that fit 32 bits"};
  step.pool.by_count = !g.countIncludePad && (g.padH > 0 || g.padW > 0);
  for (int count = step.pool.by_count ? 1 : window; count <= window; count++)
    step.scales.push_back(fixedPoint(double(in.scale) / double(out.scale) / count, b.node(i).where()));
  step.pool.in_zero = in.zero, step.pool.out_zero = out.zero;
  setBounds(bounds, out, step.pool.low, step.pool.high);
}

void setSteps(Shape s, std::int32_t (&steps)[3]) {
  steps[0] = s.pixels() > 1 ? s.width * s.channels : 0;
  steps[1] = s.pixels() > 1 ? s.channels : 0;
  steps[2] = s.channels > 1 ? 1 : 0;
}

// Two tensors, of which one may be smaller, and what bounds the result.
Step& addBinary(Builder& b, int i, StepKind kind) {
  const Value first = b.value(b.input(i)), second = b.value(b.input(i, 1));
  int last = i;
  const Bounds bounds = b.takeBounds(last);
  const CodeScale out = b.rangeOf(last);
  const Shape shape = b.context(i).output.folded();
  Step& step = b.add(kind, i, {b.input(i), b.input(i, 1)}, last, shape, out);
  sc_binary& g = step.binary;
  g.height = shape.height, g.width = shape.width, g.channels = shape.channels;
  setSteps(first.shape, g.step_a), setSteps(second.shape, g.step_b);
  g.zero_a = first.code.zero, g.zero_b = second.code.zero, g.out_zero = out.zero;
  setBounds(bounds, out, g.low, g.high);
  return step;
}

void buildAdd(Builder& b, int i) {
  Step& step = addBinary(b, i, StepKind::kAdd);
  const double out = double(b.value(step.output).code.scale);
  const double first = double(b.value(step.inputs[0]).code.scale) / out;
  const double second = double(b.value(step.inputs[1]).code.scale) / out;
  int exponent = 0;
  std::frexp(std::max(first, second), &exponent);
  const int shift = std::min(22 - exponent, 62);  // factors are at most 2^22
  if (shift < 1) throw Fault{"inputs of a scale below 2^21 of the output's"};
  step.binary.factor_a = std::int32_t(std::floor(std::ldexp(first, shift) + 0.5));
  step.binary.factor_b = std::int32_t(std::floor(std::ldexp(second, shift) + 0.5));
  step.binary.scale = {1, shift};
}

void buildMultiply(Builder& b, int i) {
  Step& step = addBinary(b, i, StepKind::kMultiply);
  const double product = double(b.value(step.inputs[0]).code.scale) * double(b.value(step.inputs[1]).code.scale);
  step.binary.scale = fixedPoint(product / double(b.value(step.output).code.scale), b.node(i).where());
}

void setPlaces(sc_copy& g, Shape from, int first, int row, int column, int channel) {
  g = {from.height, from.width, from.channels, first, {row, column, channel}};
}

// Each input in its place, its codes brought to the scale of the output.
void buildConcat(Builder& b, int i) {
  const Shape shape = b.context(i).output.folded();
  const CodeScale out = b.rangeOf(i);
  const int axis = b.node(i).integer("axis");  // channels, rows, columns
  int output = -1, first = 0;
  for (int k = 0; k < b.inputs(i); k++) {
    const int from = b.input(i, k);
    const Value value = b.value(from);
    Step& step =
        k == 0 ? b.add(StepKind::kCopy, i, {from}, i, shape, out) : b.addTo(output, StepKind::kCopy, i, {from});
    output = step.output;
    setPlaces(step.copy, value.shape, first, shape.width * shape.channels, shape.channels, 1);
    first += axis == 0   ? value.shape.channels
             : axis == 1 ? value.shape.height * shape.width * shape.channels
                         : value.shape.width * shape.channels;
    const sc_scale by = fixedPoint(double(value.code.scale) / double(out.scale), b.node(i).where());
    for (int code = 0; code < 256; code++)
      step.table[std::size_t(code)] = sc_clamp(sc_rescale(code - value.code.zero, by) + out.zero, 0, 255);
  }
}

// Channels first, as layers that read a vector have their weights; those take the input as it is.
void buildFlatten(Builder& b, int i) {
  const int from = b.input(i);
  const Value value = b.value(from);
  if (b.flattenIsFree(i)) return b.alias(i, from);
  Step& step = b.add(StepKind::kCopy, i, {from}, i, {int(value.shape.elements()), 1, 1}, value.code);
  setPlaces(step.copy, value.shape, 0, value.shape.width, 1, value.shape.pixels());
  for (int code = 0; code < 256; code++) step.table[std::size_t(code)] = std::uint8_t(code);
}

using Function = double (*)(const NodeDescription&, double);

template <Function f>
void buildFunction(Builder& b, int i) {
  const int from = b.input(i);
  const Value value = b.value(from);
  const CodeScale out = b.rangeOf(i);
  Step& step = b.add(StepKind::kCopy, i, {from}, i, value.shape, out);
  const Shape s = value.shape;
  setPlaces(step.copy, s, 0, s.width * s.channels, s.channels, 1);
  for (int code = 0; code < 256; code++) {
    const double y = f(b.node(i), double(value.code.scale) * (code - value.code.zero));
    step.table[std::size_t(code)] =
        std::uint8_t(std::clamp(std::floor(y / double(out.scale) + 0.5) + out.zero, 0.0, 255.0));
  }
}

double clipped(double x, double low, double high) { return std::min(std::max(x, low), high); }
double reluOf(const NodeDescription&, double x) { return std::max(x, 0.0); }
double clipOf(const NodeDescription& n, double x) { return clipped(x, n.number("low"), n.number("high")); }
double sigmoidOf(const NodeDescription&, double x) { return sigmoid(x); }
double tanhOf(const NodeDescription&, double x) { return tangent(x); }
double siluOf(const NodeDescription&, double x) { return x * sigmoid(x); }
double geluOf(const NodeDescription&, double x) { return x * (1 + errorFunction(x * 0.7071067811865476)) / 2; }
double geluTanhOf(const NodeDescription&, double x) {
  return x / 2 * (1 + tangent(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}
double hardSigmoidOf(const NodeDescription& n, double x) {
  return clipped(n.number("slope") * x + n.number("offset"), 0, 1);
}
double hardSwishOf(const NodeDescription&, double x) { return x * clipped(x / 6 + 0.5, 0, 1); }
double leakyReluOf(const NodeDescription& n, double x) { return x > 0 ? x : n.number("slope") * x; }

Bounds reluBounds(const NodeDescription&) { return {0, HUGE_VAL}; }
Bounds clipBounds(const NodeDescription& n) { return {n.number("low"), n.number("high")}; }

const IntegerOperator table[] = {
    {"conv2d", buildConv},
    {"linear", buildLinear},
    {"batchNorm", buildNorm},
    {"relu", buildFunction<reluOf>, reluBounds},
    {"clip", buildFunction<clipOf>, clipBounds},
    {"sigmoid", buildFunction<sigmoidOf>},
    {"tanh", buildFunction<tanhOf>},
    {"silu", buildFunction<siluOf>},
    {"gelu", buildFunction<geluOf>},
    {"geluTanh", buildFunction<geluTanhOf>},
    {"hardSigmoid", buildFunction<hardSigmoidOf>},
    {"hardSwish", buildFunction<hardSwishOf>},
    {"leakyRelu", buildFunction<leakyReluOf>},
    {"maxPool", buildMaximum<poolGeometry>},
    {"globalMaxPool", buildMaximum<wholePositions>},
    {"averagePool", buildAverage<poolGeometry>},
    {"globalAveragePool", buildAverage<wholePositions>},
    {"add", buildAdd},
    {"multiply", buildMultiply},
    {"concat", buildConcat},
    {"flatten", buildFlatten},
    {"dropout", nullptr, nullptr, true},
};

}  // namespace

const IntegerOperator* findIntegerOperator(std::string_view kind) {
  for (const IntegerOperator& entry : table)
    if (kind == entry.kind) return &entry;
  return nullptr;
}

}  // namespace selfcompress::engine::integer
