// What entries of the table have in common.
#pragma once

#include "ops/op.h"

namespace selfcompress {

// Limits of fields, the same for every operator.
inline constexpr double kMostChannels = 1 << 24;
inline constexpr double kMostKernel = 1 << 14;  // kernel, stride, padding, dilation
inline constexpr int kMostInputs = 16;          // of a node that takes any number

// infer: the axes of the first input.
Axes sameAxes(const NodeContext&);
// channels: those of the first input, one for one.
ChannelRule sameChannels(const NodeContext&);

// A window of `kernel` positions at a time has to fit what it moves over. Throws DescriptionError.
void checkWindow(const NodeContext&, Shape in, std::array<int, 2> kernel, std::array<int, 2> padding,
                 std::array<int, 2> dilation, Shape out);

// An image's axes with other sizes: those of a convolution or a pooling, which see a sequence as one row.
Axes windowed(const NodeContext&, const Axes& in, Shape out);

}  // namespace selfcompress
