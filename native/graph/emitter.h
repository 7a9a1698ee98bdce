// From a checked graph to programs: what the operators' emitters (ops/*/) write with. It knows buffers, gradients and
// the states of channels; what an operator computes, its entry in the table knows.
//
// Decided once: which epilogues are fused (fuse.h), where gradients can be written in place, which buffers live when.
// What changes from step to step (rates, gamma, which channels are dead) lies in device memory that operations read.
#pragma once

#include <utility>

#include "graph/batch.h"
#include "graph/fuse.h"
#include "graph/losses.h"
#include "graph/parameters.h"
#include "program/program.h"

namespace selfcompress {

// What is known of the channels of one tensor, in device memory; refreshed at the start of a program.
struct ChannelInfo {
  std::int32_t* state = nullptr;  // ChannelState
  ChannelList notZero, live;
};

// What a program is compiled from.
struct EmitterInput {
  const NetworkDescription& network;
  const NetworkOptions& options;
  const Topology& topology;
  const std::vector<NodePlan>& plans;
  const Parameters& parameters;
  Backend& backend;
  DeviceMemory& device;
  StepScalars* scalars;
};

class Emitter {
 public:
  enum class Mode { kTrain, kEvaluate };
  Emitter(const EmitterInput&, Program&, Mode);

  bool training() const { return mode_ == Mode::kTrain; }
  Backend& backend() const { return in_.backend; }
  Program& program() { return program_; }
  const Parameters& parameters() const { return in_.parameters; }
  StepScalars* scalars() const { return in_.scalars; }
  DeviceMemory& device() const { return in_.device; }
  // Device memory with these values, for as long as the network lives.
  template <class T>
  T* constant(const std::vector<T>& values) {
    T* memory = in_.device.allocate<T>(values.empty() ? 1 : values.size());
    if (!values.empty()) in_.backend.upload(memory, values.data(), values.size() * sizeof(T));
    return memory;
  }
  int batchSize() const { return in_.options.batchSize; }

  const NodeDescription& node(int i) const { return in_.network.nodes[std::size_t(i)]; }
  const NodePlan& plan(int i) const { return in_.plans[std::size_t(i)]; }
  NodeContext context(int i) const { return in_.topology.context(in_.network, i); }
  int inputCount(int i) const { return int(in_.topology.inputs[std::size_t(i)].size()); }
  int input(int i, int k = 0) const { return in_.topology.inputs[std::size_t(i)][std::size_t(k)]; }
  static int output(int i) { return i + 1; }
  Shape shape(int t) const { return in_.topology.shapes[std::size_t(t)]; }

  // ---- Values. An operator's forward gives its output a value: a new buffer, or another tensor's.
  BufferId value(int t) const { return tensors_[std::size_t(t)].value; }
  BufferId newValue(int t) { return tensors_[std::size_t(t)].value = program_.floats(elements(t)); }
  void aliasValue(int t, int of);  // the same bytes, and the same moments
  ChannelInfo& channels(int t) { return tensors_[std::size_t(t)].channels; }
  const std::int32_t* state(int t) const { return tensors_[std::size_t(t)].channels.state; }
  // The channels that a layer of weights reads of its input, as channels of its geometry (a linear layer behind an
  // image reads every position).
  const ChannelInfo& readChannels(int i) const { return reads_[std::size_t(i)]; }
  // Moments of a tensor's channels, which its producer takes where the plan says so. kNoBuffer: not taken.
  BufferId statistics(int t) const { return tensors_[std::size_t(t)].statistics; }
  void setStatistics(int t, BufferId buffer) { tensors_[std::size_t(t)].statistics = buffer; }

  // Of a layer over time: kZero for all rows of a unit that is always zero; and what is known of the candidates, by
  // unit: not kLive where nothing but a constant is left of them.
  struct RecurrentStates {
    const std::int32_t *rows = nullptr, *candidates = nullptr;
  };
  RecurrentStates recurrentStates(int i) const { return recurrentStates_[std::size_t(i)]; }

