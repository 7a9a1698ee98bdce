// What operations do on the way for their neighbours: a pass over the graph that reads the operators' traits and writes
// down, for every node, which epilogues its operations have. Emitters read the result and decide nothing themselves.
#pragma once

#include "graph/infer.h"

namespace selfcompress {

struct NodePlan {
  bool relu = false;             // forward applies the ReLU that reads this node
  AppliedActivation activation;  // forward applies the activation that reads this node, and backward undoes it
  bool absorbed = false;         // this node is that ReLU or activation: its output is its input
  bool moments = false;          // forward takes the moments of its result for a norm (training)
  bool masksInput = false;  // backward multiplies the gradient of its input by (input > 0): the ReLU before does not
  bool passesGradient = false;  // this node is an activation whose backward another node does
};

// activations: false: all of them are operations of their own.
std::vector<NodePlan> fuse(const NetworkDescription&, const Topology&, bool activations);

}  // namespace selfcompress
