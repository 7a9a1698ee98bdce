// The table of operators. Adding one is its folder, its kernels, and one line in table.cpp.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "ops/op.h"

namespace selfcompress {

const std::vector<const Operator*>& operators();
// nullptr: there is no such kind.
const Operator* findOperator(std::string_view kind);

// A node with its fields checked and defaults filled in.
// Throws DescriptionError: an unknown kind, an unknown or missing field, a value out of its range.
NodeDescription makeNode(std::string_view kind, std::string name, std::vector<std::string> inputs,
                         const std::map<std::string, FieldValue>& fields = {});
// Of a field that has one of its own (FieldSpec::otherwise).
FieldValue defaultOf(const FieldSpec&);
// One value against its specification; `where` names it in errors.
void checkField(const FieldSpec&, const FieldValue&, const std::string& where);

}  // namespace selfcompress