  // Buffers and device memory that a node's forward leaves to its backward.
  BufferId& kept(int i, int which = 0) { return kept_[std::size_t(i)][std::size_t(which)]; }
  float*& saved(int i) { return saved_[std::size_t(i)]; }
  // gamma * dQ/db of a layer's channels, or nullptr (train/penalty.h)
  const float* penalty(int i) const { return penalty_[std::size_t(i)]; }
  void setPenalty(int i, const float* penalty) { penalty_[std::size_t(i)] = penalty; }
  // With the penalty `rate`: what a layer's quantizer reads, and its rows' counts of this step (train/penalty.h).
  struct LayerRate {
    QuantizeRate slopes;
    const RateCount* rows = nullptr;
  };
  LayerRate& rate(int i) { return rate_[std::size_t(i)]; }

  // ---- Gradients. That of a tensor is written by the last of its readers in forward order, the others add to it.
  bool needsGradient(int t) const { return tensors_[std::size_t(t)].needsGradient; }
  BufferId gradient(int t) const { return tensors_[std::size_t(t)].gradient; }
  // Where an operation writes a gradient; `sum` is where `finish` adds it, if not kNoBuffer.
  struct GradientTarget {
    BufferId write = kNoBuffer, sum = kNoBuffer;
  };
  // inPlace: the gradient of the node's output, if the operation may overwrite it with that of its input.
  GradientTarget gradientTarget(int t, BufferId inPlace);
  void finish(const GradientTarget&, int t);
  // For operations that can add to what is there: the buffer, and whether to add.
  BufferId accumulated(int t, bool& accumulate);
  // The gradient of t is that of the node's output, in place if nobody else reads t.
  void passGradient(int t, BufferId from);
  void copyGradient(int t, BufferId from);  // adds `from`, of t's shape, to the gradient of t
  void takeGradient(int t, BufferId from) { tensors_[std::size_t(t)].gradient = from; }
  // Whether somebody has written the gradient of a node's weights already, to which its own is added.
  bool beginWeightGradient(int i) { return std::exchange(weightGradients_[std::size_t(i)], std::uint8_t(1)) != 0; }
  bool readOnce(int t) const { return uses(t) == 1; }

  // ---- The sections of a program, in this order.
  void emitStates();  // states and lists of channels from the bit depths
  void emitInput();   // gathers the batch
  void emitForward();
  void emitLoss();  // in training with its gradient
  void emitBackward();

 private:
  struct Tensor {
    BufferId value = kNoBuffer, gradient = kNoBuffer, statistics = kNoBuffer;
    ChannelInfo channels;
    bool needsGradient = false;
  };
  int uses(int t) const { return int(in_.topology.readers[std::size_t(t)].size()) + (t == in_.topology.output); }
  std::int64_t elements(int t) const { return laneElements(shape(t), batchSize()); }
  ChannelInfo newChannels(int count);
  void listChannels(int node, const ChannelInfo&, int count);
  void stateOf(int i);
  void freshState(int i, const ChannelRule&);
  void recurrentState(int i, const ChannelRule&);
  void mappedState(int i, const ChannelRule&);
  void joinedState(int i, const ChannelRule&);
  void tiedState(int i, const ChannelRule&);
  void clearOutput();
  void emitTerm(const LossTerm&, BufferId targets, std::int64_t features, BufferId gradient, LossResult*);
  // Training alone smooths labels: evaluation says what the labels themselves cost, so that runs compare.
  float smoothing(const LossTerm& term) const { return training() ? term.options.labelSmoothing : 0; }
  // The batch has the labels of one term behind those of another (graph/batch.h).
  std::size_t labelsBefore(const LossTerm& term) const {
    return std::size_t(term.firstLabel) * std::size_t(batchSize());
  }
  void compareLabels(const LossTerm&, BufferId output, BufferId gradient, LossResult*);
  void comparePositions(const LossTerm&, BufferId output, BufferId gradient, LossResult*);
  void compareElements(const LossTerm&, BufferId output, BufferId target, BufferId gradient, LossResult*);
  void distill(const LossTerm&, BufferId output, BufferId target, BufferId gradient, LossResult*);
  BufferId gatherTargets(std::int64_t features);
  BufferId takeChannels(Shape whole, BufferId from, int first, int count);

  EmitterInput in_;
  Program& program_;
  Mode mode_;
  std::vector<Tensor> tensors_;
  std::vector<std::array<BufferId, 2>> kept_;
  std::vector<float*> saved_;
  std::vector<const float*> penalty_;
  std::vector<LayerRate> rate_;
  std::vector<ChannelInfo> reads_;
  std::vector<RecurrentStates> recurrentStates_;
  std::vector<std::uint8_t> weightGradients_;  // of every node: begun
};

}  // namespace selfcompress
