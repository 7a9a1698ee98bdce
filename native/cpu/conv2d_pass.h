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

  // Weight of a tap between absolute channels.
  const float* taps(int reducedChannel, int outChannel) const {
    int inPerGroup = geometry->inPerGroup(), area = geometry->kernelHeight * geometry->kernelWidth;
    int out = forward ? outChannel : reducedChannel, in = forward ? reducedChannel : outChannel;
    return weight + (std::int64_t(out) * inPerGroup + in % inPerGroup) * area;
  }
};

// Some output channels of one group that are worked on together, and where their panel starts.
struct OutBlock {
  int group;
  const int* channels;
  int count;
  float* panel;  // [reduced][taps][count]
};

// Every output channel in blocks of at most tileOuts; a panel has `taps` rows for each reduced channel.
std::vector<OutBlock> makeOutBlocks(const Pass&, int tileOuts, int taps);

// Winograd's minimal filtering (winograd.cpp): for square 3x3 and 5x5 kernels without stride, dilation or groups.
bool winogradPays(const Pass&);
void runWinograd(const Pass&, const Kernels&);
// Floats of workspace that it needs for a geometry; 0 if it is never used there.
std::int64_t winogradWorkspace(const Conv2dGeometry&);

// The same for the weight gradient (winograd_weight.cpp), with numbers of live channels.
bool winogradWeightPays(const Conv2dGeometry&, int liveIn, int liveOut);
void runWinogradWeight(const Conv2dGradWeight&, const std::vector<int>& liveIn, const std::vector<int>& liveOut,
                       const Kernels&);
std::int64_t winogradWeightWorkspace(const Conv2dGeometry&);
// Kernel sizes, strides and groups that Winograd's forms are made for.
bool winogradFits(const Conv2dGeometry&);

}  // namespace selfcompress::cpu
