// Runs a model file in integers of 8 bits (docs/integer.md): arithmetic.h is the definition, an instruction set's
// kernels give the same codes.
#pragma once

#include <memory>
#include <mutex>

#include "engine/integer/layer.h"
#include "engine/integer/program.h"
#include "engine/parallel.h"

namespace selfcompress::engine::integer {

class Model {
 public:
  // Throws model::ModelFileError for bytes that are no whole model file, or one that integers do not cover. kernels:
  // nullptr for arithmetic.h alone.
  explicit Model(model::ByteSpan bytes, const model::Limits& = {}, const CodeKernels* kernels = chosenCodeKernels());

  // Of steps that kernels run the weights are gone: the layers have them.
  const Program& program() const { return program_; }
  const model::Metadata& metadata() const { return metadata_; }
  const char* isa() const { return kernels_ ? kernels_->isa : "scalar"; }
  std::size_t weightBytes() const;
  // Of one image under way.
  std::int64_t activationBytes() const { return scratchOffset() + scratch_; }

  // [channels][positions...] of one image -> [output elements], channels first, as codes.
  void run(const std::uint8_t* input, std::uint8_t* output, const Parallel& = {}) const;
  // The same of numbers: [count][input elements], normalised as in training -> [count][output elements].
  void predict(const float* images, std::size_t count, float* result, const Parallel& = {}) const;

 private:
  struct Arena {
    std::vector<std::uint8_t> memory, input, output;
  };
  void runStep(std::size_t s, Arena&, const Parallel&) const;
  void runIn(Arena&, const std::uint8_t* input, std::uint8_t* output, const Parallel&) const;
  std::unique_ptr<Arena> take() const;
  void giveBack(std::unique_ptr<Arena>) const;
  // Behind the codes, whatever their number: a layer's padded elements may have two bytes each.
  std::int64_t scratchOffset() const { return (program_.memory + 15) / 16 * 16; }

  Program program_;
  model::Metadata metadata_;
  const CodeKernels* kernels_;
  std::vector<std::unique_ptr<Layer>> layers_;  // of each step; nullptr: without kernels
  std::int64_t scratch_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Arena>> idle_;
};

}  // namespace selfcompress::engine::integer
