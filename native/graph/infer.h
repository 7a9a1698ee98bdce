// Shape inference: the one place that decides whether a description is a network. What an operator makes of its inputs
// says its entry in the table of operators.
#pragma once

#include "graph/description.h"
#include "ops/op.h"

namespace selfcompress {

// Where the tensors of a network come from. Tensor 0 is the input, tensor i + 1 the output of node i.
struct Topology {
  std::vector<Axes> axes;                // of every tensor
  std::vector<Shape> shapes;             // the same as kernels see them
  std::vector<std::vector<int>> inputs;  // of every node: tensors it reads
  std::vector<std::vector<int>>
      readers;     // of every tensor: nodes that read it, ascending; a node that reads it twice is there twice
  int output = 0;  // tensor of the prediction

  NodeContext context(const NetworkDescription&, int node) const;
};

// Axes of one node's output, with the checks of its operator and of its size at `batchSize`.
Axes inferNode(const NodeContext&, int batchSize);

// Throws DescriptionError: unknown or repeated names, wrong numbers of inputs, shapes that do not fit, nodes that do
// not lead to the output, networks without weights, sizes beyond what can be addressed at `batchSize`.
Topology inferShapes(const NetworkDescription&, int batchSize);

}  // namespace selfcompress
