#include "export/structure.h"

#include <map>

#include "model/error.h"
#include "ops/table.h"

namespace selfcompress {
namespace {

FieldValue fromFileValue(const FieldSpec& spec, const model::FieldValue& value, const std::string& where) {
  if (const bool* flag = std::get_if<bool>(&value)) return {*flag ? 1.0 : 0.0};
  if (const std::int64_t* whole = std::get_if<std::int64_t>(&value)) return {double(*whole)};
  if (const double* number = std::get_if<double>(&value)) return {*number};
  if (const auto* list = std::get_if<std::vector<double>>(&value)) return *list;
  const std::string* text = std::get_if<std::string>(&value);
  for (std::size_t i = 0; text && i < spec.choices.size(); i++)
    if (*text == spec.choices[i]) return {double(i)};
  model::fail("a value of the field", where, text ? quoted(*text) : std::string("a list of strings"));
}

}  // namespace

NetworkDescription networkOf(const model::Structure& structure) {
  NetworkDescription network;
  if (structure.inputAxes.empty() || structure.inputAxes.size() > 1 + Axes::kMostRank)
    model::fail("1 to " + std::to_string(1 + Axes::kMostRank) + " axes", "input", structure.inputAxes.size());
  for (std::size_t i = 0; i < structure.inputAxes.size(); i++) {
    const std::int64_t size = structure.inputAxes[i];
    if (size < 1 || size > (i ? 1 << 15 : 1 << 24)) model::fail("an axis that a network can have", "input", size);
    if (i) network.input.positions[i - 1] = int(size);
    else network.input.channels = int(size);
  }
  network.input.rank = int(structure.inputAxes.size()) - 1;
  if (structure.valueType == "token") network.input.type = ValueType::kToken;
  else if (structure.valueType != "float") model::fail("\"float\" or \"token\"", "input", quoted(structure.valueType));
  const std::vector<std::string> names = model::defaultNames(structure);
  auto nameOf = [&](int value) {
    if (value == 0) return std::string(kInputName);
    const model::Node& node = structure.nodes[std::size_t(value) - 1];
    return node.name.empty() ? names[std::size_t(value) - 1] : node.name;
  };
  for (std::size_t i = 0; i < structure.nodes.size(); i++) {
    const model::Node& node = structure.nodes[i];
    const Operator* op = findOperator(node.kind);
    if (!op) model::fail("a kind of node that this version knows", "node " + std::to_string(i), quoted(node.kind));
    std::vector<std::string> inputs;
    for (int value : node.inputs) inputs.push_back(nameOf(value));
    std::map<std::string, FieldValue> fields;
    for (const auto& [name, value] : node.fields) {
      const FieldSpec* found = nullptr;
      for (const FieldSpec& spec : op->fields)
        if (name == spec.name) found = &spec;
      if (!found) model::fail("a field of " + node.kind, "node " + std::to_string(i), quoted(name));
      fields[name] = fromFileValue(*found, value, name);
    }
    network.nodes.push_back(makeNode(node.kind, nameOf(int(i) + 1), std::move(inputs), fields));
  }
  network.output = nameOf(structure.output);
  return network;
}

}  // namespace selfcompress
