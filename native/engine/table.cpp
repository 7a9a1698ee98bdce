#include <string_view>

#include "engine/operator.h"
#include "model/error.h"

// clang-format off
#define SELFCOMPRESS_ENGINE_OPERATORS(X) \
  X(conv2d) X(linear) X(batchNorm) X(relu) X(gelu) X(silu) X(dropout) X(maxPool) X(averagePool) X(globalAveragePool) \
  X(add) X(flatten) X(concat)
// Trained, but not run by the engine yet: a file that has one is refused by its name.
#define SELFCOMPRESS_ENGINE_REFUSED(X) \
  X(convTranspose2d) X(sigmoid) X(geluTanh) X(tanh) X(hardSigmoid) X(hardSwish) X(leakyRelu) X(clip) X(elu) \
  X(softplus) X(exp) X(log) X(sqrt) X(abs) X(square) X(reciprocal) X(affine) X(prelu) X(layerNorm) \
  X(rmsNorm) X(instanceNorm) X(softmax) X(globalMaxPool) X(meanPositions) X(multiply) X(subtract) X(divide) \
  X(gatherChannels) X(channelShuffle) X(padChannels) X(sliceChannels) X(slicePositions) X(pad) \
  X(pixelShuffle) X(pixelUnshuffle) X(meanChannels) X(resize) X(attention) X(rotary) X(lstm) X(gru)
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

namespace {

EngineOperator refusedOperator(const char* kind) {
  EngineOperator entry;
  entry.kind = kind, entry.refused = "the engine has no kernel for it yet";
  return entry;
}

}  // namespace

const std::vector<EngineOperator>& refusedOperators() {
#define SELFCOMPRESS_ENTRY(name) refusedOperator(#name),
  static const std::vector<EngineOperator> table{SELFCOMPRESS_ENGINE_REFUSED(SELFCOMPRESS_ENTRY)};
#undef SELFCOMPRESS_ENTRY
  return table;
}

const EngineOperator* findEngineOperator(std::string_view kind) {
  for (const EngineOperator* entry : engineOperators())
    if (kind == entry->kind) return entry;
  for (const EngineOperator& entry : refusedOperators())
    if (kind == entry.kind) return &entry;
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
