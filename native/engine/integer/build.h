// What operators make their steps with (operators.cpp): values, their scales, and what comes behind a node.
#pragma once

#include <map>

#include "engine/integer/program.h"
#include "engine/operator.h"
#include "export/structure.h"
#include "graph/infer.h"

namespace selfcompress::engine::integer {

class Builder;

// What stands between a layer's sums and its codes: bounds that nodes behind it set.
struct Bounds {
  double low = -HUGE_VAL, high = HUGE_VAL;
};

// How integers do a kind of node.
struct IntegerOperator {
  const char* kind;
  void (*build)(Builder&, int node) = nullptr;
  // Of a function of one element: what a layer before it can do as it stores its codes, by bounds.
  Bounds (*bounds)(const NodeDescription&) = nullptr;
  bool alias = false;  // the codes of its input
};
const IntegerOperator* findIntegerOperator(std::string_view kind);

// A node of which the network cannot be made of integers, and what it would need.
struct Fault {
  std::string expected;
};

class Builder {
 public:
  explicit Builder(const model::ModelReader&);
  Program build();

  const NodeDescription& node(int i) const { return network_.nodes[std::size_t(i)]; }
  NodeContext context(int i) const { return topology_.context(network_, i); }
  Tensors tensors(int i) const;
  const model::ModelReader& reader() const { return reader_; }
  // The value that input k of the node is.
  int input(int i, int k = 0) const;
  const Value& value(int v) const { return program_.values[std::size_t(v)]; }
  int inputs(int i) const { return int(topology_.inputs[std::size_t(i)].size()); }

  // The node that alone reads what node i makes, -1: none or several.
  int onlyReader(int i) const;
  // Nodes behind i that set bounds are done; `last` becomes the last of them.
  Bounds takeBounds(int& last);
  // Factors and shifts of a norm directly behind node `last`, which is done then; false: there is none.
  bool takeNorm(int& last, std::vector<float>& factor, std::vector<float>& shift);
  bool flattenIsFree(int i) const;

  CodeScale rangeOf(int node) const;  // of what node i makes
  // A step whose output is what node `last` makes.
  Step& add(StepKind, int node, std::vector<int> inputs, int last, Shape, CodeScale);
  // One more step that writes a part of that value.
  Step& addTo(int output, StepKind, int node, std::vector<int> inputs);
  void alias(int node, int value) { source_[std::size_t(node) + 1] = value; }

 private:
  void place();

  const model::ModelReader& reader_;
  NetworkDescription network_;
  Topology topology_;
  std::vector<double> ranges_;
  Program program_;
  std::vector<int> source_;  // of every value of the network: the one of the program
  std::vector<bool> done_;
};

// Codes between which the values of the bounds lie.
void setBounds(const Bounds&, CodeScale, std::int32_t& low, std::int32_t& high);

}  // namespace selfcompress::engine::integer
