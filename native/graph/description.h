// A network as data: what binding.d.ts calls NetworkDescription and NetworkOptions, already of the right types.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/node.h"
#include "selfcompress/ops/optimizer.h"

namespace selfcompress {

// A part of the input or of the output with a name of its own: several inputs lie behind one another in one tensor,
// and so do several outputs (graph/parts.h).
struct TensorPart {
  std::string name;
  Axes axes;
  bool operator==(const TensorPart&) const = default;
};

struct NetworkDescription {
  Axes input;
  std::vector<NodeDescription> nodes;  // inputs before their readers
  std::string output;
  std::vector<TensorPart> inputs = {}, outputs = {};  // empty: one, without a name
};

struct OptimizerDescription {
  Optimizer kind = Optimizer::kAdam;
  float momentum = 0.9f;
  bool nesterov = true;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float weightDecay = 0;
  float quantizerEpsilon = 1e-3f;
  float maxGradientNorm = 0;  // 0: off
  bool keepRange = false;  // train (bitDepth, exponent + bitDepth) in place of (bitDepth, exponent): see RangeGradients
  int moments() const { return kind == Optimizer::kSgd ? 1 : 2; }
};

// ops/quantize.h, ops/rate.h
enum class SizePenalty { kOwn, kCoupled, kRate };

// All but the first compare every element of the prediction with a target (ops/loss.h).
enum class Loss { kCrossEntropy, kMeanSquaredError, kBinaryCrossEntropy, kAbsolute, kHuber };

// What is different for one layer.
struct LayerRule {
  std::string name;                    // of the node
  bool frozen = false;                 // its parameters do not change
  float leastBits = 0, mostBits = 24;  // of its channels; above 0: none of them dies
  int multipleOf = 1;                  // so many of its channels leave that the rest is a multiple, or none
};

// What a prediction is compared by.
struct LossOptions {
  Loss loss = Loss::kCrossEntropy;
  float labelSmoothing = 0;
  bool perPosition =
      false;  // of cross-entropy: a label for each position of the prediction, whose channels are the classes
  std::vector<float> classWeights;  // of cross-entropy: [classes]; empty: all 1
  float huberDelta = 1;
};

// The loss of one of several outputs, times `weight` in their sum.
struct OutputLoss : LossOptions {
  std::string output;  // its name
  float weight = 1;
};

// A teacher's outputs are learned beside the labels (SoftCrossEntropy in ops/loss.h).
struct Distillation {
  float weight = 1, temperature = 1;
};

struct NetworkOptions : LossOptions {  // the loss of the whole prediction, where `outputs` is empty
  std::vector<OutputLoss> outputs;     // one for each of the network's outputs, in any order
  std::optional<Distillation>
      distillation;  // of cross-entropy, every step then has a teacher; losses are all of that kind
  OptimizerDescription optimizer;
  SizePenalty penalty = SizePenalty::kOwn;
  float coupling = 1;           // of kRate: what keeping a channel costs (ops/rate.h)
  float idleSteps = 1;          // of kRate: a channel whose codes were zero in so many steps gets b = 0
  bool layerExponents = false;  // one exponent for a layer: its channels' gradients of e are their sum
  double originalWeights = 0;   // N of the penalty; 0: the weights of this network
  int batchSize = 1;
  float deadDecay = 0.05f;
  float ema = 0;  // above 0: averages of all parameters with this decay (AverageParameters) are evaluated and exported
  std::vector<LayerRule> layers;  // those that have one
  bool fuseActivations = true;    // false: every activation is an operation of its own, to test the fusions
  bool shareMemory = true;        // false: every buffer has memory of its own, to test the sharing
  bool recordSteps = true;        // false: every operation is queued anew, to test the recording
};

inline constexpr const char* kInputName = "input";

}  // namespace selfcompress
