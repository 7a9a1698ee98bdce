// lstm, gru: the recurrent part of a layer over a sequence. The products of the inputs come from the layer before, a
// linear one for each position, with the rows of all gates (ops/recurrent.h); the state starts at zero.
//
// A unit is several channels of the input, one for each gate, and one of the output. Units stay: neither they nor
// rows of the input are removed, for a unit is only dead when its candidate, its recurrent weights and its biases are.
// The recurrent weights are not compressed.
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
  std::vector<ParameterSpec> specs{
      {Role::kWeight, "weight", {{Of::kOther, g.gates() * g.units}, {Of::kOther, g.units}}}};
  if (c.node.flag("bias")) specs.push_back({Role::kBias, "bias", {{Of::kOther, g.gates() * g.units}}});
  return specs;
}

template <GeometryOf geometryOf>
ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  rule.readsItself = true, rule.kernelArea = geometryOf(c).gates();
  rule.pinned = {0};
  return rule;
}

template <GeometryOf geometryOf>
void forward(Emitter& e, int i) {
  if (!e.backend().supports("RecurrentForward"))
    failDescription("a device with recurrent layers", e.node(i).where("kind"), e.backend().name());
  const RecurrentGeometry g = geometryOf(e.context(i));
  const int in = e.input(i);
  // Channels of zeros are written by nobody, and a gate reads them all.
  e.program().add(i, ClearChannels{e.shape(in), 0, e.state(in), nullptr}).at(&ClearChannels::output, e.value(in));
  const BufferId output = e.newValue(e.output(i));
  e.kept(i) = e.training() ? e.program().floats(laneElements(g.saved(), e.batchSize())) : kNoBuffer;
  RecurrentForward args;
  args.geometry = g;
  args.weight = e.parameters().value(i, Role::kWeight), args.bias = e.parameters().value(i, Role::kBias);
  e.program()
      .add(i, args)
      .at(&RecurrentForward::input, e.value(in))
      .at(&RecurrentForward::output, output)
      .at(&RecurrentForward::saved, e.kept(i));
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
  RecurrentBackward args;
  args.geometry = g, args.weight = e.parameters().value(i, Role::kWeight);
  args.gradWeight = e.parameters().gradient(i, Role::kWeight), args.gradBias = e.parameters().gradient(i, Role::kBias);
  e.program()
      .add(i, args)
      .at(&RecurrentBackward::output, e.value(e.output(i)))
      .at(&RecurrentBackward::saved, e.kept(i))
      .at(&RecurrentBackward::gradOutput, e.gradient(e.output(i)))
      .at(&RecurrentBackward::gradInput, target.write)
      .at(&RecurrentBackward::workspace, workspace);
  if (needed) e.finish(target, in);
}

template <GeometryOf geometryOf>
Operator recurrent(const char* kind) {
  Operator op;
  op.kind = kind;
  op.fields = {{"reverse", FieldType::kBoolean, 0, 1, 0}, {"bias", FieldType::kBoolean, 0, 1, 1}};
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
