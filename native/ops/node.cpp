#include "ops/node.h"

#include <cstring>

#include "ops/op.h"

namespace selfcompress {
namespace {

std::size_t fieldIndex(const NodeDescription& node, const char* name) {
  for (std::size_t i = 0; i < node.op->fields.size(); i++)
    if (std::strcmp(node.op->fields[i].name, name) == 0) return i;
  throw std::logic_error(std::string("Expected a field of ") + node.op->kind + " but received " + name);
}

}  // namespace

const FieldValue& NodeDescription::value(const char* field) const { return fields[fieldIndex(*this, field)]; }
void NodeDescription::set(const char* field, FieldValue v) { fields[fieldIndex(*this, field)] = std::move(v); }

const char* roleName(Role role) {
  constexpr const char* names[kRoles] = {"weight",     "bias",     "normWeight", "normBias", "runningMean",
                                         "runningVar", "bitDepth", "exponent",   "slope",    "idle"};
  return names[int(role)];
}

}  // namespace selfcompress
