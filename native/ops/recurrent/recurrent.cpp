// lstm, gru: the recurrent part of a layer over a sequence. The products of the inputs come from the layer before, a
// linear one for each position, with the rows of all gates (ops/recurrent.h); the state starts at zero.
//
// A unit is several channels of the input, one for each gate, and one of the output: they leave together. It is dead
// when its candidate (LSTM g, GRU n) is always zero: the channel of the input, the row of the recurrent weights and the
// bias. Then tanh(0) = 0 and the state that started at zero stays there, whatever the other gates say. Each row of the
// recurrent weights has a bit depth and an exponent.
#include "ops/recurrent/recurrent.h"
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {
namespace {

RecurrentGeometry geometry(const NodeContext& c, RecurrentKind kind) {
  RecurrentGeometry g;
  g.kind = kind, g.reverse = c.node.flag("reverse");
  g.units = c.inputs[0].channels / g.gates(), g.positions = int(c.inputs[0].positionCount());
  return g;
}

}  // namespace

RecurrentGeometry lstmGeometry(const NodeContext& c) { return geometry(c, RecurrentKind::kLstm); }
RecurrentGeometry gruGeometry(const NodeContext& c) {
  return geometry(c, c.node.flag("resetFirst") ? RecurrentKind::kGruResetFirst : RecurrentKind::kGru);
}

namespace ops {
namespace {

using GeometryOf = RecurrentGeometry (*)(const NodeContext&);

template <GeometryOf geometryOf>
Axes infer(const NodeContext& c) {
  const RecurrentGeometry g = geometryOf(c);
  if (c.inputs[0].channels % g.gates())
    failDescription("a multiple of " + std::to_string(g.gates()) + " channels, one for each gate of a unit",
                    c.node.where("inputs"), c.inputs[0].text());
  if (double(g.gates()) * g.units * g.units > double(std::int64_t(1) << 40))
    failDescription("at most 2^40 weights", c.node.where(), std::to_string(g.units) + " units");
  return c.inputs[0].withChannels(g.units);
}

template <GeometryOf geometryOf>
std::vector<ParameterSpec> parameters(const NodeContext& c) {
  const RecurrentGeometry g = geometryOf(c);
  using Of = ParameterAxis::Of;
  const ParameterAxis rows{Of::kOutput, g.gates() * g.units, g.gates()};
  std::vector<ParameterSpec> specs{{Role::kWeight, "weight", {rows, {Of::kOutput, g.units}}}};
  if (c.node.flag("bias")) specs.push_back({Role::kBias, "bias", {rows}});
  if (c.node.flag("compress")) {
    specs.push_back({Role::kBitDepth, "bitDepth", {rows}});
    specs.push_back({Role::kExponent, "exponent", {rows}});
  }
  return specs;
}

template <GeometryOf geometryOf>
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  const RecurrentGeometry g = geometryOf(c);
  const bool lstm = g.kind == RecurrentKind::kLstm;
  rule.recurrence = {g.gates(), 2, lstm ? -1 : 0, g.kind == RecurrentKind::kGruResetFirst};
  return rule;
}

enum Kept { kSaved, kQuantized };

template <GeometryOf geometryOf>
void forward(Emitter& e, int i) {
  if (!e.backend().supports("RecurrentForward"))
    failDescription("a device with recurrent layers", e.node(i).where("kind"), e.backend().name());
  const RecurrentGeometry g = geometryOf(e.context(i));
  const int in = e.input(i);
  // Channels of zeros are written by nobody, and a gate reads them all.
  e.program().add(i, ClearChannels{e.shape(in), 0, e.state(in), nullptr}).at(&ClearChannels::output, e.value(in));
  const BufferId output = e.newValue(e.output(i));
  e.kept(i, kSaved) = e.training() ? e.program().floats(laneElements(g.saved(), e.batchSize())) : kNoBuffer;
  RecurrentForward args;
  args.geometry = g;
  const Parameters& p = e.parameters();
  args.weight = p.value(i, Role::kWeight), args.bias = p.value(i, Role::kBias), args.state = e.state(e.output(i));
  if (const float* bits = p.value(i, Role::kBitDepth)) {
    e.kept(i, kQuantized) = e.program().floats(std::int64_t(g.gates()) * g.units * g.units);
    e.program()
        .add(i, QuantizeForward{g.gates() * g.units, g.units, args.weight, bits, p.value(i, Role::kExponent), nullptr})
        .at(&QuantizeForward::output, e.kept(i, kQuantized));
  }
  e.program()
      .add(i, args)
      .at(&RecurrentForward::weight, e.kept(i, kQuantized))
      .at(&RecurrentForward::input, e.value(in))
      .at(&RecurrentForward::output, output)
      .at(&RecurrentForward::saved, e.kept(i, kSaved));
}

template <GeometryOf geometryOf>
void backward(Emitter& e, int i) {
  const RecurrentGeometry g = geometryOf(e.context(i));
  const int in = e.input(i);
  const bool needed = e.needsGradient(in);
  Emitter::GradientTarget target;
  if (needed) target = e.gradientTarget(in, kNoBuffer);
  else target.write = e.program().floats(laneElements(g.input(), e.batchSize()));
  const BufferId workspace = e.program().bytes(e.backend().recurrentWorkspace(g, e.batchSize()));
  const Parameters& p = e.parameters();
  RecurrentBackward args;
  args.geometry = g, args.weight = p.value(i, Role::kWeight), args.state = e.state(e.output(i));
  args.gradWeight = p.gradient(i, Role::kWeight), args.gradBias = p.gradient(i, Role::kBias);
  e.program()
      .add(i, args)
      .at(&RecurrentBackward::weight, e.kept(i, kQuantized))
      .at(&RecurrentBackward::output, e.value(e.output(i)))
      .at(&RecurrentBackward::saved, e.kept(i, kSaved))
      .at(&RecurrentBackward::gradOutput, e.gradient(e.output(i)))
      .at(&RecurrentBackward::gradInput, target.write)
      .at(&RecurrentBackward::workspace, workspace);
  if (const float* bits = p.value(i, Role::kBitDepth))
    e.program().add(i, QuantizeBackward{g.gates() * g.units, g.units, args.weight, bits, p.value(i, Role::kExponent),
                                        args.gradWeight, e.penalty(i), args.gradWeight, p.gradient(i, Role::kBitDepth),
                                        p.gradient(i, Role::kExponent), e.rate(i).slopes});
  if (!needed) return;
  // Nobody has written what belongs to units of zeros, but their other gates may be live for who makes them.
  e.program()
      .add(i, ClearChannels{e.shape(in), 0, e.recurrentStates(i).rows, nullptr})
      .at(&ClearChannels::output, target.write);
  e.finish(target, in);
}

template <GeometryOf geometryOf>
Operator recurrent(const char* kind) {
  Operator op;
  op.kind = kind;
  op.fields = {{"reverse", FieldType::kBoolean, 0, 1, 0},
               {"bias", FieldType::kBoolean, 0, 1, 1},
               {"compress", FieldType::kBoolean, 0, 1, 1}};
  op.isWeightLayer = true;
  op.infer = infer<geometryOf>, op.parameters = parameters<geometryOf>, op.channels = channels<geometryOf>;
  op.forward = forward<geometryOf>, op.backward = backward<geometryOf>;
  return op;
}

}  // namespace

const Operator lstm = recurrent<lstmGeometry>("lstm");
const Operator gru = [] {
  Operator op = recurrent<gruGeometry>("gru");
  op.fields.push_back({"resetFirst", FieldType::kBoolean, 0, 1, 0});
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
