// A network compiled for one backend and batch size: parameters, the plan of a step, and its execution.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>

#include "graph/channel_analysis.h"
#include "graph/emitter.h"
#include "program/recorded_steps.h"
#include "train/prune.h"

namespace selfcompress {

struct StepSettings {
  double step = 1;  // counted from 1
  std::uint64_t seed = 0;
  float gamma = 0, learningRate = 0, bitDepthLearningRate = 0, exponentLearningRate = 0;
  Augmentation augmentation;
};

// Of one of several outputs, without its weight in the sum of their losses.
struct OutputResult {
  double loss = 0, weight = 0;  // as of StepResult
  std::int64_t correct = 0, count = 0, topFive = 0;
};

struct StepResult {
  double loss = 0;  // mean over the batch, without the penalty
  double weight =
      0;  // what the mean was taken over: images, or positions that count, times the weights of their classes
  std::int64_t correct = 0, count = 0;  // of images, or positions that count
  double bitsPerWeight = 0;             // Q
  double gradientNorm = 0;
  std::vector<OutputResult> outputs;  // of several, in their order
};

struct EvaluationResult {
  double loss = 0;
  std::int64_t correct = 0, count = 0, topFive = 0;  // the latter per position alone
  std::vector<OutputResult> outputs;                 // of several, in their order
};

struct MemoryReport {
  std::size_t parameterBytes = 0, activationBytes = 0, activationBytesUnshared = 0;
};

// What a removal took away, by layer with weights.
struct Removed {
  struct Layer {
    std::string name;
    int removed = 0;
    std::vector<int> kept;  // former output channels that are left, in order
  };
  std::vector<Layer> layers;
};

// A layer with weights, as it is now. A weight counts while its output channel lives and the input that it reads does.
struct LayerSize {
  int node = 0;
  int channels = 0;           // live output channels
  std::int64_t weights = 0;   // live
  double bits = 0;            // whole; of the integer codes of these weights, a plain weight takes 32; NaN: a b or e is
  std::vector<int> codeBits;  // of every output channel; 0: dead, -1: its b or e is no number
};

// What a batch has to be; stays the same when channels are removed.
struct BatchRules {
  Axes input;
  int vocabulary = 0;         // tokens are below it
  std::int64_t features = 0;  // of the prediction
  std::vector<LossTerm> terms;
};
BatchRules batchRulesOf(const NetworkDescription&, const Topology&, const NetworkOptions&);
// Throws DescriptionError when a network cannot be trained or evaluated on these images of this data set.
void checkBatch(const BatchRules&, const DataSet&, const std::int32_t* indices, std::size_t count);

// Throws DescriptionError when images cannot be changed so: colour needs 1 or 3 channels, and what mixes them labels of
// whole examples, which are mixed alike, or a teacher.
void checkAugmentation(const BatchRules&, const DataSet&, const Augmentation&, bool hasTeacher);

// More channels than this in all of a network's tensors are refused: the analysis of channels takes up to half a
// kilobyte for each.
constexpr std::int64_t kMostChannelsInAll = std::int64_t(1) << 22;
// All that can be wrong with what a network is made of, found without making it: throws DescriptionError.
Topology checkNetwork(const Backend&, const NetworkDescription&, const NetworkOptions&);
// Where its parameters will be, without their memory.
std::unique_ptr<Parameters> layoutOf(const NetworkDescription&, const Topology&, const NetworkOptions&);

// Not thread-safe: one call at a time. Indices are those of images in the data set, checked by `checkBatch`.
class Network {
 public:
  // Throws DescriptionError, or std::bad_alloc when the memory cannot be had. Parameters start at zero.
  Network(std::shared_ptr<Backend>, const NetworkDescription&, const NetworkOptions&);
  ~Network();  // waits for steps that were begun

  std::string backendName() const { return backend_->name(); }
  const NetworkDescription& description() const { return description_; }
  const Topology& topology() const { return topology_; }
  const Parameters& parameters() const { return *parameters_; }
  int batchSize() const { return options_.batchSize; }
  MemoryReport memory() const;
  const Program& trainingProgram() const { return train_.program; }
  const Program& evaluationProgram() const { return evaluate_.program; }

  const NetworkOptions& options() const { return options_; }
  BatchRules batchRules() const { return batchRulesOf(description_, topology_, options_); }

