// Several inputs as one tensor, and several outputs: parts behind one another. Where all parts have the same positions
// the whole has them as well, and the channels of all parts; else the whole is a vector of all their elements, channels
// first. Either way a part is a run of the whole's channels.
#pragma once

#include <string>
#include <vector>

#include "graph/description.h"

namespace selfcompress {

inline constexpr std::size_t kMostParts = 16;

// Channels first .. first + count - 1 of the whole.
struct ChannelRun {
  int first = 0, count = 0;
};

// Of every part. Throws DescriptionError, which names `where` ("network.inputs"): names that are no text or not unique,
// parts that do not make up the whole.
std::vector<ChannelRun> runsOfParts(const std::vector<TensorPart>&, const Axes& whole, const std::string& where);

}  // namespace selfcompress
