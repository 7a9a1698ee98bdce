#include "model/structure_section.h"

#include <limits>

namespace selfcompress::model {

namespace {

constexpr std::uint64_t kHasNames = 1, kHasOutput = 2;
// How the inputs of a node are written, in the low two bits of its first number; the others count its fields.
enum Inputs : std::uint64_t { kPrevious, kNone, kListed };
constexpr std::uint64_t kInputBits = 2;
constexpr std::int64_t kMaxAxis = std::numeric_limits<std::int32_t>::max();

void writeInputs(ByteWriter& out, const std::vector<int>& inputs, int node) {
  out.varint(inputs.size());
  for (const int value : inputs) {
    if (value < 0 || value > node) fail("values made before it", "inputs of node " + std::to_string(node), value);
    out.varint(std::uint64_t(node - value));
  }
}

std::vector<int> readInputs(ByteReader& in, int node) {
  std::vector<int> inputs(in.count("inputs", std::uint64_t(1) << 16));
  for (int& value : inputs) {
    const std::uint64_t distance = in.varint();
    if (distance > std::uint64_t(node))
      fail("a value made before it", "an input of node " + std::to_string(node), distance);
    value = node - int(distance);
  }
  return inputs;
}

void writeNode(ByteWriter& out, StringWriter& strings, const Node& node, int index) {
  const Inputs inputs = node.inputs.empty()                                  ? kNone
                        : node.inputs.size() == 1 && node.inputs[0] == index ? kPrevious
                                                                             : kListed;
  strings.kind(node.kind);
  out.varint((std::uint64_t(node.fields.size()) << kInputBits) | inputs);
  if (inputs == kListed) writeInputs(out, node.inputs, index);
  writeFields(out, strings, node.fields);
}

Node readNode(ByteReader& in, StringReader& strings, int index) {
  Node node;
  node.kind = strings.kind();
  const std::uint64_t first = in.varint();
  switch (first & 3) {
    case kPrevious:
      node.inputs = {index};
      break;
    case kNone:
      break;
    case kListed:
      node.inputs = readInputs(in, index);
      break;
    default:
      fail("a known way to list inputs", "node " + std::to_string(index), first & 3);
  }
  if (first >> kInputBits > in.left() / 2)
    fail("bytes for " + std::to_string(first >> kInputBits) + " fields", in.what(), in.left());
  node.fields = readFields(in, strings, std::size_t(first >> kInputBits));
  return node;
}

}  // namespace

std::vector<std::string> defaultNames(const Structure& structure) {
  std::map<std::string, int> ordinals;
  std::vector<std::string> names;
  for (const Node& node : structure.nodes) names.push_back(node.kind + std::to_string(++ordinals[node.kind]));
  return names;
}

void writeStructure(ByteWriter& out, StringWriter& strings, const Structure& structure, bool keepNames) {
  const auto defaults = defaultNames(structure);
  const int count = int(structure.nodes.size());
  const auto stored = [&](std::size_t i) {
    const std::string& name = structure.nodes[i].name;
    return keepNames && name != defaults[i] ? name : std::string();
  };
  bool names = false;
  for (std::size_t i = 0; i < defaults.size(); i++) names = names || !stored(i).empty();
  if (structure.output < 0 || structure.output > count) fail("one of the values", "output", structure.output);

  out.varint((names ? kHasNames : 0) | (structure.output != count ? kHasOutput : 0));
  strings.word(structure.valueType);
  out.varint(structure.inputAxes.size());
  for (const std::int64_t axis : structure.inputAxes) {
    if (axis < 0 || axis > kMaxAxis) fail("0 to 2^31 - 1", "inputAxes", axis);
    out.varint(std::uint64_t(axis));
  }
  out.varint(structure.nodes.size());
  for (int i = 0; i < count; i++) writeNode(out, strings, structure.nodes[std::size_t(i)], i);
  if (names)
    for (std::size_t i = 0; i < defaults.size(); i++) out.text(stored(i));
  if (structure.output != count) out.varint(std::uint64_t(count - structure.output));
}

Structure readStructure(ByteReader& in, StringReader& strings, const Limits& limits) {
  Structure structure;
  const std::uint64_t flags = in.varint();
  if (flags > (kHasNames | kHasOutput)) fail("known flags", in.what(), flags);
  structure.valueType = strings.word();
  structure.inputAxes.resize(in.count("axes", kMaxRank));
  for (std::int64_t& axis : structure.inputAxes) {
    const std::uint64_t size = in.varint();
    if (size > std::uint64_t(kMaxAxis)) fail("0 to 2^31 - 1", "an axis of the input", size);
    axis = std::int64_t(size);
  }
  const std::size_t count = in.count("nodes", limits.nodes, 2);
  for (std::size_t i = 0; i < count; i++) structure.nodes.push_back(readNode(in, strings, int(i)));
  const auto defaults = defaultNames(structure);
  for (std::size_t i = 0; i < count; i++) {
    std::string& name = structure.nodes[i].name;
    if (flags & kHasNames) name = strings.text();
    if (name.empty()) name = defaults[i];
  }
  std::uint64_t fromEnd = flags & kHasOutput ? in.varint() : 0;
  if (fromEnd > count) fail("one of the values", "output", fromEnd);
  structure.output = int(count - fromEnd);
  return structure;
}

void writeMetadata(ByteWriter& out, StringWriter& strings, const Metadata& metadata) {
  out.varint(metadata.size());
  for (const auto& [key, value] : metadata) {
    strings.word(key);
    writeValue(out, strings, value);
  }
}

Metadata readMetadata(ByteReader& in, StringReader& strings) {
  Metadata metadata;
  const std::size_t count = in.count("entries", ~std::uint64_t(0), 2);
  for (std::size_t i = 0; i < count; i++) {
    std::string key = strings.word();
    FieldValue value = readValue(in, strings);
    metadata.emplace_back(std::move(key), std::move(value));
  }
  return metadata;
}

}  // namespace selfcompress::model
