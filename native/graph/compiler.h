// From a checked graph to programs: the forward and backward pass of a training step, its update, and evaluation.
//
// What the compiler decides, once: which ReLUs are fused into the operation before them, where gradients can be written
// in place, which buffers live when. What changes from step to step (rates, gamma, which channels are dead) lies in
// device memory that the calls read.
#pragma once

#include "graph/batch.h"
#include "graph/parameters.h"
#include "graph/shapes.h"

namespace selfcompress {

// What is known of the channels of one tensor, in device memory; refreshed at the start of a program.
struct ChannelInfo {
  std::int32_t* state = nullptr;  // ChannelState
  ChannelList notZero, live;
};

class Compiler {
 public:
  enum class Mode { kTrain, kEvaluate };
  Compiler(const NetworkDescription&, const NetworkOptions&, const Topology&, const Parameters&, Backend&,
           DeviceMemory&, StepScalars* scalars, float* layerBits, Program&, Mode);

  // Appended to the program in this order; each may be run on its own.
  void compileStates();  // states and lists of channels from the bit depths; in training also the size penalty
  void compileInput();   // gathers the batch
  void compileForward();
  void compileLoss();  // in training with its gradient
  void compileBackward();
  void compileUpdate();  // optimizer, clamps, decay of what is left of dead channels

  BufferId inputBuffer() const { return tensors_[0].value; }
  BufferId outputBuffer() const { return tensors_[std::size_t(topology_.output)].value; }

 private:
  struct Tensor {
    BufferId value = kNoBuffer, gradient = kNoBuffer;
    BufferId statistics = kNoBuffer;  // moments of the channels, where the operation before takes them for a norm
    ChannelInfo channels;
    bool needsGradient = false;
  };
  // Where an operation writes a gradient; `sum` is where it has to be added afterwards, if not kNoBuffer.
  struct GradientTarget {
    BufferId write = kNoBuffer, sum = kNoBuffer;
  };

  const NodeDescription& node(int i) const { return network_.nodes[std::size_t(i)]; }
  int inputOf(int i, int k = 0) const { return topology_.inputs[std::size_t(i)][std::size_t(k)]; }
  Tensor& tensor(int t) { return tensors_[std::size_t(t)]; }
  Shape shape(int t) const { return topology_.shapes[std::size_t(t)]; }
  int uses(int t) const { return int(topology_.readers[std::size_t(t)].size()) + (t == topology_.output); }
  std::int64_t elements(int t) const { return laneElements(shape(t), options_.batchSize); }
  bool training() const { return mode_ == Mode::kTrain; }

  bool isRelu(int i) const { return node(i).kind == NodeKind::kActivation && node(i).activation == Activation::kRelu; }
  bool isFusedRelu(int i) const;  // applied by the operation before it
  bool appliesRelu(int i) const;  // node i applies the ReLU after it
  bool feedsNorm(int t) const;    // a batch norm reads t, or what a fused ReLU makes of it
  bool readerMasks(int t) const;  // t comes out of a ReLU and its one reader multiplies its gradient by (t > 0)

  ChannelInfo newChannels(int count);
  void listChannels(const ChannelInfo&, int count);
  ChannelInfo featuresOf(
      int t);  // the pixels of its channels, one after the other, as a fully connected layer reads them
  void stateOf(int i);
  void penaltyOf(int i);
  std::vector<BitPenaltyConsumer> consumersOf(int t, int featuresPerChannel) const;
  bool reachesOutput(int t) const;  // without another weight layer between

  void forwardOf(int i);
  void forwardWeightLayer(int i);
  void forwardBatchNorm(int i);
  void backwardOf(int i);
  void backwardWeightLayer(int i);
  void backwardBatchNorm(int i);
  void backwardActivation(int i);
  void backwardAdd(int i);
  void backwardConcat(int i);
  void updateOf(const Parameter&);

  // inPlace: the gradient of the node's output, if the operation may overwrite it with that of its input.
  GradientTarget gradientTarget(int t, BufferId inPlace);
  void finish(const GradientTarget&, int t);
  void copyGradient(int t, BufferId from);  // adds `from`, of t's shape, to the gradient of t

  const NetworkDescription& network_;
  const NetworkOptions& options_;
  const Topology& topology_;
  const Parameters& parameters_;
  Backend& backend_;
  DeviceMemory& device_;
  StepScalars* scalars_;
  float* layerBits_;
  Program& program_;
  Mode mode_;
  double originalWeights_ = 0;
  std::vector<Tensor> tensors_;
  std::vector<BufferId> quantized_;  // of every node: its quantized weights, if convolutions do not quantize
  std::vector<float*> penalty_;      // of every node: gamma * dQ/db
  std::vector<ChannelInfo> inputs_;  // of every weight layer: what it reads, as channels of its geometry
  std::vector<float*> saved_;        // of every batch norm: mean and 1/std of the batch
};

}  // namespace selfcompress
