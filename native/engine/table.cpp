#include <string_view>

#include "engine/operator.h"
#include "model/error.h"

// clang-format off
#define SELFCOMPRESS_ENGINE_OPERATORS(X) \
  /* ops/convolution */ X(conv2d) X(linear) X(convTranspose2d) X(unembedding) \
  /* ops/batch_norm, ops/norms */ X(batchNorm) X(layerNorm) X(rmsNorm) X(instanceNorm) X(groupNorm) \
    X(softmax) \
  /* ops/elementwise */ X(relu) X(gelu) X(silu) X(dropout) X(sigmoid) X(geluTanh) X(tanh) X(hardSigmoid) X(hardSwish) \
    X(leakyRelu) X(clip) X(elu) X(softplus) X(exp) X(log) X(sqrt) X(abs) X(square) X(reciprocal) X(affine) X(prelu) \
  /* ops/binary */ X(add) X(subtract) X(multiply) X(divide) \
  /* ops/pooling */ X(maxPool) X(averagePool) X(globalAveragePool) X(globalMaxPool) X(meanPositions) X(meanChannels) \
  /* ops/shape, ops/rearranging */ X(flatten) X(concat) X(gatherChannels) X(channelShuffle) X(padChannels) \
    X(sliceChannels) X(slicePositions) X(pad) X(pixelShuffle) X(pixelUnshuffle) X(reshape) X(resize) \
  /* ops/attention, ops/recurrent */ X(attention) X(rotary) X(lstm) X(gru) \
  /* ops/embedding */ X(embedding) X(parameter)
// clang-format on

namespace selfcompress::engine {

namespace ops {
#define SELFCOMPRESS_DECLARE(name) extern const EngineOperator name;
SELFCOMPRESS_ENGINE_OPERATORS(SELFCOMPRESS_DECLARE)
#undef SELFCOMPRESS_DECLARE
}  // namespace ops

const std::vector<const EngineOperator*>& engineOperators() {
#define SELFCOMPRESS_ENTRY(name) &ops::name,
  static const std::vector<const EngineOperator*> table{SELFCOMPRESS_ENGINE_OPERATORS(SELFCOMPRESS_ENTRY)};
#undef SELFCOMPRESS_ENTRY
  return table;
}

const EngineOperator* findEngineOperator(std::string_view kind) {
  for (const EngineOperator* entry : engineOperators())
    if (kind == entry->kind) return entry;
  return nullptr;
}

Tensors::Tensors(const model::ModelReader& reader, int node, std::vector<ParameterSpec> specs)
    : reader_(reader), node_(node), specs_(std::move(specs)) {
  for (const ParameterSpec& spec : specs_) {
    if (spec.inFiles || spec.role == Role::kBitDepth || spec.role == Role::kExponent) continue;
    std::vector<std::int64_t> axes;
    for (const ParameterAxis& axis : spec.axes) axes.push_back(axis.size);
    const int found = reader_.find(node_, roleName(spec.role));
    const std::string name = "node " + std::to_string(node) + "." + spec.suffix;
    if (found < 0) model::fail("a tensor of the node's axes", name, "none");
    if (reader_.tensors()[std::size_t(found)].axes != axes) model::fail("a tensor of the node's axes", name, "another");
  }
}

const ParameterSpec* Tensors::find(Role role) const {
  for (const ParameterSpec& spec : specs_)
    if (spec.role == role) return &spec;
  return nullptr;
}

std::size_t Tensors::index(Role role) const { return std::size_t(reader_.find(node_, roleName(role))); }

std::vector<float> Tensors::floats(Role role) const {
  const ParameterSpec* spec = find(role);
  if (!spec) return {};
  if (!spec->inFiles) return reader_.floats(index(role));
  std::int64_t count = 1;
  for (const ParameterAxis& axis : spec->axes) count *= axis.size;
  return std::vector<float>(std::size_t(count), *spec->inFiles);
}

}  // namespace selfcompress::engine
