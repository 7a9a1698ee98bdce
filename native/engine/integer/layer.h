// A convolution or linear layer of integers, its weights in the order in which an instruction set's kernels read them.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/integer/kernels.h"
#include "engine/integer/program.h"
#include "engine/parallel.h"

namespace selfcompress::engine::integer {

// This binary's and this processor's, the fastest last; nullptr: arithmetic.h alone.
std::vector<const CodeKernels*> supportedCodeKernels();
// The fastest, or what the environment's SELFCOMPRESS_ISA asks for. Throws EnvironmentError.
const CodeKernels* chosenCodeKernels();

class Layer {
 public:
  // kernels: not nullptr. `step` is a kConv and outlives the layer, but for its weights.
  Layer(const Step& step, const CodeKernels&);

  // False where the border makes the image so large that it is better read where it lies: nothing else may be called
  // then.
  static bool covers(const sc_conv&);

  // Bytes of weights and of what belongs to channels.
  std::size_t bytes() const;
  // Bytes that a run needs beside input and output, at an address that 16 divides.
  std::int64_t scratchBytes() const;
  void run(const std::uint8_t* input, std::uint8_t* output, std::uint8_t* scratch, const Parallel&) const;

 private:
  void setGeometry();
  void setRuns();
  void pack(const Step&);
  void setRescaling(const Step&);
  void runRow(const std::uint8_t* elements, std::uint8_t* output, int row, int pixels) const;

  const sc_conv c_;
  const CodeKernels& kernels_;
  bool depthwise_ = false;
  int paddedHeight_ = 0, paddedWidth_ = 0;
  int elementBytes_ = 1;
  std::vector<std::int64_t> runs_;  // of a group's first channel, in elements
  int runLength_ = 0, runGroups_ = 0;
  std::int64_t groupPanel_ = 0;     // elements of a group's panel
  std::int64_t groupChannels_ = 0;  // output channels of a group, padded
  std::vector<std::uint8_t> panel_;
  std::vector<std::int32_t> start_, multiplier_, shift_;
  bool anyShift_ = false;
};

}  // namespace selfcompress::engine::integer
