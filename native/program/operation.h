// One operation of a program as data: the arguments of a backend's operation, and which of its pointers are still to be
// filled in: with the place of a buffer in the arena once the memory plan is made, or with the batch of a step.
#pragma once

#include <cstring>
#include <variant>
#include <vector>

#include "program/memory_plan.h"
#include "selfcompress/backend.h"

namespace selfcompress {

// What a step brings with it: where the operations find the batch, the data set itself or a copy on the device
// (graph/batch.h).
struct BatchMemory {
  const std::uint8_t* bytes = nullptr;    // images, or
  const float* floats = nullptr;          // images
  const std::int32_t* indices = nullptr;  // device memory, [batch]: which of these images
  const std::int32_t* labels = nullptr;   // device memory, [batch][labels of an example]: of the batch
  const std::int32_t* tokens = nullptr;   // device memory, [batch][positions]: of the batch
  const float* targets = nullptr;
  const std::int32_t* targetIndices = nullptr;  // device memory, [batch]: which of these targets
  const float *mean = nullptr, *invStd = nullptr;
  const void* numbers = nullptr;  // device memory: StepScalars that came with the batch, or nullptr
};

enum class BatchPart { kBytes, kFloats, kIndices, kLabels, kTargets, kMean, kInvStd, kTokens, kTargetIndices };
const void* partOf(const BatchMemory&, BatchPart);
const char* batchPartName(BatchPart);

// std::monostate stands first so that the list of operations can follow with a comma before each.
#define SELFCOMPRESS_ALTERNATIVE(Operation) , Operation
using OperationArgs = std::variant<std::monostate SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_ALTERNATIVE)>;
#undef SELFCOMPRESS_ALTERNATIVE

const char* operationName(const OperationArgs&);

struct Operation {
  struct Pointer {
    std::size_t offset = 0;  // in the arguments
    BufferId buffer = kNoBuffer;
  };
  struct BatchPointer {
    std::size_t offset = 0;
    BatchPart part = BatchPart::kBytes;
    std::size_t shift = 0;  // bytes behind its beginning
  };
  OperationArgs args;
  int node = -1;  // of the network, or -1
  std::vector<Pointer> pointers;
  std::vector<BatchPointer> batch;
};

// Where a field lies in its arguments.
template <class Args, class Field>
std::size_t offsetOf(Field Args::*field) {
  static const Args sample{};
  return std::size_t(reinterpret_cast<const std::byte*>(&(sample.*field)) -
                     reinterpret_cast<const std::byte*>(&sample));
}

}  // namespace selfcompress
