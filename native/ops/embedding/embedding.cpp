// embedding: a row of a table for every token. parameter: a tensor of its own, the same for every example.
//
// Both are tables, [channels][rows], whose channels are those of the output, each with a bit depth and an exponent; the
// second is one whose tokens are the numbers of the positions.
#include <numeric>

#include "graph/emitter.h"
#include "ops/operators.h"
#include "ops/rules.h"
#include "selfcompress/ops/embedding.h"

namespace selfcompress::ops {
namespace {

using Of = ParameterAxis::Of;

int channelsOf(const NodeContext& c) {
  return c.node.integer(c.node.op->reads == Operator::Reads::kTokens ? "dimensions" : "channels");
}
int rowsOf(const NodeContext& c) {
  if (c.node.op->reads == Operator::Reads::kTokens) return c.node.integer("vocabulary");
  return c.node.integer("positions") == 0 ? int(c.inputs[0].positionCount()) : 1;
}

void checkTable(const NodeContext& c) {
  if (double(channelsOf(c)) * rowsOf(c) > double(std::int64_t(1) << 40))
    failDescription("at most 2^40 weights", c.node.where(), std::to_string(rowsOf(c)) + " rows");
}

Axes inferEmbedding(const NodeContext& c) {
  checkTable(c);
  Axes out = c.inputs[0].withChannels(channelsOf(c));
  out.type = ValueType::kFloat;
  return out;
}

Axes inferParameter(const NodeContext& c) {
  checkTable(c);
  Axes out = inferEmbedding(c);
  if (rowsOf(c) == 1) out.positions = {1, 1, 1};
  return out;
}

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  const ParameterAxis dimensions{Of::kOutput, channelsOf(c)};
  std::vector<ParameterSpec> specs{{Role::kWeight, "weight", {dimensions, {Of::kOther, rowsOf(c)}}}};
  if (c.node.flag("compress")) {
    specs.push_back({Role::kBitDepth, "bitDepth", {dimensions}});
    specs.push_back({Role::kExponent, "exponent", {dimensions}});
  }
  return specs;
}

ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  rule.readsNothing = true, rule.kernelArea = rowsOf(c);
  return rule;
}

// Of a parameter: at every example, the numbers of the positions.
const std::int32_t* positionsOfBatch(Emitter& e, int rows) {
  std::vector<std::int32_t> numbers(std::size_t(e.batchSize()) * std::size_t(rows));
  for (std::size_t n = 0; n < numbers.size(); n += std::size_t(rows))
    std::iota(numbers.begin() + std::ptrdiff_t(n), numbers.begin() + std::ptrdiff_t(n) + rows, 0);
  return e.constant(numbers);
}

void checkBackend(Emitter& e, int i) {
  if (!e.backend().supports("EmbeddingForward"))
    failDescription("a device with embeddings", e.node(i).where("kind"), e.backend().name());
}

void forward(Emitter& e, int i) {
  checkBackend(e, i);
  const NodeContext c = e.context(i);
  const Parameters& p = e.parameters();
  const bool tokens = c.node.op->reads == Operator::Reads::kTokens;
  const float *bitDepth = p.value(i, Role::kBitDepth), *exponent = p.value(i, Role::kExponent);
  EmbeddingForward args;
  args.dimensions = channelsOf(c), args.vocabulary = rowsOf(c), args.positions = int(c.output.positionCount());
  args.weight = p.value(i, Role::kWeight), args.state = e.state(e.output(i));
  BufferId quantized = kNoBuffer;
  if (bitDepth && e.backend().quantizesInConvolution()) {
    args.quantizer = {bitDepth, exponent};
  } else if (bitDepth) {
    quantized = e.program().floats(std::int64_t(args.dimensions) * args.vocabulary);
    e.program()
        .add(i, QuantizeForward{args.dimensions, args.vocabulary, args.weight, bitDepth, exponent, nullptr})
        .at(&QuantizeForward::output, quantized);
  }
  if (!tokens) args.tokens = positionsOfBatch(e, args.vocabulary);
  const BufferId output = e.newValue(e.output(i));
  auto added = e.program().add(i, args);
  added.at(&EmbeddingForward::weight, quantized).at(&EmbeddingForward::output, output);
  if (tokens) added.from(&EmbeddingForward::tokens, BatchPart::kTokens);
}

void backward(Emitter& e, int i) {
  const NodeContext c = e.context(i);
  const Parameters& p = e.parameters();
  const bool tokens = c.node.op->reads == Operator::Reads::kTokens;
  EmbeddingBackward args;
  args.dimensions = channelsOf(c), args.vocabulary = rowsOf(c), args.positions = int(c.output.positionCount());
  args.state = e.state(e.output(i)), args.gradWeight = p.gradient(i, Role::kWeight);
  args.accumulate = e.beginWeightGradient(i);
  if (!tokens) args.tokens = positionsOfBatch(e, args.vocabulary);
  auto added = e.program().add(i, args);
  added.at(&EmbeddingBackward::gradOutput, e.gradient(e.output(i)));
  if (tokens) added.from(&EmbeddingBackward::tokens, BatchPart::kTokens);
  if (p.find(i, Role::kBitDepth))
    e.program().add(
        i, QuantizeBackward{args.dimensions, args.vocabulary, p.value(i, Role::kWeight), p.value(i, Role::kBitDepth),
                            p.value(i, Role::kExponent), args.gradWeight, e.penalty(i), args.gradWeight,
                            p.gradient(i, Role::kBitDepth), p.gradient(i, Role::kExponent), e.rate(i).slopes});
}

Operator table(const char* kind, const char* channelsField) {
  Operator op;
  op.kind = kind;
  op.fields = {{channelsField, FieldType::kInteger, 1, kMostChannels}};
  op.isWeightLayer = true;
  op.parameters = parameters, op.channels = channels;
  op.forward = forward, op.backward = backward;
  return op;
}

}  // namespace

const Operator embedding = [] {
  Operator op = table("embedding", "dimensions");
  op.fields.push_back({"vocabulary", FieldType::kInteger, 1, kMostChannels});
  op.fields.push_back({"compress", FieldType::kBoolean, 0, 1, 1});
  op.reads = Operator::Reads::kTokens, op.infer = inferEmbedding;
  op.resize = [](NodeDescription& node, const Resized& to) { node.set("dimensions", {double(to.channels)}); };
  return op;
}();

const Operator parameter = [] {
  Operator op = table("parameter", "channels");
  op.fields.push_back({"positions", FieldType::kChoice, 0, 0, 0, nullptr, {"all", "one"}});
  op.fields.push_back({"compress", FieldType::kBoolean, 0, 1, 1});
  op.reads = Operator::Reads::kEither, op.infer = inferParameter;
  op.resize = [](NodeDescription& node, const Resized& to) { node.set("channels", {double(to.channels)}); };
  return op;
}();

}  // namespace selfcompress::ops
