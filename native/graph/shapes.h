// Shape inference: the one place that decides whether a description is a network.
#pragma once

#include "graph/description.h"
#include "selfcompress/ops/conv2d.h"

namespace selfcompress {

// Where the tensors of a network come from. Tensor 0 is the image, tensor i + 1 the output of node i.
struct Topology {
  std::vector<Shape> shapes;             // of every tensor
  std::vector<std::vector<int>> inputs;  // of every node: tensors it reads
  std::vector<std::vector<int>>
      readers;     // of every tensor: nodes that read it, ascending; a node that reads it twice is there twice
  int output = 0;  // tensor of the prediction
};

// Throws DescriptionError: unknown or repeated names, wrong numbers of inputs, shapes that do not fit, nodes that do
// not lead to the output, networks without weights, sizes beyond what can be addressed at `batchSize`.
Topology inferShapes(const NetworkDescription&, int batchSize);

// Output shape of one node that reads tensors of these shapes; the same checks and errors.
Shape outputShape(const NodeDescription&, const std::vector<Shape>& inputs, int batchSize);

inline bool isWeightLayer(const NodeDescription& node) {
  return node.kind == NodeKind::kConv2d || node.kind == NodeKind::kLinear;
}

// A weight layer as a convolution; a linear layer is a 1x1 convolution of a 1x1 image of all features.
Conv2dGeometry geometryOf(const NodeDescription&, Shape input);
// Max, average and global pooling.
PoolGeometry poolGeometryOf(const NodeDescription&, Shape input);

}  // namespace selfcompress
