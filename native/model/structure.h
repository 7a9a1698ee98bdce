// What a model file says besides its tensors: the network as a list of nodes, and metadata. Plain data; what a kind or
// a field means is the business of whoever reads it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace selfcompress::model {

// Numbers are kept exactly, bit by bit. A whole number that should stay an integer is an int64; elements of a list are
// doubles.
using FieldValue = std::variant<bool, std::int64_t, double, std::string, std::vector<double>, std::vector<std::string>>;
using Fields = std::vector<std::pair<std::string, FieldValue>>;

// Value 0 is the network's input, value i + 1 the result of node i. A node reads values made before it.
struct Node {
  std::string kind;
  std::string name;  // "": defaultNames() gives one
  std::vector<int> inputs;
  Fields fields;  // in the order in which they are written; fields at their default are left out by the caller
};

struct Structure {
  std::vector<std::int64_t> inputAxes;  // without the batch: [channels, height, width]
  std::string valueType = "float";      // "float", "token"
  std::vector<Node> nodes;
  int output = 0;  // a value
};

// Keys and values. Well-known keys (see docs/model-file.md): name, task, labels, mean, std, classes.
using Metadata = Fields;

// The names that nodes have when none are stored: kind and the ordinal among the nodes of that kind, "conv2d1".
std::vector<std::string> defaultNames(const Structure& structure);

}  // namespace selfcompress::model
