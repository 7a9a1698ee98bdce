// Scaled dot-product attention and rotary positions over sequences: tensors {channels, 1, positions} in lanes.
//
//     score[h,t,s] = scale * sum_i query[queryFirst[h] + i, t] * key[keyFirst[k] + i, s]      k = h /
//     (queryHeads/keyHeads) p[h,t,.]     = softmax over s of score[h,t,.] output[outputFirst[h] + j, t] = sum_s
//     p[h,t,s] * value[valueFirst[k] + j, s]
//
// (Vaswani et al. 2017; several query heads for each key head: Ainslie et al. 2023.) `scale` is given, not derived from
// the head's size: after channels have been removed it stays what the network was trained with. Heads may differ in
// size. Causal: query t sees the keys s <= t + (keys - queries), the last query all of them; a query that sees none
// gives 0. Its probabilities are computed anew by backward: nothing is kept between the two.
//
// States: a kZero channel of query, key or value counts as zeros and is not read; an output channel whose state is
// kZero is not written by forward, and its gradient counts as zeros and is not read. Gradients of kZero channels are
// not written.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

struct AttentionGeometry {
  int queryChannels = 0, keyChannels = 0, valueChannels = 0, outputChannels = 0;
  int queries = 1, keys = 1;  // positions
  float scale = 1;
  bool causal = false;
  SELFCOMPRESS_HOST_DEVICE Shape query() const { return {queryChannels, 1, queries}; }
  SELFCOMPRESS_HOST_DEVICE Shape key() const { return {keyChannels, 1, keys}; }
  SELFCOMPRESS_HOST_DEVICE Shape value() const { return {valueChannels, 1, keys}; }
  SELFCOMPRESS_HOST_DEVICE Shape output() const { return {outputChannels, 1, queries}; }
  // How many keys query t sees, the first ones.
  SELFCOMPRESS_HOST_DEVICE int visible(int t) const {
    const int count = causal ? t + 1 + keys - queries : keys;
    return count < 0 ? 0 : count;
  }
};

// Which channels belong to which head. All arrays are device memory.
struct AttentionHeads {
  int queryHeads = 1, keyHeads = 1;           // keyHeads divides queryHeads
  const std::int32_t* queryFirst = nullptr;   // [queryHeads]
  const std::int32_t* outputFirst = nullptr;  // [queryHeads]
  const std::int32_t* keyFirst = nullptr;     // [keyHeads]
  const std::int32_t* headSize = nullptr;     // [keyHeads] channels of the key head, and of its query heads
  const std::int32_t* valueFirst = nullptr;   // [keyHeads]
  const std::int32_t* valueSize = nullptr;    // [keyHeads] channels of the value head, and of its heads in the output
};

struct AttentionStates {  // ChannelState of each channel, or nullptr: all live
  const std::int32_t* query = nullptr;
  const std::int32_t* key = nullptr;
  const std::int32_t* value = nullptr;
  const std::int32_t* output = nullptr;
};

struct AttentionForward {
  AttentionGeometry geometry;
  AttentionHeads heads;
  int batch = 0;
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  AttentionStates states;
  float* output = nullptr;  // channels of no head are not written
};

// With g = dL/doutput, of head h, and the sums over t and over the query heads h of a key head:
//
//     dvalue[j,s] = sum g[j,t] p[t,s]      dp[t,s] = sum_j g[j,t] value[j,s]      ds = p * (dp - sum_s p * dp)
//     dquery[i,t] = scale * sum_s ds[t,s] key[i,s]              dkey[i,s] = scale * sum ds[t,s] query[i,t]
struct AttentionBackward {
  AttentionGeometry geometry;
  AttentionHeads heads;
  int batch = 0;
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  const float* gradOutput = nullptr;  // zero in padding lanes
  AttentionStates states;
  float* gradQuery = nullptr;  // channels of no head are not written, here and below
  float* gradKey = nullptr;
  float* gradValue = nullptr;
};

// Rotary positions (Su et al. 2021): pairs of channels are turned by an angle that grows with the position,
//
//     angle = (firstPosition + t) * frequency[pair]
//     output[first] = input[first] * cos(angle) - input[second] * sin(angle)
//     output[second] = input[first] * sin(angle) + input[second] * cos(angle)
//
// `inverse` turns them back, which is the gradient. Pair i of a head of D channels is (i, i + D/2) in the half form and
// (2i, 2i + 1) in the interleaved one, its frequency theta^(-2i/D): the pairs are listed with their frequencies, so
// that those that are removed change nothing for the others. second[pair] < 0: channel first[pair] is copied.
//
// States: a kZero channel of the input counts as zeros and is not read, one of the output is not written; channels in
// no pair are not written either.
struct Rotary {
  Shape shape;  // {channels, 1, positions}
  int batch = 0;
  int pairs = 0;
  const std::int32_t* first = nullptr;   // [pairs], device memory; no channel is in two pairs
  const std::int32_t* second = nullptr;  // [pairs]
  const float* frequency = nullptr;      // [pairs], radians for each position
  int firstPosition = 0;
  bool inverse = false;
  const float* input = nullptr;
  const std::int32_t* inputState = nullptr;   // ChannelState or nullptr
  const std::int32_t* outputState = nullptr;  // ChannelState or nullptr
  float* output = nullptr;                    // may be `input`
};

}  // namespace selfcompress
