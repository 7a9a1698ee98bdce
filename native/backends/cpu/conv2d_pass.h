// Forward convolution and data gradient as one pass: both are a sum over reduced channels and taps. Forward reduces
// input channels; the data gradient reduces output channels, with the panel transposed.
//
// What does not change from step to step, for a geometry and lists of live channels, is planned once (conv2d_plans.h):
// the step itself allocates nothing.
#pragma once

#include <vector>

#include "cpu/conv2d_axis.h"
#include "cpu/kernels.h"

namespace selfcompress::cpu {

// Planes from the channel at `index` of a list to the next one; 0 at the end of the list.
inline std::int64_t planesAhead(const std::vector<int>& channels, std::size_t index) {
  return index + 1 < channels.size() ? channels[index + 1] - channels[index] : 0;
}

// Winograd's minimal filtering F(outputs, taps) with points = outputs + taps - 1 on each axis. points == 0: none.
struct WinogradForm {
  int points = 0, outputs = 0;
  int area() const { return points * points; }
  int rows(Shape tiled) const { return (tiled.height + outputs - 1) / outputs; }
  int columns(Shape tiled) const { return (tiled.width + outputs - 1) / outputs; }
  // Tiles that cover a block of images of this shape.
  std::int64_t tiles(Shape tiled) const { return std::int64_t(rows(tiled)) * columns(tiled); }
  // Where tile number `index` of the `tiled` tensor lies in a tensor of `shape`, padded by padH and padW.
  WinogradTile tile(std::int64_t index, Shape tiled, Shape shape, int padH, int padW) const {
    int inBlock = int(index % tiles(tiled)), across = columns(tiled);
    return {index / tiles(tiled) * shape.elements() * kLanes, inBlock / across * outputs - padH,
            inBlock % across * outputs - padW};
  }
};
// Forms for a geometry: square 3x3 and 5x5 kernels without stride, dilation or groups.
std::vector<WinogradForm> winogradForms(const Conv2dGeometry&);
// Tiles of a task over so many source and target channels: at most kMostTiles, and more of them for fewer channels.
inline constexpr int kMostTiles = 12, kMostTileRows = 4;
int winogradTilesPerTask(const WinogradForm&, std::int64_t channels);

// Some output channels of one group that are worked on together, and where their panel starts.
struct OutBlock {
  int group;
  const int* channels;
  int count;
  std::int64_t panel;  // floats from the first panel; [terms][taps][count]
};

// Entry lists of one group for every pair (row class, column class), ordered by reduced channel and then tap.
struct GroupEntries {
  std::vector<std::vector<ConvEntry>> byClass;
};

// A pass in terms of source (read) and target (written) tensors; "reduced" channels are summed over.
struct PassPlan {
  Conv2dGeometry geometry;
  bool forward = true;
  bool pairs = false;  // bf16 products, where the form has them (PairKernels)
  Shape source, target;
  std::vector<std::vector<int>> reduced, outs;  // live channels per group, absolute
  WinogradForm form;                            // points == 0: the direct form
  bool depthwise = false;                       // one plane at a time (depthwise.cpp)
  std::vector<OutBlock> blocks;
  int tilesPerTask = 0;  // Winograd's form: tiles that are transformed together
  std::vector<ProductBlock> productBlocks;
  Axis rows, columns;                 // direct form
  std::vector<GroupEntries> entries;  // direct form, of each group
  GroupEntries gathered;              // the same of lines that a task has put one after the other

