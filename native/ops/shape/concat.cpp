// concat: the channels of all inputs one after another, or their rows, or their columns.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

enum Axis { kChannels, kRows, kColumns };

int along(int axis, Shape s) { return axis == kChannels ? s.channels : axis == kRows ? s.height : s.width; }
// The same shape with another size along the axis.
Shape resized(int axis, Shape s, int size) {
  (axis == kChannels ? s.channels : axis == kRows ? s.height : s.width) = size;
  return s;
}

Axes infer(const NodeContext& c) {
  const int axis = c.node.integer("axis");
  const Shape first = c.inputs[0].folded();
  std::int64_t size = 0;
  for (const Axes& in : c.inputs) {
    const Shape s = in.folded();
    if (resized(axis, s, 1) != resized(axis, first, 1))
      failDescription(axis == kChannels
                          ? "inputs of one height and width"
                          : std::string("inputs of as many channels and ") + (axis == kRows ? "columns" : "rows"),
                      c.node.where("inputs"), c.inputs[0].text() + " and " + in.text());
    size += along(axis, s);
  }
  if (size > INT32_MAX)
    failDescription("at most 2^31 - 1 " + std::string(axis == kChannels ? "channels" : "positions"),
                    c.node.where("inputs"), std::to_string(size));
  if (axis == kChannels) return c.inputs[0].withChannels(int(size));
  return windowed(c, c.inputs[0], resized(axis, first, int(size)));
}

// Along positions, channel i of all inputs makes channel i.
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  const int inputs = int(c.inputs.size());
  if (c.node.integer("axis") == kChannels) {
    for (int k = 0; k < inputs; k++) rule.parts.push_back({k, 0, c.inputs[std::size_t(k)].channels, 1});
    rule.factors = {1};
    return rule;
  }
  rule.kind = ChannelRule::Kind::kJoin, rule.perChannel = inputs;
  for (int i = 0; i < c.inputs[0].channels; i++)
    for (int k = 0; k < inputs; k++) rule.sources.push_back({k, i});
  return rule;
}

void forward(Emitter& e, int i) {
  BufferId output = e.newValue(e.output(i));
  CopyChannels args;
  args.output = e.shape(e.output(i));
  for (int k = 0; k < e.inputCount(i); k++) {
    const int t = e.input(i, k);
    args.input = e.shape(t), args.count = args.input.channels, args.state = e.state(t);
    e.program().add(i, args).at(&CopyChannels::source, e.value(t)).at(&CopyChannels::target, output);
    args.outFirst += args.count;
  }
}

void backward(Emitter& e, int i) {
  CopyChannels args;
  args.input = e.shape(e.output(i));
  for (int k = 0; k < e.inputCount(i); k++) {
    const int t = e.input(i, k);
    args.output = e.shape(t), args.count = args.output.channels, args.state = e.state(t);
    if (e.needsGradient(t)) {
      BufferId to = e.accumulated(t, args.accumulate);
      e.program().add(i, args).at(&CopyChannels::source, e.gradient(e.output(i))).at(&CopyChannels::target, to);
    }
    args.inFirst += args.count;
  }
}

// A window as large as input k.
CopyWindow windowOf(Emitter& e, int t) {
  CopyWindow args;
  args.channels = e.shape(t).channels, args.height = e.shape(t).height, args.width = e.shape(t).width;
  return args;
}

void forwardPositions(Emitter& e, int i) {
  const int axis = e.node(i).integer("axis"), out = e.output(i);
  const BufferId output = e.newValue(out);
  int first = 0;
  for (int k = 0; k < e.inputCount(i); k++) {
    const int t = e.input(i, k);
    CopyWindow args = windowOf(e, t);
    args.input = e.shape(t), args.output = e.shape(out);
    (axis == kRows ? args.outTop : args.outLeft) = first;
    args.sourceState = e.state(t), args.targetState = e.state(out);
    e.program().add(i, args).at(&CopyWindow::source, e.value(t)).at(&CopyWindow::target, output);
    first += along(axis, e.shape(t));
  }
}

void backwardPositions(Emitter& e, int i) {
  const int axis = e.node(i).integer("axis"), out = e.output(i);
  int first = 0;
  for (int k = 0; k < e.inputCount(i); k++) {
    const int t = e.input(i, k);
    CopyWindow args = windowOf(e, t);
    args.input = e.shape(out), args.output = e.shape(t);
    (axis == kRows ? args.inTop : args.inLeft) = first;
    args.sourceState = e.state(out), args.targetState = e.state(t);
    first += along(axis, e.shape(t));
    if (!e.needsGradient(t)) continue;
    BufferId to = e.accumulated(t, args.accumulate);
    e.program().add(i, args).at(&CopyWindow::source, e.gradient(out)).at(&CopyWindow::target, to);
  }
}

}  // namespace

const Operator concat = [] {
  Operator op;
  op.kind = "concat";
  op.leastInputs = 2, op.mostInputs = kMostInputs;
  op.fields = {{"axis", FieldType::kChoice, 0, 0, kChannels, nullptr, {"channels", "rows", "columns"}}};
  op.infer = infer, op.channels = channels;
  op.forward = [](Emitter& e, int i) {
    if (e.node(i).integer("axis") == kChannels) forward(e, i);
    else forwardPositions(e, i);
  };
  op.backward = [](Emitter& e, int i) {
    if (e.node(i).integer("axis") == kChannels) backward(e, i);
    else backwardPositions(e, i);
  };
  return op;
}();

}  // namespace selfcompress::ops
