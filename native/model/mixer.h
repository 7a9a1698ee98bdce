// Mixing of probabilities in the logistic domain: the sum of weighted log odds, with weights that learn by gradient
// descent on the length of the code (M. Mahoney, "Adaptive Weighing of Context Models for Lossless Data Compression",
// 2005). Whole numbers only, so that every machine decodes what any machine has written.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/table_at_start.h"
#include "model/range_coder.h"

namespace selfcompress::model {

// 2^16 / (1 + exp(-(64 i - 2048) / 240)), rounded: the logistic function at every 64th of the 4096 log odds.
inline constexpr std::array<std::uint32_t, 65> kLogisticKnots = {
    13,    17,    22,    29,    37,    49,    64,    83,    109,   142,   185,   241,   315,
    411,   535,   697,   907,   1179,  1531,  1984,  2567,  3312,  4258,  5451,  6940,  8777,
    11009, 13671, 16780, 20318, 24231, 28425, 32768, 37111, 41305, 45218, 48756, 51865, 54527,
    56759, 58596, 60085, 61278, 62224, 62969, 63552, 64005, 64357, 64629, 64839, 65001, 65125,
    65221, 65295, 65351, 65394, 65427, 65453, 65472, 65487, 65499, 65507, 65514, 65519, 65523};

// squash(x): the probability (of 2^16) of log odds x / 240, x from -2048 to 2047, on straight lines between the knots.
inline SELFCOMPRESS_TABLE auto kSquash = tableOf([] {
  std::array<std::uint16_t, 4096> table{};
  for (std::uint32_t i = 0; i < 4096; i++) {
    const std::uint32_t knot = i >> 6, part = i & 63;
    table[i] = std::uint16_t((kLogisticKnots[knot] * (64 - part) + kLogisticKnots[knot + 1] * part) >> 6);
  }
  return table;
});
inline std::uint32_t squash(std::int32_t x) { return kSquash[std::size_t(std::clamp(x, -2048, 2047) + 2048)]; }

// stretch(p): the least x with squash(x) >= 16 floor(p / 16) + 8, 2047 where there is none.
inline SELFCOMPRESS_TABLE auto kStretch = tableOf([] {
  std::array<std::int16_t, 4096> table{};
  std::int32_t x = -2048;
  for (std::uint32_t i = 0; i < 4096; i++) {
    while (x < 2047 && kSquash[std::size_t(x + 2048)] < 16 * i + 8) x++;
    table[i] = std::int16_t(x);
  }
  return table;
});
inline std::int32_t stretch(std::uint32_t p16) { return kStretch[p16 >> 4]; }

// One weight per input in 1 / 2^16.
template <std::size_t Inputs>
struct MixerWeights {
  std::array<std::int32_t, Inputs> w;
  explicit MixerWeights(std::int32_t each = 65536 / std::int32_t(Inputs)) { w.fill(each); }
};

// Whether what is coded leaves the model as it was: never, but for coders that say so.
template <class Coder>
inline bool learnsNothing(const Coder& coder) {
  if constexpr (requires { coder.learnsNothing; }) return coder.learnsNothing;
  else return false;
}

// Codes one bit whose probability is p = squash(sum of w[i] * inputs[i] / 2^16), and moves the weights by
// inputs[i] * ((bit - p) * rate / 2^4) / 2^16, p and bit of 2^16, both divisions rounded down after half was added to
// the second. Weights stay within 16 of 0. They stay as they are while a coder asks for a price alone (squeeze.cpp).
template <std::size_t Inputs, class Coder>
inline int codeMixed(Coder& coder, MixerWeights<Inputs>& weights, const std::array<std::int32_t, Inputs>& inputs,
                     int bit, std::int32_t rate) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < Inputs; i++) sum += std::int64_t(weights.w[i]) * inputs[i];
  const std::uint32_t p = squash(std::int32_t(std::clamp<std::int64_t>(sum >> 16, -2048, 2047)));
  bit = coder.raw(clampProbability(p), bit);
  if (learnsNothing(coder)) return bit;
  const std::int32_t error = ((bit << 16) - std::int32_t(p)) * rate >> 4;
  for (std::size_t i = 0; i < Inputs; i++)
    weights.w[i] = std::clamp(weights.w[i] + ((inputs[i] * error + (1 << 15)) >> 16), -(1 << 20), 1 << 20);
  return bit;
}

}  // namespace selfcompress::model
