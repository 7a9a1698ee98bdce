// What the engine knows of an operator: one entry of its own table (table.cpp), by the kind of the table of operators.
// Adding one is a file in ops/ and a line in table.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/layout.h"
#include "engine/kernels.h"
#include "engine/parallel.h"
#include "model/reader.h"
#include "ops/op.h"

namespace selfcompress::engine {

// One image in Layout::kNhwc, or kLanes of them in Layout::kLanes.
inline constexpr int kBlock = kLanes;

// See EpilogueView. All have one value per output channel, or none.
struct Epilogue {
  std::vector<float> bias, scale, shift;
  bool sum = false;  // + the step's last input
  bool relu = false, lastRelu = false;
};

struct Run {
  Layout layout;
  const Kernels& kernels;
  const Parallel& parallel;
  std::span<const float* const> inputs;
  float* output;
  float* scratch;  // Step::scratchFloats of them
  // Of one position of a window that comes after those before it (Preparation::window): its place, and what the step
  // keeps from one to the next, Step::stateFloats that are zero before the first.
  int position = 0;
  float* state = nullptr;
};

class Step {
 public:
  virtual ~Step() = default;
  virtual void run(const Run&) const = 0;
  virtual std::int64_t scratchFloats(Layout) const { return 0; }
  virtual std::int64_t stateFloats() const { return 0; }
  virtual std::size_t weightBytes() const { return 0; }
  virtual std::size_t panelBytes() const { return 0; }  // made so far
  // About how many multiplications of vectors a block takes, for the choice of a layout; 0: not worth counting.
  virtual double cost(Layout, const Kernels&) const { return 0; }
};

// The tensors of one node.
class Tensors {
 public:
  Tensors(const model::ModelReader& reader, int node, std::vector<ParameterSpec> specs);
  std::vector<float> floats(Role) const;  // none: empty
  const ParameterSpec* find(Role) const;
  const model::ModelReader& reader() const { return reader_; }
  std::size_t index(Role) const;  // in the file's table

 private:
  const model::ModelReader& reader_;
  int node_;
  std::vector<ParameterSpec> specs_;
};

struct Preparation {
  const NodeContext& context;
  const Tensors& tensors;
  const Kernels& kernels;
  bool keepPanels;                    // weights stay unpacked once they have been
  const std::vector<float>& factors;  // of the weights, per output channel; empty: 1
  Epilogue epilogue;
  // 0: the step makes all positions at once. Else it makes one position after another of a window of so many, and the
  // axes of its context have one; only where the operator is `byPosition`.
  int window = 0;
  const Tensors* shared = nullptr;  // of the node whose weights it takes (Operator::takesWeights)
};

struct EngineOperator {
  const char* kind;
  std::unique_ptr<Step> (*prepare)(const Preparation&) = nullptr;  // nullptr: an alias of its input
  // Of the nodes behind it: a ReLU; what is affine, too; a sum with another value as well.
  enum class Takes { kNothing, kRelu, kAffine, kSum } takes = Takes::kNothing;
  bool isRelu = false;
  bool isSum = false;  // of two values, where their axes are the same
  // Of one that multiplies and shifts channels: its factors, so that a layer before it can do it.
  void (*affine)(const Tensors&, std::vector<float>& scale, std::vector<float>& shift) = nullptr;
  bool flattens = false;  // makes a vector of any shape
  // Whether a node reads any shape as a vector, so that nothing has to be flattened for it. nullptr: never.
  bool (*readsVector)(const NodeDescription&) = nullptr;
  // Whether no position of the output depends on a later one of the inputs, and steps can make one after another.
  // nullptr: never.
  bool (*byPosition)(const NodeDescription&) = nullptr;
};

// An operator that always is `byPosition`.
inline EngineOperator everyPosition(EngineOperator e) {
  e.byPosition = [](const NodeDescription&) { return true; };
  return e;
}

// nullptr: the engine has never heard of it.
const EngineOperator* findEngineOperator(std::string_view kind);
const std::vector<const EngineOperator*>& engineOperators();

}  // namespace selfcompress::engine
