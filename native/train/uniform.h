// Channels that are the same at every position of an example, though not the same in every example: those of tensors
// with a single position, and what operators make of them that make a constant of a constant.
#pragma once

#include "train/channel_values.h"

namespace selfcompress {

// Of the output of node i, from what is known of all tensors before it, and of its own constants.
std::vector<bool> uniformOf(const Topology&, const ChannelAnalysis&, int i, const ChannelValues&);

}  // namespace selfcompress
