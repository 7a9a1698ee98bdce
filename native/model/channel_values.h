// Bit depths and exponents of a tensor's channels, coded together with an adaptive range coder: few values differ.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "model/range_coder.h"

namespace selfcompress::model {

// Bits of the smallest two's complement number that holds every code of [low, high]; 0 where both are 0.
inline int depthOf(std::int32_t low, std::int32_t high) {
  if (low == 0 && high == 0) return 0;
  const int below = low < 0 ? std::bit_width(std::uint32_t(~low)) : 0;
  const int above = high > 0 ? std::bit_width(std::uint32_t(high)) : 0;
  return 1 + std::max(below, above);
}

// Depths 0 to 32, each as "the same as the one before" or six bits of a tree; the first follows a 0.
template <class Coder>
void codeDepths(Coder& coder, std::span<std::uint8_t> depths) {
  Adaptive same;
  std::array<Adaptive, 64> tree;
  std::uint8_t previous = 0;
  for (std::uint8_t& depth : depths) {
    if (coder.bit(same, depth == previous)) {
      depth = previous;
      continue;
    }
    std::size_t node = 1;
    for (int i = 5; i >= 0; i--) node = node << 1 | std::size_t(coder.bit(tree[node], depth >> i & 1));
    depth = std::uint8_t(node & 63);
    if (depth > 32) fail("bit depths of at most 32", "a channel", int(depth));
    previous = depth;
  }
}

inline constexpr int kRawExponents = 7;
inline constexpr std::int32_t kMaxGridExponent = 1 << 22;

// The smallest s <= 6 with every exponent a multiple of 2^-s, exactly; kRawExponents where there is none.
template <class Live>
int exponentGrid(std::span<const float> exponents, Live live) {
  for (int s = 0; s < kRawExponents; s++) {
    bool fits = true;
    for (std::size_t c = 0; c < exponents.size() && fits; c++) {
      if (!live(c)) continue;
      const float scaled = exponents[c] * float(1 << s);
      fits = std::fabs(scaled) < float(kMaxGridExponent) && scaled == std::floor(scaled) &&
             !(scaled == 0 && std::signbit(scaled));
    }
    if (fits) return s;
  }
  return kRawExponents;
}

// Exponents of the channels c with live(c), exactly; those of the others become 0. Three plain bits with s; then for
// each but the first whether it is the one before; else on a grid the difference in steps of 2^-s, and raw the float's
// sign and exponent through a tree of nine bits, its fraction plainly.
template <class Coder, class Live>
void codeExponents(Coder& coder, std::span<float> exponents, Live live) {
  const int grid = int(
      codePlain(coder, Coder::kDecodes ? 0u : std::uint32_t(exponentGrid(std::span<const float>(exponents), live)), 3));
  Adaptive same;
  AdaptiveNumber difference;
  std::vector<Adaptive> tree(grid == kRawExponents ? 512 : 0);
  bool first = true;
  std::int64_t step = 0;
  float previous = 0;
  for (std::size_t c = 0; c < exponents.size(); c++) {
    float& exponent = exponents[c];
    if (!live(c)) {
      exponent = 0;
      continue;
    }
    const bool equal = std::bit_cast<std::uint32_t>(exponent) == std::bit_cast<std::uint32_t>(previous);
    if (!first && coder.bit(same, equal)) {
      exponent = previous;
      continue;
    }
    first = false;
    if (grid < kRawExponents) {
      const std::int64_t wanted = Coder::kDecodes ? step : std::int64_t(exponent * float(1 << grid));
      step += difference.codeSigned(coder, std::int32_t(wanted - step));
      if (step <= -kMaxGridExponent || step >= kMaxGridExponent) fail("exponents below 2^22", "a channel", step);
      exponent = float(step) / float(1 << grid);
    } else {
      const auto bits = std::bit_cast<std::uint32_t>(exponent);
      std::uint32_t node = 1;
      for (int i = 31; i >= 23; i--) node = node << 1 | std::uint32_t(coder.bit(tree[node], int(bits >> i & 1)));
      exponent = std::bit_cast<float>((node & 511) << 23 | codePlain(coder, bits, 23));
    }
    previous = exponent;
  }
}

}  // namespace selfcompress::model
