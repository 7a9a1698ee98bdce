// slicePositions, pad: fewer or more positions.
#include <algorithm>

#include "graph/emitter.h"
#include "ops/layout/layouts.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {

PositionSlice positionSlice(const NodeContext& c) {
  return {c.node.pair("first"), c.node.pair("count"), c.node.pair("step")};
}

PadGeometry padGeometry(const NodeContext& c) {
  const auto before = c.node.pair("before"), after = c.node.pair("after");
  return {c.inputs[0].folded(), before[0], after[0], before[1], after[1], PadMode(c.node.integer("mode")), 0};
}

namespace ops {
namespace {

// Kernels fold a volume's depth into its rows: rows mean nothing there.
void checkRank(const NodeContext& c) {
  if (c.inputs[0].rank > 2)
    failDescription("a sequence or an image", c.node.where("inputs"), "a volume of " + c.inputs[0].text());
}

Axes inferSlice(const NodeContext& c) {
  checkRank(c);
  const PositionSlice s = positionSlice(c);
  const Shape in = c.inputs[0].folded();
  for (std::size_t axis = 0; axis < 2; axis++) {
    const int size = axis ? in.width : in.height;
    if (s.first[axis] + std::int64_t(s.count[axis] - 1) * s.step[axis] >= size)
      failDescription("positions of the input, which is " + c.inputs[0].text(), c.node.where("count"),
                      std::to_string(s.count[axis]) + " from " + std::to_string(s.first[axis]) + " in steps of " +
                          std::to_string(s.step[axis]));
  }
  return windowed(c, c.inputs[0], {in.channels, s.count[0], s.count[1]});
}

// What a strided slice picks from its window is an average of one element each.
PoolGeometry pick(const PositionSlice& s, int channels) {
  return {{channels, s.span(0), s.span(1)}, 1, 1, s.step[0], s.step[1], 0, 0, true};
}

CopyWindow window(Emitter& e, int i, const PositionSlice& s) {
  const int in = e.input(i);
  CopyWindow args;
  args.input = e.shape(in), args.output = {args.input.channels, s.span(0), s.span(1)};
  args.channels = args.input.channels, args.height = s.span(0), args.width = s.span(1);
  args.inTop = s.first[0], args.inLeft = s.first[1];
  args.sourceState = e.state(in), args.targetState = e.state(e.output(i));
  return args;
}

void forwardSlice(Emitter& e, int i) {
  const PositionSlice s = positionSlice(e.context(i));
  const int in = e.input(i), out = e.output(i);
  const CopyWindow args = window(e, i, s);
  const BufferId output = e.newValue(out),
                 cut = s.strided() ? e.program().floats(laneElements(args.output, e.batchSize())) : output;
  e.program().add(i, args).at(&CopyWindow::source, e.value(in)).at(&CopyWindow::target, cut);
  if (!s.strided()) return;
  e.program()
      .add(i, PoolForward{Pool::kAverage, pick(s, args.channels), 0, nullptr, e.state(out), nullptr})
      .at(&PoolForward::input, cut)
      .at(&PoolForward::output, output);
}

// What was not in the slice has a gradient of zero.
void backwardSlice(Emitter& e, int i) {
  const PositionSlice s = positionSlice(e.context(i));
  const int in = e.input(i), out = e.output(i);
  if (!e.needsGradient(in)) return;
  const Shape whole = e.shape(in), cut{whole.channels, s.span(0), s.span(1)};
  BufferId gradient = e.gradient(out);
  if (s.strided()) {
    const BufferId wide = e.program().floats(laneElements(cut, e.batchSize()));
    PoolBackward args;
    args.kind = Pool::kAverage, args.geometry = pick(s, whole.channels), args.state = e.state(out);
    e.program().add(i, args).at(&PoolBackward::gradOutput, gradient).at(&PoolBackward::gradInput, wide);
    gradient = wide;
  }
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  PadForward args;
  args.geometry.input = cut;
  args.geometry.top = s.first[0], args.geometry.bottom = whole.height - s.first[0] - cut.height;
  args.geometry.left = s.first[1], args.geometry.right = whole.width - s.first[1] - cut.width;
  args.inputState = e.state(out), args.outputState = e.state(in);
  e.program().add(i, args).at(&PadForward::input, gradient).at(&PadForward::output, target.write);
  e.finish(target, in);
}

Axes inferPad(const NodeContext& c) {
  checkRank(c);
  const PadGeometry g = padGeometry(c);
  if (g.mode == PadMode::kReflect || g.mode == PadMode::kWrap) {
    const int spare = g.mode == PadMode::kReflect ? 1 : 0;
    if (std::max(g.top, g.bottom) > g.input.height - spare || std::max(g.left, g.right) > g.input.width - spare)
      failDescription("a padding within the input, which is " + c.inputs[0].text(), c.node.where(),
                      std::to_string(std::max({g.top, g.bottom, g.left, g.right})) + " positions");
  }
  return windowed(c, c.inputs[0], g.output());
}

ChannelRule padChannelsRule(const NodeContext& c) {
  ChannelRule rule = sameChannels(c);
  const PadGeometry g = padGeometry(c);
  rule.varies = g.mode == PadMode::kConstant && (g.top || g.bottom || g.left || g.right);
  return rule;
}

void forwardPad(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  const BufferId output = e.newValue(out);
  PadForward args;
  args.geometry = padGeometry(e.context(i)), args.inputState = e.state(in), args.outputState = e.state(out);
  e.program().add(i, args).at(&PadForward::input, e.value(in)).at(&PadForward::output, output);
}

void backwardPad(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  PadBackward args;
  args.geometry = padGeometry(e.context(i)), args.inputState = e.state(in), args.outputState = e.state(out);
  e.program().add(i, args).at(&PadBackward::gradOutput, e.gradient(out)).at(&PadBackward::gradInput, target.write);
  e.finish(target, in);
}

constexpr double kMostPosition = 1 << 24;

}  // namespace

const Operator slicePositions = [] {
  Operator op;
  op.kind = "slicePositions";
  op.fields = {{"first", FieldType::kPair, 0, kMostPosition, 0},
               {"count", FieldType::kPair, 1, kMostPosition},
               {"step", FieldType::kPair, 1, kMostKernel, 1}};
  op.infer = inferSlice, op.channels = sameChannels;
  op.forward = forwardSlice, op.backward = backwardSlice;
  return op;
}();

const Operator pad = [] {
  Operator op;
  op.kind = "pad";
  op.fields = {{"before", FieldType::kPair, 0, kMostKernel, 0},
               {"after", FieldType::kPair, 0, kMostKernel, 0},
               {"mode", FieldType::kChoice, 0, 0, 0, nullptr, {"zeros", "reflect", "edge", "wrap"}}};
  op.infer = inferPad, op.channels = padChannelsRule;
  op.forward = forwardPad, op.backward = backwardPad;
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
