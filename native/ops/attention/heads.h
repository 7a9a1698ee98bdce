// Which channels of an attention node belong to which head.
#pragma once

#include "ops/op.h"

namespace selfcompress {

// Heads lie one after the other in each tensor. `size` and `valueSize` are of each key head; the heads that share it
// have the same.
struct HeadLayout {
  int heads = 1, keyHeads = 1;
  std::vector<int> size, valueSize;
  std::vector<std::int32_t> queryFirst, outputFirst, keyFirst, valueFirst;
  int queryChannels = 0, keyChannels = 0, valueChannels = 0, outputChannels = 0;
  double scale = 1;
  int sharing() const { return heads / keyHeads; }
};

inline constexpr double kMostAttentionChannels = 1 << 24;

// Throws DescriptionError where fields and inputs do not fit.
HeadLayout headLayout(const NodeContext&);

}  // namespace selfcompress
