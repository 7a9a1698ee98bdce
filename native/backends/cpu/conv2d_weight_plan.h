// The weight gradient as it is planned once for a geometry and lists of live channels. Direct form: the plane of
// (output channels) x (streams), a stream being an input channel and a tap, is cut into register tiles. Winograd's
// form: see winograd_weight.cpp.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/conv2d_pass.h"

namespace selfcompress::cpu {

struct Stream {
  int channel, tap;
};

// Runs of a tuple of taps over a whole output plane, and where each block of rows starts in them.
struct Pattern {
  std::vector<WeightRun> runs;
  std::vector<int> rowBlock;  // first run of each block of rows, and the end
};

// One group: its live channels, its streams cut into chunks, and the pattern of each chunk.
struct GroupPlan {
  std::vector<int> outs;
  std::vector<Stream> streams;
  int perChunk = 1, tileOuts = 1;
  std::vector<Pattern> patterns;
  std::vector<int> patternOf;  // per chunk
  int chunks() const { return (int(streams.size()) + perChunk - 1) / perChunk; }
  int chunkSize(int chunk) const { return std::min(perChunk, int(streams.size()) - chunk * perChunk); }
  int outBlocks() const { return (int(outs.size()) + tileOuts - 1) / tileOuts; }
};

// A rectangle of tiles: output blocks [outBegin, outEnd) x chunks [chunkBegin, chunkEnd) of a group.
struct WeightTask {
  int group, outBegin, outEnd, chunkBegin, chunkEnd;
};

struct WeightPlan {
  Conv2dGeometry geometry;
  bool pairs = false;
  std::vector<int> ins, outs;  // live channels
  WinogradForm form;           // points == 0: the direct form
  bool depthwise = false;      // one plane at a time (depthwise.cpp)
  std::int64_t parts = 1;      // of the batch (direct form: blocks of images; else tiles), each with sums of its own
  // direct form
  std::vector<GroupPlan> groups;
  std::vector<WeightTask> tasks;
  // Winograd's form
  std::int64_t chunk = 0;            // tiles of a part that are in work at a time
  std::int64_t inWidth = 0;          // channels, padded to whole vectors
  std::vector<ProductBlock> blocks;  // of outputs

  std::int64_t inPoint() const { return chunk * rowsPerTile() * inWidth + kLanes; }
  std::int64_t gradPoint() const { return (chunk * std::int64_t(outs.size()) | 1) * rowsPerTile(); }
  std::int64_t sumFloats() const { return form.area() * std::int64_t(outs.size()) * inWidth; }  // of a part
  std::int64_t rowFloats() const { return form.area() * (inPoint() + gradPoint()); }
  int rowsPerTile() const { return pairs ? kLanes / 2 : kLanes; }  // a row holds one image, or two as bf16
};
// Parts of a batch in the direct form: only as many as their sums are cheap.
std::int64_t weightParts(const Conv2dGeometry&, int batch);
// Nanoseconds, about, of the products of so many vectors of every live input and output channel of a group.
inline double weightTime(const WeightPlan& plan, std::int64_t vectors) {
  return kVectorTime * double(plan.ins.size()) * double(plan.outs.size()) / plan.geometry.groups * double(vectors);
}
// `threads`: how many the tasks of the direct form are cut for.
WeightPlan makeWeightPlan(const Conv2dGeometry&, int batch, bool pairs, std::vector<int> liveIn,
                          std::vector<int> liveOut, const Kernels&, int threads);

// depthwise.cpp
bool isDepthwiseWeight(const Conv2dGeometry&);
void runDepthwiseWeight(const Conv2dGradWeight&, const WeightPlan&, const Kernels&);
// winograd_weight.cpp
WinogradForm bestWinogradWeight(const WeightPlan&);
void planWinogradWeight(WeightPlan&, int batch, const Kernels&);
// Returns whether it has written the bias's gradient as well.
bool runWinogradWeight(const Conv2dGradWeight&, const WeightPlan&, const Kernels&);
std::int64_t winogradWeightWorkspace(const Conv2dGeometry&);  // floats

}  // namespace selfcompress::cpu