  // Terms that a Winograd product of the first group adds up: source channels, or pairs of them.
  int terms() const {
    int channels = int(reduced[0].size());
    return pairs && form.points ? (channels + 1) / 2 : channels;
  }
  // Of the longest list of entries, in the direct form.
  int mostEntries() const {
    std::size_t most = 0;
    for (const std::vector<int>& channels : reduced) most = std::max(most, channels.size());
    return int(most) * geometry.kernelHeight * geometry.kernelWidth;
  }
};
PassPlan makePassPlan(const Conv2dGeometry&, bool forward, bool pairs, const std::vector<int>& liveIn,
                      const std::vector<int>& liveOut, const Kernels&);
// winograd.cpp: the form with the least work; the rest of the plan, once the form is chosen.
WinogradForm bestWinograd(const PassPlan&);
void planWinograd(PassPlan&);

// The taps of a filter without the first ones.
inline WeightSource tapsFrom(int first, const WeightSource& filter) {
  return {filter.weight ? filter.weight + first : nullptr, filter.quantizer};
}

// Nanoseconds, about, of multiplying and adding one vector of 16 floats.
inline constexpr double kVectorTime = 0.4;
// Nanoseconds, about, that a pass takes for so many vectors of every reduced and every target channel of a group:
// positions times taps.
inline double passTime(const PassPlan& plan, std::int64_t vectors) {
  double products = 0;
  for (std::size_t group = 0; group < plan.reduced.size(); group++)
    products += double(plan.reduced[group].size()) * double(plan.outs[group].size());
  return kVectorTime * products * double(vectors);
}

struct PassWeights {
  const float* weight;
  const float* end;                            // of all weights of the layer
  std::int64_t inPerGroup, area;               // input channels of a group, taps
  const float* bitDepth = nullptr;             // nullptr: the weights are taken as they are
  const QuantizeChannel* constants = nullptr;  // of every output channel that is not dead
};

struct Pass {
  const PassPlan& plan;
  int batch;
  const float* sourceData;
  PassWeights weights;
  const float *bias = nullptr, *mask = nullptr;
  float* targetData;
  float* panels;
  bool relu = false, accumulate = false;
  PartialMoments* partials = nullptr;  // [partitionsOf(plan, batch)][target channels], or nullptr
  bool past = false;                   // past_caches.h, but for parts of long sums, which are parked in the target

  // The taps between an absolute reduced channel and channel number `o` of a block; those between the next ones follow.
  WeightSource filter(const OutBlock& block, int reducedChannel, int o) const {
    int out = plan.forward ? block.channels[o] : reducedChannel, in = plan.forward ? reducedChannel : block.channels[o];
    std::int64_t first = (out - block.group) * weights.inPerGroup + in;
    const float* taps = weights.weight + first * weights.area;
    if (!weights.bitDepth) return {taps, nullptr};
    return {isDead(weights.bitDepth[out]) ? nullptr : taps, weights.constants + out};
  }
};
void packPanels(const Pass&, const Kernels&);  // direct form

// Rows of the target in bands of so many, numbered over all blocks of images; the last band of a block may have fewer.
struct RowBands {
  int height, rows;
  int inBlock() const { return (height + rows - 1) / rows; }
  // First row of a band, numbered over all blocks as well.
  std::int64_t row(std::int64_t band) const { return band / inBlock() * height + band % inBlock() * rows; }
};

bool isDepthwise(const Conv2dGeometry&, bool forward);
void runDepthwise(const Pass&, const Kernels&);
void runWinograd(const Pass&, const Kernels&);
std::int64_t winogradWorkspace(const Conv2dGeometry&);  // floats

// ---- Conv2dForward::statistics (conv2d_statistics.cpp): moments of the parts of the target, each taken by the task
// that has just written the part, which is still in the caches. A part is never shared by two tasks and does not depend
// on the number of threads: a task of Winograd's form, a band of rows of the direct one, a piece of a plane (moments.h)
// of the depthwise one.
std::int64_t partitionsOf(const PassPlan&, int batch);
PartialMoments* partialsOf(const Conv2dForward&);
int momentRows(Shape target);  // of a band
// Of the part `partition` of a channel: some runs of its planes.
void takeMoments(const Pass&, const Kernels&, std::int64_t partition, int channel, const MomentRun*, int count);
// Of some channels and bands.
void takeBandMoments(const Pass&, const Kernels&, const OutBlock&, const RowBands&, std::int64_t first,
                     std::int64_t last);
// Of one plane of a block of images.
void takePlaneMoments(const Pass&, const Kernels&, std::int64_t images, int channel);
void combineMoments(const Pass&, ChannelMoments*);

}  // namespace selfcompress::cpu
