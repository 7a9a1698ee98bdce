// unembedding: the output layer of a language model with the weights of its embedding (Press & Wolf 2017), shared:
//
//     output[n, v, t] = sum_d weight[d, v] input[n, d, t]
//
// It has no parameters of its own. Bit depth and exponent are those of the embedding's dimensions, whose channels hang
// together with the input's: a dimension adds nothing where either is zero, and leaves from both at once. Rows of the
// vocabulary stay.
//
// The table is stored as [dimensions][vocabulary], the weights of a linear layer from the vocabulary to the dimensions:
// the product is that layer's gradient with respect to its input, and its gradient that layer's product.
#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"
#include "selfcompress/ops/conv2d.h"

namespace selfcompress::ops {
namespace {

Axes infer(const NodeContext& c) {
  const NodeDescription* table = c.from.size() == 2 ? c.from[1] : nullptr;
  if (!table || table->op != &embedding)
    failDescription("an embedding as the second input", c.node.where("inputs"), table ? table->op->kind : "another");
  if (c.inputs[0].channels != c.inputs[1].channels)
    failDescription(std::to_string(c.inputs[1].channels) + " channels, as the embedding has dimensions,",
                    c.node.where("inputs"), c.inputs[0].text());
  return c.inputs[0].withChannels(table->integer("vocabulary"));
}

ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  rule.readsNothing = true;
  for (int d = 0; d < c.inputs[0].channels; d++) rule.contractions.push_back({{{0, d}}, {{1, d}}, {}});
  return rule;
}

Conv2dGeometry geometryOf(const Emitter& e, int i) {
  const Shape in = e.shape(e.input(i));
  Conv2dGeometry g;
  g.inChannels = e.shape(Emitter::output(i)).channels, g.outChannels = in.channels;
  g.height = in.height, g.width = in.width;
  return g;
}
int tableOf(const Emitter& e, int i) { return e.input(i, 1) - 1; }

WeightQuantizer quantizerOf(const Emitter& e, int table) {
  return {e.parameters().value(table, Role::kBitDepth), e.parameters().value(table, Role::kExponent)};
}

void forward(Emitter& e, int i) {
  if (!e.backend().supports("EmbeddingBackward.accumulate"))
    failDescription("a device with weights that two nodes share", e.node(i).where("kind"), e.backend().name());
  const int table = tableOf(e, i);
  const Conv2dGeometry g = geometryOf(e, i);
  Conv2dGradInput args;
  args.geometry = g, args.weight = e.parameters().value(table, Role::kWeight);
  args.liveIn = e.channels(Emitter::output(i)).notZero, args.liveOut = e.channels(e.input(i)).notZero;
  args.exact = !e.training();
  const WeightQuantizer quantizer = quantizerOf(e, table);
  BufferId quantized = kNoBuffer;
  if (quantizer.bitDepth && e.backend().quantizesInConvolution()) {
    args.quantizer = quantizer;
  } else if (quantizer.bitDepth) {
    quantized = e.kept(i) = e.program().floats(g.weights());
    e.program()
        .add(i,
             QuantizeForward{g.outChannels, g.inChannels, args.weight, quantizer.bitDepth, quantizer.exponent, nullptr})
        .at(&QuantizeForward::output, quantized);
  }
  const BufferId output = e.newValue(Emitter::output(i)),
                 workspace = e.program().bytes(e.backend().conv2dWorkspace(g, e.batchSize()));
  e.program()
      .add(i, args)
      .at(&Conv2dGradInput::weight, quantized)
      .at(&Conv2dGradInput::gradOutput, e.value(e.input(i)))
      .at(&Conv2dGradInput::gradInput, output)
      .at(&Conv2dGradInput::workspace, workspace);
}

void backward(Emitter& e, int i) {
  const int in = e.input(i), table = tableOf(e, i);
  const Conv2dGeometry g = geometryOf(e, i);
  const ChannelList tokens = e.channels(Emitter::output(i)).notZero, dimensions = e.channels(in).notZero;
  const BufferId gradOutput = e.gradient(Emitter::output(i)),
                 workspace = e.program().bytes(e.backend().conv2dWorkspace(g, e.batchSize()));
  Conv2dGradWeight weights;
  weights.geometry = g, weights.liveIn = tokens, weights.liveOut = dimensions;
  weights.gradWeight = e.parameters().gradient(table, Role::kWeight);
  e.beginWeightGradient(table);
  e.program()
      .add(i, weights)
      .at(&Conv2dGradWeight::input, gradOutput)
      .at(&Conv2dGradWeight::gradOutput, e.value(in))
      .at(&Conv2dGradWeight::workspace, workspace);
  if (!e.needsGradient(in)) return;
  Conv2dForward args;
  args.geometry = g, args.weight = e.parameters().value(table, Role::kWeight);
  args.liveIn = tokens, args.liveOut = dimensions;
  const BufferId quantized = e.kept(i);
  if (quantized == kNoBuffer) args.quantizer = quantizerOf(e, table);
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  e.program()
      .add(i, args)
      .at(&Conv2dForward::input, gradOutput)
      .at(&Conv2dForward::weight, quantized)
      .at(&Conv2dForward::output, target.write)
      .at(&Conv2dForward::workspace, workspace);
  e.finish(target, in);
}

}  // namespace

const Operator unembedding = [] {
  Operator op;
  op.kind = "unembedding";
  op.leastInputs = op.mostInputs = 2;
  op.takesWeights = true;
  op.infer = infer, op.channels = channels;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace selfcompress::ops
