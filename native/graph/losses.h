// What the loss of a network is a sum of: a term for each of its outputs, or one for the whole prediction.
#pragma once

#include "graph/infer.h"
#include "graph/parts.h"

namespace selfcompress {

struct LossTerm {
  LossOptions options;
  float weight = 1;
  ChannelRun run;               // of the prediction's channels
  bool whole = true;            // all of them: nothing has to be taken apart
  Shape shape;                  // of the part as its loss sees it: with `perPosition` classes at every position
  int classes = 0, labels = 0;  // of cross-entropy, and labels of an example
  std::int64_t features = 0;    // targets of an example, of the other losses; with distillation the teacher's outputs
  std::optional<Distillation> distillation;  // of cross-entropy
  int firstLabel = 0;                        // where its labels begin among those of an example
  std::int64_t firstTarget = 0;              // the same of its targets
  bool isCrossEntropy() const { return options.loss == Loss::kCrossEntropy; }
};

// Throws DescriptionError for outputs without a loss, or losses of what is no output.
std::vector<LossTerm> lossTerms(const NetworkDescription&, const Topology&, const NetworkOptions&);

// Labels of an example for all terms together; the same of targets, those that a teacher makes among them.
int labelCount(const std::vector<LossTerm>&);
std::int64_t targetCount(const std::vector<LossTerm>&);
// Whether all targets are a teacher's, in training alone.
bool distills(const std::vector<LossTerm>&);

}  // namespace selfcompress
