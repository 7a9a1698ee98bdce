// Runs a model file. Needs the file (model/), the table of operators for shapes and fields, and nothing of training.
#pragma once

#include <memory>
#include <vector>

#include "base/axes.h"
#include "engine/kernels.h"
#include "engine/parallel.h"
#include "model/reader.h"

namespace selfcompress::engine {

struct Options {
  model::Limits limits;
  // Most bytes of activations that one thread may need; a file that needs more is refused.
  std::uint64_t activationBytes = std::uint64_t(1) << 32;
  // true: a layer's weights, once used, stay unpacked as floats; false: they are unpacked anew in every run, and only
  // their codes stay.
  bool keepPanels = true;
};

struct Memory {
  std::size_t weightBytes = 0;      // codes in the bits of their depth, scales, biases
  std::size_t panelBytes = 0;       // weights unpacked so far
  std::size_t activationBytes = 0;  // of one thread at one image
};

// Of those that this binary holds and this processor runs: scalar first, the fastest last.
std::vector<const Kernels*> supportedKernels();
// The fastest, or the one that SELFCOMPRESS_ISA names. A name without kernels here (neon) runs the scalar text.
const Kernels& chosenKernels();

class Model {
 public:
  // Throws model::ModelFileError for bytes that are no whole model file, or one that the engine does not run.
  Model(model::ByteSpan bytes, const Options& options = {}, const Kernels& kernels = chosenKernels());
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const Axes& input() const;
  const Axes& output() const;
  const model::Metadata& metadata() const;
  const char* isa() const;
  int vocabulary() const;  // tokens that the network knows; 0: it reads numbers
  Memory memory() const;

  // images: [count][channels][positions...], normalised as in training -> [count][output elements], channels first.
  // Tokens are whole numbers; std::out_of_range for one that the network does not know. May be called by several
  // threads at a time. Results do not depend on the number of threads; an image's result may differ in its last bits
  // with the number of images that it is computed with.
  void predict(const float* images, std::size_t count, float* result, const Parallel& parallel = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace selfcompress::engine