  State state() const;
  // What is evaluated, without optimizer moments: the averages of the parameters, where there are some.
  State parameterState() const;
  // Names and lengths are checked first: an unknown one is a DescriptionError, and nothing is changed. A parameter
  // whose average is not given is its own average from then on.
  void loadState(const State&);
  void loadState(const StateView&);

  // Removes the dead channels of a network, without a change of its function: what comes back is compiled anew for the
  // same backend. nullopt: there was nothing to remove, and the network is as it was.
  static std::optional<Removed> prune(std::unique_ptr<Network>&);
  std::vector<LayerSize> measure() const;

  // `teacher`: its outputs for the same images, augmented in the same way, are the targets in
  // place of those of the data (Hinton et al. 2015), for losses that compare with targets.
  StepResult trainStep(const DataSet&, const std::int32_t* indices, int count, const StepSettings&,
                       Network* teacher = nullptr);
  // The same in two halves, so that a device need not wait for the host: a step may be begun before the result of the
  // one before was taken, up to kStagingSlots of them. Until the last result is taken nothing else may be called.
  void beginStep(const DataSet&, const std::int32_t* indices, int count, const StepSettings&,
                 Network* teacher = nullptr);
  StepResult finishStep();                                // of the earliest step begun; throws what went wrong in it
  bool stepsOverlap() const { return input_->staged(); }  // whether beginning early gains anything
  std::int64_t replayedSteps() const { return recordings_->replays(); }

  EvaluationResult evaluate(const DataSet&, const std::int32_t* indices, std::size_t count);
  // images: [count][C][H][W], normalised -> [count][features]
  std::vector<float> predict(const float* images, std::size_t count);
  // tokens: [count][positions]
  std::vector<float> predict(const std::int32_t* tokens, std::size_t count);
  // Outputs in evaluation for images that are augmented as in a step of these settings: [count][features], kept until
  // the next call.
  const std::vector<float>& outputs(const DataSet&, const std::int32_t* indices, int count, const StepSettings&);
  // Gradients of loss + gamma * Q by parameter name; nothing is updated.
  std::map<std::string, std::vector<float>> gradients(const DataSet&, const std::int32_t* indices, int count,
                                                      const StepSettings&);

 private:
  struct Plan {
    Program program;
    BufferId image = kNoBuffer, output = kNoBuffer, plain = kNoBuffer;  // plain: NCHW copies on the way in and out
  };
  void compileTraining();
  void compileEvaluation();
  EmitterInput emitterInput(const Parameters&);
  const Parameters& evaluated() const { return averages_ ? *averages_ : *parameters_; }
  BatchMemory putBatch(int slot, const DataSet&, const std::int32_t* indices, int count, const StepSettings&,
                       const float* targets = nullptr);
  StepResult resultOf(const StepScalars&, int examples) const;
  State download(const Parameters&, bool weights) const;  // all of them, or all but weights
  std::vector<float> predictBatches(std::size_t count,
                                    const std::function<BatchMemory(std::size_t first, int batch)>& put);
  int nextSlot() { return slot_ = (slot_ + 1) % kStagingSlots; }
  void requireIdle() const;
  void settle() noexcept;  // waits for whatever is queued

  std::shared_ptr<Backend> backend_;
  NetworkDescription description_;
  NetworkOptions options_;
  Topology topology_;
  std::vector<LossTerm> terms_;
  std::vector<NodePlan> plans_;
  DeviceMemory device_;
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<Parameters> averages_;  // of parameters_, where options say so
  std::unique_ptr<ChannelAnalysis> channels_;
  StepScalars* scalars_ = nullptr;
  float* layerBits_ = nullptr;  // [nodes], behind the scalars
  std::size_t parameterBytes_ = 0, resultBytes_ = 0;
  Plan train_, evaluate_;
  std::byte* arena_ = nullptr;
  std::unique_ptr<BatchInput> input_;
  std::array<std::byte*, kStagingSlots> results_{};  // staging memory: scalars and layer bits of each slot's step
  std::unique_ptr<RecordedSteps> recordings_;
  std::vector<float> outputs_;                 // of a teacher
  int slot_ = kStagingSlots - 1;               // used last
  std::array<int, kStagingSlots> examples_{};  // of each slot's step
  std::array<int, kStagingSlots> inFlight_{};  // slots of steps whose result was not taken yet, the earliest first
  std::size_t inFlightCount_ = 0;
};

}  // namespace selfcompress
