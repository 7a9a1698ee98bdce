// An operator: one entry of the table (ops/table.h) that says everything that the rest of the program asks of it.
//
// Parsing, argument checks, shape inference, parameters, states of channels, size penalty, decay, removal, checkpoints
// and the model file read these entries; nobody else knows which operators there are.
#pragma once

#include <map>

#include "ops/channels.h"
#include "ops/node.h"
#include "selfcompress/ops/norm.h"

namespace selfcompress {

class Emitter;  // graph/emitter.h

enum class FieldType { kInteger, kNumber, kBoolean, kPair, kChoice, kList };

struct FieldSpec {
  const char* name;
  FieldType type;
  double low = 0, high = 0;  // of integers, numbers, both members of a pair, integers of a list; inclusive
  // Default; none: the field is required, unless `like` is given. Of a list: whatever it is, the empty list.
  std::optional<double> otherwise = {};
  const char* like = nullptr;             // default: the value of this earlier field
  std::vector<const char*> choices = {};  // kChoice
};

// One axis of a parameter, and what removal does to it.
struct ParameterAxis {
  enum class Of { kOutput, kInput, kOther } of = Of::kOther;
  std::int64_t size = 1;
  int blocks = 1;  // the channels so many times, one after the other
};

struct ParameterSpec {
  Role role;
  const char* suffix;  // the parameter's name is `<node>.<suffix>`
  std::vector<ParameterAxis> axes;
  bool trained = true;  // has a gradient and optimizer moments
  // The value that `toFile` leaves in every element: a model file does not store it.
  std::optional<float> inFiles = {};
};

// What a pass over the network may join to this operator (graph/fuse.h).
struct FusionTraits {
  bool relu = false;  // may apply the ReLU behind it to its own result
  bool isRelu = false;
  bool masks = false;         // its backward may multiply by (input > 0), in place of the ReLU before it
  bool activates = false;     // may be, forward and backward, one with the activation behind it
  bool givesMoments = false;  // may take the moments of its result on the way
  bool wantsMoments = false;  // reads them
  bool alias = false;         // its output is its input's bytes
  bool aliasInEvaluation = false;
};

// Channels that are left after a removal, ascending.
struct Kept {
  std::vector<std::span<const int>> inputs;
  std::span<const int> output;
};

// What is left of a node after a removal.
struct Resized {
  int channels = 0, channelsBefore = 0;  // of the output
  int groups = 1;
};

// What only training, removal and export ask of an operator. A program that runs model files alone (the one for
// browsers) drops it, and with it the code behind it.
#if defined(SELFCOMPRESS_INFERENCE_ONLY)
struct Dropped {
  Dropped(std::nullptr_t) {}
  template <class Function>
  [[gnu::always_inline]] Dropped& operator=(const Function&) {  // else the function would be an argument, and stay
    return *this;
  }
};
template <class Function>
using InTraining = Dropped;
#else
template <class Function>
using InTraining = Function;
#endif

struct Operator {
  const char* kind;
  int leastInputs = 1, mostInputs = 1;
  std::vector<FieldSpec> fields;
  FusionTraits fusion;
  bool isWeightLayer = false;  // its weights count for the size; it may compress them
  // It reads tokens, the rows of a table whose number is its field `vocabulary`, and nothing else; all others read
  // floats. kEither: of its input only the axes.
  enum class Reads { kFloats, kTokens, kEither } reads = Reads::kFloats;

  // Of its last input, which is a table of tokens, it takes the weights, not the values.
  bool takesWeights = false;

  // Axes of the output; throws DescriptionError.
  Axes (*infer)(const NodeContext&) = nullptr;
  // nullptr: none. Axes of NodeContext are complete.
  std::vector<ParameterSpec> (*parameters)(const NodeContext&) = nullptr;
  InTraining<ChannelRule (*)(const NodeContext&)> channels = nullptr;
  // What a channel of the output is when channel `channel` of every input is a constant (kMap: of the one it is made
  // of, or all channels that the operator mixes, where all of them are constant; kFresh: each channel that it
  // reads); nullopt: not a constant. nullptr: the same constant (kMap), their sum or
  // their product; what the weights make of them (kFresh).
  InTraining<MaybeConstant (*)(const NodeContext&, const NodeValues&, int channel, std::span<const Constant> inputs)>
      constant = nullptr;
  // Writes the sizes that are left into the fields, after a removal. nullptr: no field depends on them.
  InTraining<void (*)(NodeDescription&, const Resized&)> resize = nullptr;
  // The same for fields that name channels of the inputs; the context is that of before. nullptr: there are none.
  InTraining<void (*)(NodeDescription&, const NodeContext& before, const Kept&)> keep = nullptr;
  // Before a model file is written: puts what evaluation makes of the node's parameters into as few of them as
  // possible. The function in evaluation stays the same. nullptr: as they are.
  InTraining<void (*)(NodeDescription&, std::map<Role, std::vector<float>>& values)> toFile = nullptr;
  // What an operator that `activates` does in its place. nullptr, or kNone: nothing.
  InTraining<AppliedActivation (*)(const NodeDescription&)> applied = nullptr;
  // Appends the node's operations to the program.
  InTraining<void (*)(Emitter&, int node)> forward = nullptr;
  InTraining<void (*)(Emitter&, int node)> backward = nullptr;
};

}  // namespace selfcompress
