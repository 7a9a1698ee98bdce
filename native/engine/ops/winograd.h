// A convolution of blocks of 16 images by Winograd's minimal filtering (isa/winograd.inc): some tiles at a time, their
// inputs to points, channels multiplied at each point, back to outputs.
#pragma once

#include "engine/weights.h"
#include "selfcompress/ops/conv2d.h"

namespace selfcompress::engine {

class Winograd {
 public:
  // Whether the geometry has such a form that takes less time than direct sums.
  static bool isWorth(const Conv2dGeometry&, const Kernels&);
  Winograd(const Conv2dGeometry&, const Kernels&);

  // About how many multiplications of vectors of 16 floats a block takes.
  static double costOf(const Conv2dGeometry&, const Kernels&);

  std::int64_t panelFloats() const { return area_ * g_.inChannels * g_.outChannels; }
  // Floats that makePanel needs beside the panel.
  std::int64_t rowFloats() const { return blockChannels_ * taps_ * g_.inChannels; }
  // panel: [points][blocks of output channels][input channels][channels of the block]
  void makePanel(const Weights&, const Kernels&, float* panel, float* rows) const;

  std::int64_t scratchFloats() const { return area_ * (sourceStride() + targetStride()); }
  // scratch: of the calling thread; others have memory of their own.
  void run(const Run&, const float* panel, float* scratch, const EpilogueView&) const;

 private:
  // Floats from one point to the next: an odd number of vectors, since the points of a channel would otherwise compete
  // for the same few sets of the first-level cache.
  std::int64_t sourceStride() const { return (std::int64_t(g_.inChannels) * perTask_ | 1) * kBlock; }
  std::int64_t targetStride() const { return (std::int64_t(g_.outChannels) * perTask_ | 1) * kBlock; }
  float* targetIn(float* scratch) const { return scratch + area_ * sourceStride(); }

  TileRange rangeOf(int first, int count) const;
  void transformInput(const Run&, const TileRange&, std::int64_t channel, float* source) const;
  void multiplyPoint(const Run&, std::int64_t point, int count, const float* panel, float* scratch) const;
  void transformOutput(const Run&, const TileRange&, std::int64_t channel, float* scratch, const EpilogueView&) const;
  void runTiles(const Run&, const float* panel, float* scratch, const EpilogueView&, int first, int last) const;
  void runPhases(const Run&, const float* panel, float* scratch, const EpilogueView&) const;

  Conv2dGeometry g_;
  TileRange form_;
  int tiles_, perTask_, group_, blockChannels_;
  std::int64_t area_, taps_;
};

}  // namespace selfcompress::engine
