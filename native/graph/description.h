// A network as data: what binding.d.ts calls NetworkDescription and NetworkOptions, already of the right types.
#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "selfcompress/ops/activation.h"
#include "selfcompress/ops/optimizer.h"
#include "selfcompress/ops/pooling.h"

namespace selfcompress {

// A description that cannot be a network. The message names the node and has the form of every error of the library:
// "Expected <what> for <argument> but received <value>".
class DescriptionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class NodeKind {
  kConv2d,
  kLinear,
  kBatchNorm,
  kActivation,
  kPool,
  kGlobalAveragePool,
  kFlatten,
  kAdd,
  kConcat,
  kDropout
};

// One node; only the fields of its kind mean something. Pairs are {height, width}.
struct NodeDescription {
  NodeKind kind = NodeKind::kFlatten;
  std::string name;
  std::vector<std::string> inputs;

  int outChannels = 0;                                                           // conv2d, linear
  std::array<int, 2> kernel{1, 1}, stride{1, 1}, padding{0, 0}, dilation{1, 1};  // conv2d, pool
  int groups = 1;
  bool bias = true, compress = true;

  bool affine = true;  // batchNorm
  float epsilon = 1e-5f, momentum = 0.1f;

  Activation activation = Activation::kRelu;
  Pool pool = Pool::kMax;
  bool countIncludePad = true;
  float probability = 0;  // dropout
};

struct NetworkDescription {
  Shape input;
  std::vector<NodeDescription> nodes;  // inputs before their readers
  std::string output;
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

enum class Loss { kCrossEntropy, kMeanSquaredError };

struct NetworkOptions {
  Loss loss = Loss::kCrossEntropy;
  float labelSmoothing = 0;
  OptimizerDescription optimizer;
  bool coupledPenalty = false;
  double originalWeights = 0;  // N of the penalty; 0: the weights of this network
  int batchSize = 1;
  float deadDecay = 0.05f;
  bool shareMemory = true;  // false: every buffer has memory of its own, to test the sharing
  bool recordSteps = true;  // false: every operation is queued anew, to test the recording
};

inline constexpr const char* kInputName = "input";

}  // namespace selfcompress
