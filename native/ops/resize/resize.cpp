// resize: nearest or bilinear, to a given size.
#include "ops/resize/resize.h"
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {

ResizeGeometry resizeGeometry(const NodeContext& c) {
  const auto size = c.node.pair("size");
  ResizeGeometry g;
  g.input = c.inputs[0].folded(), g.outHeight = size[0], g.outWidth = size[1];
  g.scaleH = c.node.number("scaleHeight"), g.scaleW = c.node.number("scaleWidth");
  g.mode = ResizeMode(c.node.integer("mode")), g.coordinates = ResizeCoordinates(c.node.integer("coordinates"));
  g.rounding = ResizeRounding(c.node.integer("rounding"));
  return g;
}

namespace ops {
namespace {

Axes infer(const NodeContext& c) {
  const ResizeGeometry g = resizeGeometry(c);
  // A coordinate has to be a whole number that an int holds.
  const double largest = double(1 << 30);
  for (double u : {resizeCoordinate(g.coordinates, g.outHeight - 1, g.input.height, g.outHeight, g.scaleH),
                   resizeCoordinate(g.coordinates, g.outWidth - 1, g.input.width, g.outWidth, g.scaleW)})
    if (u > largest) failDescription("a larger scale", c.node.where("size"), std::to_string(u) + " as a coordinate");
  return windowed(c, c.inputs[0], g.output());
}

void forward(Emitter& e, int i) {
  const int in = e.input(i);
  const BufferId output = e.newValue(e.output(i));
  e.program()
      .add(i, ResizeForward{resizeGeometry(e.context(i)), 0, nullptr, e.state(in), nullptr})
      .at(&ResizeForward::input, e.value(in))
      .at(&ResizeForward::output, output);
}

void backward(Emitter& e, int i) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  e.program()
      .add(i, ResizeBackward{resizeGeometry(e.context(i)), 0, nullptr, e.state(in), nullptr})
      .at(&ResizeBackward::gradOutput, e.gradient(e.output(i)))
      .at(&ResizeBackward::gradInput, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator resize = [] {
  Operator op;
  op.kind = "resize";
  op.fields = {{"size", FieldType::kPair, 1, 1 << 24},
               {"mode", FieldType::kChoice, 0, 0, 0, nullptr, {"nearest", "linear"}},
               {"coordinates", FieldType::kChoice, 0, 0, 2, nullptr, {"halfPixel", "alignCorners", "asymmetric"}},
               {"rounding", FieldType::kChoice, 0, 0, 0, nullptr, {"floor", "ceil", "halfDown", "halfUp"}},
               {"scaleHeight", FieldType::kNumber, 0, 1 << 24, 0},
               {"scaleWidth", FieldType::kNumber, 0, 1 << 24, 0}};
  op.infer = infer, op.channels = sameChannels;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
