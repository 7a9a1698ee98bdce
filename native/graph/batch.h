// From a data set in host memory to what the operations of a step read.
//
// A backend that reads host memory gets pointers into the data set. For the others the host gathers the images of the
// batch, with their labels or targets and the numbers of the step, into staging memory, and the backend copies them to
// the device beside the step that runs: two slots, used in turn.
#pragma once

#include <array>

#include "graph/data_set.h"
#include "graph/parts.h"
#include "program/device_memory.h"
#include "program/program.h"

namespace selfcompress {

// Numbers of a step, in device memory.
struct StepScalars {
  double step = 1;
  StepCounter counter;
  float learningRate = 0, bitDepthLearningRate = 0, exponentLearningRate = 0, gamma = 0;
  float clipScale = 1, gradientNorm = 0;
  double sumOfSquares = 0;
  LossResult losses[kMostParts];  // of each term (graph/losses.h)
};

// What an example of a batch is.
struct ExampleLayout {
  Shape shape;               // of an image, or of a row of tokens
  bool tokens = false;       // the example is `shape.pixels()` tokens
  std::int64_t targets = 0;  // values
  // Of every output that has them. In memory the labels of one output lie behind those of another, for `batchSize`
  // examples each.
  std::vector<int> labels;
  int labelCount() const;
};

class BatchInput {
 public:
  BatchInput(Backend&, DeviceMemory&, const ExampleLayout&, int batchSize);
  BatchInput(const BatchInput&) = delete;

  bool staged() const { return !backend_.readsHostMemory(); }
  // The images `indices` of `data`. If staged: on their way with `numbers`, which may be nullptr; operations may read
  // them after Backend::useStaged(slot). The former operations of the slot are done (Backend::waitFor). The addresses
  // depend on the slot and on whether the images are bytes, nothing else. `targets`, [count][values] in host memory
  // that stays until the operations have run: in place of those of `data`.
  BatchMemory put(int slot, const DataSet&, const std::int32_t* indices, int count, const StepScalars* numbers,
                  const float* targets = nullptr);
  // `count` rows of tokens, [count][positions] in host memory, for a prediction.
  BatchMemory putTokens(int slot, const std::int32_t* tokens, int count);

 private:
  // What is copied: numbers, labels, tokens, mean and 1/std in one piece, then targets, then images.
  struct Slot {
    std::byte *staging = nullptr, *device = nullptr;                                    // the first piece
    float *stagingTargets = nullptr, *targets = nullptr;                                // allocated when first needed
    std::byte *stagingImages[2] = {nullptr, nullptr}, *images[2] = {nullptr, nullptr};  // of bytes, of floats; the same
  };
  BatchMemory putDirectly(const DataSet&, const std::int32_t* indices, int count, const float* targets);
  void stageHead(int slot, const DataSet&, const std::int32_t* indices, int count, const StepScalars*);
  void stageImages(int slot, const DataSet&, const std::int32_t* indices, int count);
  // Labels and tokens of the batch, each of its rows into memory of the host.
  void gatherIntegers(const DataSet&, const std::int32_t* indices, int count, std::int32_t* labels,
                      std::int32_t* tokens) const;
  // The rows `indices` of `targets`.
  void stageTargets(int slot, const float* targets, const std::int32_t* indices, int count);

  Backend& backend_;
  DeviceMemory& device_;
  ExampleLayout layout_;
  int batchSize_;
  std::int32_t *indices_ = nullptr, *ascending_ = nullptr;  // the latter 0, 1, 2, ...; the same if staged
  std::vector<std::int32_t> hostAscending_;
  std::int32_t *labels_ = nullptr, *tokens_ = nullptr;                                   // not staged: of the batch
  std::vector<std::int32_t> hostLabels_, hostTokens_;                                    // the same, on the host
  std::size_t labelsAt_ = 0, tokensAt_ = 0, meanAt_ = 0, invStdAt_ = 0, headBytes_ = 0;  // offsets in the first piece
  std::array<Slot, kStagingSlots> slots_;
};

}  // namespace selfcompress
