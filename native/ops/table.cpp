#include "ops/table.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

#include "ops/operators.h"

namespace selfcompress {

const std::vector<const Operator*>& operators() {
#define SELFCOMPRESS_ENTRY(name) &ops::name,
  static const std::vector<const Operator*> table{SELFCOMPRESS_OPERATORS(SELFCOMPRESS_ENTRY)};
#undef SELFCOMPRESS_ENTRY
  return table;
}

const Operator* findOperator(std::string_view kind) {
  static const auto byKind = [] {
    std::map<std::string_view, const Operator*> map;
    for (const Operator* op : operators()) map[op->kind] = op;
    return map;
  }();
  auto found = byKind.find(kind);
  return found == byKind.end() ? nullptr : found->second;
}

namespace {

std::string text(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.9g", value);
  return digits;
}

std::string text(const FieldValue& value) {
  std::string result;
  for (double v : value) {
    if (!result.empty()) result += ", ";
    result += text(v);
  }
  return value.size() == 1 ? result : std::string("[").append(result).append("]");
}

}  // namespace

void checkField(const FieldSpec& spec, const FieldValue& value, const std::string& where) {
  auto fail = [&](const std::string& what) { failDescription(what, where, text(value)); };
  if (spec.type != FieldType::kList && value.size() != (spec.type == FieldType::kPair ? 2u : 1u))
    fail(spec.type == FieldType::kPair ? "two integers" : "one value");
  for (double v : value) {
    bool whole = spec.type != FieldType::kNumber;
    double low = spec.low, high = spec.high;
    if (spec.type == FieldType::kBoolean) low = 0, high = 1;
    if (spec.type == FieldType::kChoice) low = 0, high = double(spec.choices.size()) - 1;
    if (!(v >= low && v <= high) || (whole && v != std::floor(v)))
      fail(std::string(whole ? "an integer" : "a number") + " from " + text(low) + " to " + text(high));
  }
}

FieldValue defaultOf(const FieldSpec& spec) {
  if (spec.type == FieldType::kList) return {};
  return FieldValue(spec.type == FieldType::kPair ? 2u : 1u, *spec.otherwise);
}

NodeDescription makeNode(std::string_view kind, std::string name, std::vector<std::string> inputs,
                         const std::map<std::string, FieldValue>& given) {
  NodeDescription node;
  node.op = findOperator(kind);
  node.name = std::move(name), node.inputs = std::move(inputs);
  if (!node.op) failDescription("a known kind of node", node.where("kind"), quoted(kind));
  for (const auto& entry : given) {
    bool known = false;
    for (const FieldSpec& spec : node.op->fields) known = known || entry.first == spec.name;
    if (!known) failDescription("fields of " + std::string(kind), node.where(), quoted(entry.first));
  }
  for (const FieldSpec& spec : node.op->fields) {
    auto found = given.find(spec.name);
    FieldValue value;
    if (found != given.end()) value = found->second;
    else if (spec.like) {
      for (std::size_t i = 0; i < node.fields.size(); i++)
        if (std::strcmp(node.op->fields[i].name, spec.like) == 0) value = node.fields[i];
    } else if (spec.otherwise) {
      value = defaultOf(spec);
    } else {
      failDescription("a value", node.where(spec.name), "none");
    }
    checkField(spec, value, node.where(spec.name));
    node.fields.push_back(std::move(value));
  }
  return node;
}

}  // namespace selfcompress
