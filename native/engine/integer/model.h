// Runs a model file in integers of 8 bits (docs/integer.md): the scalar kernels, which are the definition.
#pragma once

#include "engine/integer/program.h"
#include "engine/parallel.h"

namespace selfcompress::engine::integer {

class Model {
 public:
  // Throws model::ModelFileError for bytes that are no whole model file, or one that integers do not cover.
  explicit Model(model::ByteSpan bytes, const model::Limits& = {});

  const Program& program() const { return program_; }
  const model::Metadata& metadata() const { return metadata_; }

  // [channels][positions...] of one image -> [output elements], channels first, as codes.
  void run(const std::uint8_t* input, std::uint8_t* output) const;
  // The same of numbers: [count][input elements], normalised as in training -> [count][output elements].
  void predict(const float* images, std::size_t count, float* result, const Parallel& parallel = {}) const;

 private:
  Program program_;
  model::Metadata metadata_;
};

}  // namespace selfcompress::engine::integer
