// What nodes that move channels and positions say about where elements come from.
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/layout.h"

namespace selfcompress {

// Of each output channel: a channel of the input, or -1: zeros.
using ChannelIndex = std::vector<std::int32_t>;
ChannelIndex gatheredChannels(const NodeContext&);
ChannelIndex shuffledChannels(const NodeContext&);
ChannelIndex paddedChannels(const NodeContext&);
ChannelIndex slicedChannels(const NodeContext&);

// Positions first, first + step, ... of an axis, `count` of them.
struct PositionSlice {
  std::array<int, 2> first, count, step;
  int span(std::size_t axis) const { return (count[axis] - 1) * step[axis] + 1; }
  bool strided() const { return step[0] > 1 || step[1] > 1; }
};
PositionSlice positionSlice(const NodeContext&);
PadGeometry padGeometry(const NodeContext&);

// The rearrangement of a node, in one direction or the other: with `inverse` from wide to deep.
DepthToSpace depthToSpace(const NodeContext&, bool inverse);

}  // namespace selfcompress
