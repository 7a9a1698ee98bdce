// Which channels of an attention node belong to which head, and which of a rotary node to which pair.
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/attention.h"

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
AttentionGeometry attentionGeometry(const NodeContext&, const HeadLayout&);

// Channels by their place in the input; -1 as the second: not turned. Frequencies in radians for each position.
struct RotaryPairs {
  std::vector<std::int32_t> first, second;
  std::vector<float> frequency;
};
// Throws DescriptionError where one of a pair is missing.
RotaryPairs rotaryPairs(const NodeContext&);

}  // namespace selfcompress
