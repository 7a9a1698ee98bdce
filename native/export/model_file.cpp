#include "export/model_file.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <unordered_map>

#include "export/structure.h"
#include "model/writer.h"
#include "ops/quantize/quantize_math.h"
#include "ops/table.h"

namespace selfcompress {
namespace {

using Values = std::map<Role, std::vector<float>>;

model::FieldValue toFileValue(const FieldSpec& spec, const FieldValue& value) {
  if (spec.type == FieldType::kBoolean) return value[0] != 0;
  if (spec.type == FieldType::kInteger) return std::int64_t(value[0]);
  if (spec.type == FieldType::kNumber) return value[0];
  if (spec.type == FieldType::kChoice) return std::string(spec.choices[std::size_t(value[0])]);
  return value;
}

// Fields that differ from their defaults.
model::Fields fieldsOf(const NodeDescription& node) {
  model::Fields fields;
  for (std::size_t i = 0; i < node.fields.size(); i++) {
    const FieldSpec& spec = node.op->fields[i];
    FieldValue usual;
    if (spec.like) {
      for (std::size_t k = 0; k < i; k++)
        if (std::string_view(node.op->fields[k].name) == spec.like) usual = node.fields[k];
    } else if (spec.otherwise) {
      usual = defaultOf(spec);
    }
    if (node.fields[i] != usual) fields.emplace_back(spec.name, toFileValue(spec, node.fields[i]));
  }
  return fields;
}

model::Structure structureOf(const NetworkDescription& network, const std::vector<NodeDescription>& nodes) {
  model::Structure structure;
  structure.inputAxes = {network.input.channels};
  for (int i = 0; i < network.input.rank; i++) structure.inputAxes.push_back(network.input.positions[std::size_t(i)]);
  if (network.input.type == ValueType::kToken) structure.valueType = "token";
  std::unordered_map<std::string, int> valueOf{{kInputName, 0}};
  for (std::size_t i = 0; i < nodes.size(); i++) {
    model::Node node{nodes[i].op->kind, nodes[i].name, {}, fieldsOf(nodes[i])};
    for (const std::string& name : nodes[i].inputs) node.inputs.push_back(valueOf.at(name));
    valueOf[nodes[i].name] = int(i) + 1;
    structure.nodes.push_back(std::move(node));
  }
  structure.output = valueOf.at(network.output);
  return structure;
}

// Parts of the input and of the output are metadata: a list of their names, and for each the number of its axes and
// these. Whoever does not know them reads the file all the same.
struct PartKeys {
  const char *names, *axes;
};
constexpr PartKeys kInputKeys{"inputs", "inputAxes"}, kOutputKeys{"outputs", "outputAxes"};

void putParts(model::Metadata& metadata, const PartKeys& keys, const std::vector<TensorPart>& parts) {
  std::erase_if(metadata, [&](const auto& entry) { return entry.first == keys.names || entry.first == keys.axes; });
  if (parts.empty()) return;
  std::vector<std::string> names;
  std::vector<double> axes;
  for (const TensorPart& part : parts) {
    names.push_back(part.name);
    axes.push_back(1 + part.axes.rank), axes.push_back(part.axes.channels);
    for (int i = 0; i < part.axes.rank; i++) axes.push_back(part.axes.positions[std::size_t(i)]);
  }
  metadata.emplace_back(keys.names, std::move(names));
  metadata.emplace_back(keys.axes, std::move(axes));
}

template <class Value>
std::vector<Value> takeList(model::Metadata& metadata, const char* key) {
  auto found = std::find_if(metadata.begin(), metadata.end(), [&](const auto& entry) { return entry.first == key; });
  if (found == metadata.end()) return {};
  auto* list = std::get_if<std::vector<Value>>(&found->second);
  if (!list) model::fail("a list", "the metadata's " + std::string(key), "something else");
  std::vector<Value> values = std::move(*list);
  metadata.erase(found);
  return values;
}

// They leave the metadata. Whether they make up the input or the output is checked with the network.
std::vector<TensorPart> takeParts(model::Metadata& metadata, const PartKeys& keys) {
  const std::vector<std::string> names = takeList<std::string>(metadata, keys.names);
  const std::vector<double> axes = takeList<double>(metadata, keys.axes);
  const std::string where = "the metadata's " + std::string(keys.axes);
  std::size_t at = 0;
  auto next = [&](int most) {
    if (at >= axes.size() || !(axes[at] >= 1 && axes[at] <= most) || axes[at] != std::floor(axes[at]))
      model::fail("1 to " + std::to_string(most), where + "[" + std::to_string(at) + "]",
                  at < axes.size() ? std::to_string(axes[at]) : std::string("nothing"));
    return int(axes[at++]);
  };
  std::vector<TensorPart> parts;
  for (const std::string& name : names) {
    const int count = next(1 + Axes::kMostRank);
    TensorPart part{name, Axes::vector(next(1 << 24))};
    part.axes.rank = count - 1;
    for (int i = 1; i < count; i++) part.axes.positions[std::size_t(i - 1)] = next(1 << 15);
    parts.push_back(std::move(part));
  }
  if (at != axes.size()) model::fail(std::to_string(at) + " numbers", where, axes.size());
  return parts;
}

std::vector<std::int64_t> sizesOf(const ParameterSpec& spec) {
  std::vector<std::int64_t> sizes;
  for (const ParameterAxis& axis : spec.axes) sizes.push_back(axis.size);
  return sizes;
}

// The node's parameters by role.
Values valuesOf(const NodeDescription& node, const std::vector<ParameterSpec>& specs, const State& state) {
  Values values;
  for (const ParameterSpec& spec : specs) {
    const std::string name = node.name + "." + spec.suffix;
    std::int64_t count = 1;
    for (std::int64_t size : sizesOf(spec)) count *= size;
    auto found = state.find(name);
    if (found == state.end() || std::int64_t(found->second.size()) != count)
      failDescription(std::to_string(count) + " elements", "state[" + quoted(name) + "]",
                      found == state.end() ? std::string("none") : std::to_string(found->second.size()));
    values[spec.role] = found->second;
  }
  return values;
}

void addWeights(model::ModelWriter& writer, int node, const ParameterSpec& spec, const Values& values) {
  const std::vector<float>&weight = values.at(Role::kWeight), &bits = values.at(Role::kBitDepth),
        &exponent = values.at(Role::kExponent);
  std::vector<std::int32_t> codes(weight.size());
  const std::size_t perChannel = weight.size() / bits.size();
  for (std::size_t c = 0; c < bits.size(); c++)
    quantizeCodesOfChannel(weight.data() + c * perChannel, std::int64_t(perChannel), bits[c], exponent[c],
                           codes.data() + c * perChannel);
  writer.addCodes(node, roleName(spec.role), sizesOf(spec), codes, exponent);
}

// The power of two that all of these values are whole multiples of, few enough of them to be worth it; 0: there is
// none.
float gridOf(const std::vector<float>& values) {
  constexpr int kMostBits = 12;
  if (values.size() < 8) return 0;    // scale and offset would take as much
  int low = INT_MAX, high = INT_MIN;  // of the lowest and the highest digit that is not zero
  for (float v : values) {
    if (!std::isfinite(v)) return 0;
    if (v == 0) {
      if (std::signbit(v)) return 0;  // a whole number has no such zero
      continue;
    }
    int exponent = 0;
    std::uint32_t digits = std::uint32_t(std::ldexp(std::fabs(std::frexp(v, &exponent)), 24));
    high = std::max(high, exponent);
    low = std::min(low, exponent - 24 + std::countr_zero(digits));
  }
  if (low == INT_MAX) return 1;
  return high - low <= kMostBits && low >= -100 && high <= 100 ? std::ldexp(1.0f, low) : 0;
}

// Without a loss: values on a grid (rounded biases) as whole numbers, others as they are.
void addFloats(model::ModelWriter& writer, int node, const ParameterSpec& spec, const std::vector<float>& values) {
  const float scale = gridOf(values);
  if (scale == 0) return writer.addFloats(node, roleName(spec.role), sizesOf(spec), values);
  std::vector<std::int32_t> codes(values.size());
  for (std::size_t i = 0; i < values.size(); i++) codes[i] = std::int32_t(values[i] / scale);
  writer.addScaled(node, roleName(spec.role), sizesOf(spec), codes, scale, 0.0f);
}

}  // namespace

model::Bytes encodeModelFile(const NetworkDescription& network, const State& state, const model::Metadata& metadata,
                             const model::WriteOptions& options) {
  const Topology topology = inferShapes(network, 1);
  std::vector<NodeDescription> nodes = network.nodes;
  std::vector<Values> values(nodes.size());
  auto specsOf = [&](std::size_t i, const NodeDescription& node) {
    const NodeContext context{node, int(i), topology.context(network, int(i)).inputs, topology.axes[i + 1]};
    return node.op->parameters ? node.op->parameters(context) : std::vector<ParameterSpec>{};
  };
  for (std::size_t i = 0; i < nodes.size(); i++) {
    values[i] = valuesOf(nodes[i], specsOf(i, nodes[i]), state);
    if (nodes[i].op->toFile) nodes[i].op->toFile(nodes[i], values[i]);
  }
  model::Metadata all = metadata;
  putParts(all, kInputKeys, network.inputs);
  putParts(all, kOutputKeys, network.outputs);
  model::ModelWriter writer(structureOf(network, nodes), all, options);
  for (std::size_t i = 0; i < nodes.size(); i++)
    for (const ParameterSpec& spec : specsOf(i, nodes[i])) {
      const bool coded = values[i].count(Role::kBitDepth);
      if (spec.inFiles || spec.role == Role::kBitDepth || spec.role == Role::kExponent) continue;
      if (coded && spec.role == Role::kWeight) addWeights(writer, int(i), spec, values[i]);
      else addFloats(writer, int(i), spec, values[i].at(spec.role));
    }
  return writer.finish();
}

namespace {

void readWeights(const model::ModelReader& reader, std::size_t tensor, const std::string& node, State& state) {
  const model::CodeTensor codes = reader.codes(tensor);
  const std::size_t channels = std::size_t(codes.shape.channels), perChannel = std::size_t(codes.shape.perChannel());
  std::vector<float>&weight = state[node + ".weight"], &bits = state[node + ".bitDepth"];
  weight.resize(codes.codes.size());
  for (std::size_t c = 0; c < channels; c++) {
    const float scale = std::exp2(codes.exponents[c]);
    std::int32_t smallest = 0, largest = 0;
    for (std::size_t i = c * perChannel; i < (c + 1) * perChannel; i++) {
      smallest = std::min(smallest, codes.codes[i]), largest = std::max(largest, codes.codes[i]);
      weight[i] = float(codes.codes[i]) * scale;
    }
    bits.push_back(float(bitsOfCodes(smallest, largest)));
  }
  state[node + ".exponent"] = codes.exponents;
}

}  // namespace

DecodedModel decodeModelFile(model::ByteSpan bytes, const model::Limits& limits) {
  const model::ModelReader reader(bytes, limits);
  DecodedModel result{{}, {}, reader.metadata(), reader.options()};
  try {
    result.network = networkOf(reader.structure());
    result.network.inputs = takeParts(result.metadata, kInputKeys);
    result.network.outputs = takeParts(result.metadata, kOutputKeys);
    const Topology topology = inferShapes(result.network, 1);
    std::size_t used = 0;
    for (std::size_t i = 0; i < result.network.nodes.size(); i++) {
      const NodeDescription& node = result.network.nodes[i];
      if (!node.op->parameters) continue;
      const std::vector<ParameterSpec> specs = node.op->parameters(topology.context(result.network, int(i)));
      const bool coded = std::any_of(specs.begin(), specs.end(),
                                     [](const ParameterSpec& spec) { return spec.role == Role::kBitDepth; });
      for (const ParameterSpec& spec : specs) {
        const std::string name = node.name + "." + spec.suffix;
        std::int64_t count = 1;
        for (std::int64_t size : sizesOf(spec)) count *= size;
        if (spec.inFiles) result.state[name].assign(std::size_t(count), *spec.inFiles);
        if (spec.inFiles || spec.role == Role::kBitDepth || spec.role == Role::kExponent) continue;
        const int tensor = reader.find(int(i), roleName(spec.role));
        if (tensor < 0 || reader.tensors()[std::size_t(tensor)].axes != sizesOf(spec))
          model::fail("a tensor of the node's axes", quoted(name), tensor < 0 ? "none" : "another");
        used++;
        if (coded && spec.role == Role::kWeight) readWeights(reader, std::size_t(tensor), node.name, result.state);
        else result.state[name] = reader.floats(std::size_t(tensor));
      }
    }
    if (used != reader.tensors().size())
      model::fail("tensors of the network's nodes", "the table", std::to_string(reader.tensors().size()) + " tensors");
  } catch (const DescriptionError& error) {
    throw model::ModelFileError(error.what());
  }
  return result;
}

}  // namespace selfcompress
