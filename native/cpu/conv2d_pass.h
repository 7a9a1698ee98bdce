// Forward convolution and data gradient as one pass: both are a sum over reduced channels and taps. Forward reduces
// input channels; the data gradient reduces output channels, with the panel transposed.
#pragma once

#include <vector>

#include "cpu/conv2d_axis.h"
#include "cpu/kernels.h"

namespace selfcompress::cpu {

// A pass in terms of source (read) and target (written) tensors; "reduced" channels are summed over.
struct Pass {
  const Conv2dGeometry* geometry;
  bool forward;
  Shape source, target;
  int batch;
  Axis rows, columns;
  std::vector<std::vector<int>> reduced, outs;  // live channels per group, absolute
  const float *sourceData, *weight, *bias = nullptr, *mask = nullptr;
  float* targetData;
  float* panels;
  bool relu = false, accumulate = false;
  bool pairs = false;  // bf16 products, where the form has them (PairKernels)

  // Weight of a tap between absolute channels.
  const float* taps(int reducedChannel, int outChannel) const {
    int inPerGroup = geometry->inPerGroup(), area = geometry->kernelHeight * geometry->kernelWidth;
    int out = forward ? outChannel : reducedChannel, in = forward ? reducedChannel : outChannel;
    return weight + (std::int64_t(out) * inPerGroup + in % inPerGroup) * area;
  }
};

// Planes from the channel at `index` of a list to the next one; 0 at the end of the list.
inline std::int64_t planesAhead(const std::vector<int>& channels, std::size_t index) {
  return index + 1 < channels.size() ? channels[index + 1] - channels[index] : 0;
}

// Some output channels of one group that are worked on together, and where their panel starts.
struct OutBlock {
  int group;
  const int* channels;
  int count;
  float* panel;  // [reduced][taps][count]
};

// Every output channel in blocks of at most tileOuts; a panel has `taps` rows for each reduced channel (or pair of
// them).
std::vector<OutBlock> makeOutBlocks(const Pass&, int tileOuts, int taps, bool pairs);

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

// Forward and data gradient (winograd.cpp).
WinogradForm bestWinograd(const Pass&);
void runWinograd(const Pass&, WinogradForm, const Kernels&);
std::int64_t winogradWorkspace(const Conv2dGeometry&);  // floats
// Weight gradient (winograd_weight.cpp), for numbers of live channels.
WinogradForm bestWinogradWeight(const Conv2dGeometry&, int liveIn, int liveOut, bool pairs);
void runWinogradWeight(const Conv2dGradWeight&, WinogradForm, const std::vector<int>& liveIn,
                       const std::vector<int>& liveOut, const Kernels&, bool pairs);
std::int64_t winogradWeightWorkspace(const Conv2dGeometry&);  // floats

}  // namespace selfcompress::cpu
