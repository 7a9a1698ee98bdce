// maxPool, averagePool, globalAveragePool, globalMaxPool, meanPositions.
#include "ops/pooling/pools.h"
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {

PoolGeometry poolGeometry(const NodeContext& c) {
  const auto kernel = c.node.pair("kernel"), stride = c.node.pair("stride"), padding = c.node.pair("padding");
  return {c.inputs[0].folded(),          kernel[0], kernel[1], stride[0], stride[1], padding[0], padding[1],
          c.node.flag("countIncludePad")};
}

PoolGeometry wholePositions(const NodeContext& c) {
  const Shape in = c.inputs[0].folded();
  return {in, in.height, in.width, 1, 1, 0, 0, true};
}

PoolGeometry chosenPositions(const NodeContext& c) {
  const Shape in = c.inputs[0].folded();
  return {in, c.node.flag("rows") ? in.height : 1, c.node.flag("columns") ? in.width : 1, 1, 1, 0, 0, true};
}

namespace ops {
namespace {

Axes inferChosen(const NodeContext& c) {
  if (!c.node.flag("rows") && !c.node.flag("columns"))
    failDescription("rows, columns or both", c.node.where(), "neither");
  return windowed(c, c.inputs[0], chosenPositions(c).output());
}

Axes inferWindow(const NodeContext& c) {
  const PoolGeometry g = poolGeometry(c);
  const auto kernel = c.node.pair("kernel"), padding = c.node.pair("padding");
  checkWindow(c, g.input, kernel, padding, {1, 1}, {g.input.channels, 1, 1});
  for (std::size_t axis = 0; axis < 2; axis++)
    if (padding[axis] > kernel[axis] / 2)
      failDescription("at most half the kernel", c.node.where("padding"), std::to_string(padding[axis]));
  checkWindow(c, g.input, kernel, padding, {1, 1}, g.output());
  return windowed(c, c.inputs[0], g.output());
}

Axes inferWhole(const NodeContext& c) {
  Axes out = c.inputs[0];
  for (int& size : out.positions) size = 1;
  return out;
}

// A window of one position changes nothing.
template <PoolGeometry (*geometry)(const NodeContext&)>
ChannelRule channelsOf(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  const PoolGeometry g = geometry(c);
  if (g.kernelHeight == 1 && g.kernelWidth == 1 && g.output() == g.input) rule.factors = {1};
  return rule;
}

// An average with padding varies zeros in at the border; a maximum leaves padding out.
ChannelRule averageChannels(const NodeContext& c) {
  ChannelRule rule = channelsOf<poolGeometry>(c);
  const auto padding = c.node.pair("padding");
  rule.varies = c.node.flag("countIncludePad") && (padding[0] > 0 || padding[1] > 0);
  return rule;
}

template <Pool kind, PoolGeometry (*geometry)(const NodeContext&)>
void forward(Emitter& e, int i) {
  const int in = e.input(i);
  BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, PoolForward{kind, geometry(e.context(i)), 0, nullptr, e.state(in), nullptr})
      .at(&PoolForward::input, e.value(in))
      .at(&PoolForward::output, output);
}

template <Pool kind, PoolGeometry (*geometry)(const NodeContext&)>
void backward(Emitter& e, int i) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  PoolBackward args;
  args.kind = kind, args.geometry = geometry(e.context(i)), args.state = e.state(in);
  e.program()
      .add(i, args)
      .at(&PoolBackward::input, kind == Pool::kMax ? e.value(in) : kNoBuffer)
      .at(&PoolBackward::gradOutput, e.gradient(e.output(i)))
      .at(&PoolBackward::reluInput, e.plan(i).masksInput ? e.value(in) : kNoBuffer)
      .at(&PoolBackward::gradInput, target.write);
  e.finish(target, in);
}

template <Pool kind, PoolGeometry (*geometry)(const NodeContext&)>
Operator pooling(const char* name) {
  Operator op;
  op.kind = name;
  op.fusion.masks = true;
  op.channels = channelsOf<geometry>;
  op.forward = forward<kind, geometry>, op.backward = backward<kind, geometry>;
  return op;
}

std::vector<FieldSpec> windowFields() {
  return {{"kernel", FieldType::kPair, 1, kMostKernel},
          {"stride", FieldType::kPair, 1, kMostKernel, {}, "kernel"},
          {"padding", FieldType::kPair, 0, kMostKernel, 0},
          {"countIncludePad", FieldType::kBoolean, 0, 1, 1}};
}

}  // namespace

const Operator maxPool = [] {
  Operator op = pooling<Pool::kMax, poolGeometry>("maxPool");
  op.fields = windowFields(), op.infer = inferWindow;
  return op;
}();
const Operator averagePool = [] {
  Operator op = pooling<Pool::kAverage, poolGeometry>("averagePool");
  op.fields = windowFields(), op.infer = inferWindow, op.channels = averageChannels;
  return op;
}();
const Operator globalAveragePool = [] {
  Operator op = pooling<Pool::kAverage, wholePositions>("globalAveragePool");
  op.infer = inferWhole;
  return op;
}();

const Operator globalMaxPool = [] {
  Operator op = pooling<Pool::kMax, wholePositions>("globalMaxPool");
  op.infer = inferWhole;
  return op;
}();
const Operator meanPositions = [] {
  Operator op = pooling<Pool::kAverage, chosenPositions>("meanPositions");
  op.fields = {{"rows", FieldType::kBoolean, 0, 1, 1}, {"columns", FieldType::kBoolean, 0, 1, 1}};
  op.infer = inferChosen;
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
