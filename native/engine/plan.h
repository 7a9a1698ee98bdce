// What a file's network becomes: steps in order, and where their values lie.
#pragma once

#include "engine/operator.h"
#include "export/structure.h"
#include "graph/infer.h"

namespace selfcompress::engine {

struct PlannedStep {
  std::unique_ptr<Step> step;
  std::vector<int> inputs;  // values
  int output = 0;           // value
};

struct Plan {
  NetworkDescription network;
  std::vector<Axes> axes;  // of every value: 0 is the input, i + 1 what node i makes
  std::vector<PlannedStep> steps;
  int result = 0;      // the value that is the prediction
  int vocabulary = 0;  // tokens that the network knows, where its input is tokens

  // Floats of a block's values and scratch memory, and where each value begins, by layout.
  std::int64_t floats[2]{}, scratch[2]{};
  std::vector<std::int64_t> offsets[2];

  // Of a plan by positions: tokens of a window. The axes of all values have one position.
  int window = 0;
};

// Throws model::ModelFileError.
Plan makePlan(const model::ModelReader&, const Kernels&, bool keepPanels);
// Steps that make one position after another (Preparation::window). Throws model::ModelFileError with every node that
// has to see the whole window.
Plan makePlanByPosition(const model::ModelReader&, const Kernels&, bool keepPanels);

}  // namespace selfcompress::engine
