// reshape: the elements of an example, row by row, as other channels and positions.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

// An output channel is a run of one input channel, or several input channels one after the other: nothing in between,
// for then no channel could leave.
Axes infer(const NodeContext& c) {
  const std::vector<int> positions = c.node.list("positions");
  const int channels = c.node.integer("channels"), before = c.inputs[0].channels;
  if (positions.size() > Axes::kMostRank)
    failDescription("at most three axes of positions", c.node.where("positions"), std::to_string(positions.size()));
  Axes out = Axes::vector(channels);
  double elements = channels;
  for (int size : positions) out.positions[std::size_t(out.rank++)] = size, elements *= size;
  if (elements != double(c.inputs[0].elements()))
    failDescription("as many elements as the input has, " + c.inputs[0].text(), c.node.where("positions"), out.text());
  if (channels % before && before % channels)
    failDescription("a multiple or a divisor of the " + std::to_string(before) + " channels of the input",
                    c.node.where("channels"), std::to_string(channels));
  return out;
}

ChannelRule channels(const NodeContext& c) {
  const int before = c.inputs[0].channels, after = c.output.channels;
  ChannelRule rule;
  if (after % before == 0) {
    rule.parts = {{0, 0, before, after / before}};
    return rule;
  }
  rule.kind = ChannelRule::Kind::kJoin, rule.perChannel = before / after;
  for (int i = 0; i < before; i++) rule.sources.push_back({0, i});
  return rule;
}

// Both tensors have the same bytes, which are copied by the input's channels: one of zeros has nothing written in it.
CopyWindow copyOf(Emitter& e, int in) {
  const Shape shape = e.shape(in);
  CopyWindow copy;
  copy.input = copy.output = shape;
  copy.channels = shape.channels, copy.height = shape.height, copy.width = shape.width;
  copy.sourceState = e.state(in);
  return copy;
}

void forward(Emitter& e, int i) {
  const int in = e.input(i);
  const BufferId output = e.newValue(e.output(i));
  e.program().add(i, copyOf(e, in)).at(&CopyWindow::source, e.value(in)).at(&CopyWindow::target, output);
}

// What is not zero in the input is not zero in the output, so its gradient is there.
void backward(Emitter& e, int i) {
  const int in = e.input(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  CopyWindow copy = copyOf(e, in);
  copy.targetState = e.state(in);
  e.program().add(i, copy).at(&CopyWindow::source, e.gradient(e.output(i))).at(&CopyWindow::target, target.write);
  e.finish(target, in);
}

}  // namespace

const Operator reshape = [] {
  Operator op;
  op.kind = "reshape";
  op.fields = {{"channels", FieldType::kInteger, 1, kMostChannels},
               {"positions", FieldType::kList, 1, kMostChannels, 0}};
  op.infer = infer, op.channels = channels;
  op.resize = [](NodeDescription& node, const Resized& to) { node.set("channels", {double(to.channels)}); };
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
