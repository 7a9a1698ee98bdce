// The size penalty `rate`: the length of a layer's codes under the model that a coder of the file would fit to them, a
// share of zeros and a two-sided geometric tail. With n weights of live channels that read live inputs, Z of their
// codes not zero and S the sum of all |code|, in bits:
//
//     f = (Z + 1/2) / (n + 1)        theta = min(max((S - Z + 1/2) / (S + 1), 0.01), 0.98)
//     l(0) = -log2(1 - f)            l(k) = 1 - log2 f - log2(1 - theta) - (|k| - 1) log2 theta     for |k| >= 1
//     Rate = 1/N sum l(c)            N: weights of the original network
//
// made piecewise linear between whole |c|, c the clipped code of ops/quantize.h; f and theta are constants for the
// gradient. What a weight costs beyond that is its part in keeping a channel: with c0 = 4, for the weights of output
// channel i, and of input j,
//
//     row_i = coupling * (D_i + 16) * c0 / (S_i + c0)^2        column_j = coupling * (U_j + 16) * c0 / (S_j + c0)^2
//
// S_i the sum of |code| of the row, D_i the bits of the slices of other layers that read channel i; S_j that of the
// column and of all that the same rows make (the positions of a flattened channel: one alone frees nothing), U_j the
// bits of those rows. Nothing at the network's ends, where there is no other side. A row of few codes is pushed to have
// none. The gradients are taken by QuantizeBackward (QuantizeRate); here is what is needed for them. All of it is
// computed anew in every step from the weights at its start, so it is no part of the network's state.
#pragma once

#include "selfcompress/ops/quantize.h"

namespace selfcompress {

// Codes of a piece of a layer: weights of live channels that read live inputs, those that are not zero, sum of |code|.
struct RateCount {
  double weights = 0, nonzeros = 0, magnitude = 0;
};
// l(0), l(1), and what each further step of |k| adds.
struct RateLengths {
  double zero = 0, first = 0, next = 0;
};

// Counts of one layer, and the lengths that fit them. A code is what QuantizeCodes gives; a spoilt channel has none.
// The sums are exact as long as they are below 2^24, and do not depend on the number of threads in any case.
struct RateCounts {
  int channels = 0;  // output channels
  int groups = 1;
  std::int64_t perChannel = 0;  // weights of one: inputs of its group * kernelArea
  int kernelArea = 1;
  const float* weight = nullptr;             // [channels][perChannel]
  const float* bitDepth = nullptr;           // [channels]
  const float* exponent = nullptr;           // [channels]
  const std::int32_t* inputState = nullptr;  // ChannelState by channel of what the layer reads; nullptr: all live
  int inputRepeat = 1;                       // inputs of the layer for each of these (a flattened channel's positions)
  double originalWeights = 1;                // N
  RateCount* rows = nullptr;                 // [channels], overwritten
  RateCount* columns = nullptr;              // [groups * perChannel / kernelArea], overwritten
  RateLengths* lengths = nullptr;            // one, overwritten
  float* layerBits = nullptr;                // one: the layer's part of Rate
};

// A row or column of some layer, with the lengths of that layer's codes.
struct RateSlice {
  const RateCount* count = nullptr;
  const RateLengths* lengths = nullptr;
};

// Rows or columns of a layer that keep a channel together. Of set s, members[k] are its counts, memberStart[s] <= k <
// memberStart[s + 1], and freed[k] what leaves with the channel, freedStart[s] <= k < freedStart[s + 1]. Device memory.
struct RateSets {
  const std::int32_t* of = nullptr;  // the set of each row or column; -1: it keeps none. nullptr: all keep none
  const RateCount* const* members = nullptr;
  const RateSlice* freed = nullptr;
  const std::int32_t *memberStart = nullptr, *freedStart = nullptr;  // [sets + 1]
};

// gamma * dRate/d|c| of one layer, for QuantizeBackward, after RateCounts of all layers.
struct RatePenalty {
  int channels = 0, groups = 1;
  std::int64_t perChannel = 0;
  int kernelArea = 1;
  const std::int32_t* inputState = nullptr;
  int inputRepeat = 1;
  double originalWeights = 1;  // N
  float coupling = 1;
  const float* gamma = nullptr;  // one float in device memory
  const RateLengths* lengths = nullptr;
  RateSets rowSets, columnSets;
  // Written: what QuantizeRate reads.
  float* slope = nullptr;    // [2]
  float* row = nullptr;      // [channels]
  float* element = nullptr;  // [groups][perChannel]
};

// After the optimizer: a live channel without a code that is not zero counts a step, another one starts again at 0, and
// one that has counted `limit` steps gets b = 0. Its q was zero, so the network's function stays.
struct IdleChannels {
  int channels = 0;
  float limit = 0;
  const RateCount* rows = nullptr;  // [channels]
  float* idle = nullptr;            // [channels], steps so far
  float* bitDepth = nullptr;        // [channels]
};

// One exponent for a layer: the gradient of every live channel's e becomes the sum of theirs, so that exponents that
// start alike stay alike. Summed in double, in order.
struct TieExponents {
  int channels = 0;
  const float* bitDepth = nullptr;
  float* gradExponent = nullptr;
};

}  // namespace selfcompress
