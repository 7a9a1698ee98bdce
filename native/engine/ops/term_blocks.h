// Pieces of the sums of a layer whose weights stay packed: few enough weights to be unpacked into the first cache.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace selfcompress::engine {

// Terms of a sum that are unpacked at a time, for at most 16 output channels.
inline constexpr std::int64_t kBlockTerms = 128;
inline constexpr std::int64_t kBlockFloats = 16 * kBlockTerms;

// Inputs [firstInput, + inputs) at the places [firstPlace, + places) of the kernel: in the file, where a channel's
// weights are [inputs][places], they follow one another.
struct TermBlock {
  std::int64_t firstInput = 0, inputs = 0, firstPlace = 0, places = 0;
  std::int64_t terms() const { return inputs * places; }
};

inline std::vector<TermBlock> termBlocks(std::int64_t inputs, std::int64_t places) {
  std::vector<TermBlock> blocks;
  const std::int64_t perBlock = std::max<std::int64_t>(1, kBlockTerms / places);
  for (std::int64_t i = 0; i < inputs; i += perBlock)
    for (std::int64_t p = 0; p < places; p += kBlockTerms)
      blocks.push_back({i, std::min(perBlock, inputs - i), p, std::min(kBlockTerms, places - p)});
  return blocks;
}

}  // namespace selfcompress::engine
