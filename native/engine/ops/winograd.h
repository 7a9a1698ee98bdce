// A convolution by Winograd's minimal filtering (isa/winograd.inc): some tiles at a time, their inputs to points,
// channels multiplied at each point, back to outputs. Of blocks of 16 images, a channel at a time, or of one image,
// whose tiles are at each point what pixels are to a convolution of one place.
#pragma once

#include "engine/weights.h"
#include "selfcompress/ops/conv2d.h"

namespace selfcompress::engine {

// Bytes of the second-level cache that a thread may count on.
constexpr double kSecondCache = 1 << 19;
// Multiplications of vectors that take as long as reading so many weights, which are beyond that cache.
double readCost(double weights, const Kernels&);

class Winograd {
 public:
  // Whether the geometry has such a form that takes less time than direct sums.
  static bool isWorth(const Conv2dGeometry&, const Kernels&, Layout);
  Winograd(const Conv2dGeometry&, const Kernels&, Layout);

  // About how many multiplications of vectors it takes, of 16 floats for a block.
  double cost() const { return cost_; }

  std::int64_t panelFloats() const { return area_ * pointFloats(); }
  // Floats that makePanel needs beside the panel.
  std::int64_t rowFloats() const { return blockChannels_ * taps_ * g_.inChannels; }
  // panel: [points][blocks of output channels][input channels][channels of the block]
  void makePanel(const Weights&, const Kernels&, float* panel, float* rows) const;

  std::int64_t scratchFloats() const { return area_ * (sourceStride() + targetStride()); }
  // scratch: of the calling thread; others have memory of their own.
  void run(const Run&, const float* panel, float* scratch, const EpilogueView&) const;

 private:
  // Blocks of output channels [first, last), of one image; those of blocks of images are not shared so.
  struct Share {
    int first, last;
  };

  bool blocks() const { return layout_ == Layout::kLanes; }
  std::int64_t pointFloats() const { return std::int64_t(g_.inChannels) * outFloats_; }
  // Floats from one point to the next: an odd number of vectors, since the points of a channel would otherwise compete
  // for the same few sets of the first-level cache.
  std::int64_t sourceStride() const { return strideOf(inFloats_); }
  std::int64_t targetStride() const { return strideOf(outFloats_); }
  std::int64_t strideOf(std::int64_t channels) const {
    return ((channels * perTask_ * imagesOf(layout_) + kBlock - 1) / kBlock | 1) * kBlock;
  }
  float* targetIn(float* scratch) const { return scratch + area_ * sourceStride(); }

  TileRange rangeOf(int first, int count, int channels) const;
  // Of one channel of a block, or of tile first + i of an image.
  void transformInput(const Run&, int first, int count, std::int64_t i, float* source) const;
  void multiplyPoint(const Run&, std::int64_t point, int count, const float* panel, float* scratch, Share) const;
  void transformOutput(const Run&, int first, int count, std::int64_t i, float* scratch, const EpilogueView&,
                       Share) const;
  void runTiles(const Run&, const float* panel, float* scratch, const EpilogueView&, int first, int last, Share) const;
  template <class Each>
  void runTask(const Run&, const float* panel, float* scratch, const EpilogueView&, int first, int count, Share,
               Each) const;

  Conv2dGeometry g_;
  Layout layout_;
  TileRange form_;
  double cost_;
  // group_: tiles that tileProducts takes at a time; of one image, those of a task, so that what a tile is summed with
  // does not depend on the threads.
  int tiles_, perTask_, group_, blockChannels_;
  std::int64_t area_, taps_;
  std::int64_t inFloats_, outFloats_;  // of a tile at a point: channels of one image are whole vectors
};

}  // namespace selfcompress::engine
