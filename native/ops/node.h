// One node of a network as data: an operator of the table, a name, the names of what it reads, and its fields.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/axes.h"
#include "base/errors.h"

namespace selfcompress {

struct Operator;

// The value of a field: one number (integers, booleans as 0 and 1, choices as their index), two of a pair,
// any number of a list.
using FieldValue = std::vector<double>;

struct NodeDescription {
  const Operator* op = nullptr;
  std::string name;
  std::vector<std::string> inputs;
  std::vector<FieldValue> fields;  // of op->fields, in that order

  // std::logic_error for a name that the operator does not have.
  double number(const char* field) const { return value(field)[0]; }
  int integer(const char* field) const { return int(value(field)[0]); }
  bool flag(const char* field) const { return value(field)[0] != 0; }
  std::vector<int> list(const char* field) const { return {value(field).begin(), value(field).end()}; }
  std::array<int, 2> pair(const char* field) const { return {int(value(field)[0]), int(value(field)[1])}; }
  void set(const char* field, FieldValue);

  std::string where() const { return "node \"" + name + "\""; }  // for errors
  std::string where(const char* field) const { return where() + "." + field; }

 private:
  const FieldValue& value(const char* field) const;
};

// A node among its neighbours, as the functions of the table see it.
struct NodeContext {
  const NodeDescription& node;
  int index = 0;                                  // in the network
  std::vector<Axes> inputs;                       // of what it reads
  Axes output;                                    // empty while it is being inferred
  std::vector<const NodeDescription*> from = {};  // the nodes that make the inputs; nullptr: the network's input
};

}  // namespace selfcompress
