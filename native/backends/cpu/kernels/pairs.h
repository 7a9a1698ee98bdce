// Words of two bf16 in the lanes of a vector, where the processor has no instructions for them. A float is rounded to
// the nearest bf16, ties to even; NaN stays NaN.
#pragma once

#include <string.h>

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline std::uint32_t bf16Bits(std::uint32_t x) {
  bool nan = (x & 0x7fffffffu) > 0x7f800000u;
  return (nan ? x | 0x00400000u : x + 0x7fffu + ((x >> 16) & 1u)) >> 16;
}

// low halves of the words from `low`, high halves from `high`
inline F16 makePairs(F16 low, F16 high) {
  float l[16], h[16];
  store(l, low), store(h, high);
  std::uint32_t a[16], b[16];
  memcpy(a, l, sizeof a), memcpy(b, h, sizeof b);
  for (int i = 0; i < 16; i++) a[i] = bf16Bits(a[i]) | bf16Bits(b[i]) << 16;
  memcpy(l, a, sizeof a);
  return load(l);
}

// Eight words of neighbouring lanes.
inline void storePairs(float* p, F16 a) {
  float lanes[16];
  store(lanes, a);
  std::uint32_t bits[16], words[8];
  memcpy(bits, lanes, sizeof bits);
  for (int i = 0; i < 8; i++) words[i] = bf16Bits(bits[2 * i]) | bf16Bits(bits[2 * i + 1]) << 16;
  memcpy(p, words, sizeof words);
}

// The two floats of every word.
inline void splitPairs(F16 words, F16& low, F16& high) {
  float w[16];
  store(w, words);
  std::uint32_t bits[16], l[16], h[16];
  memcpy(bits, w, sizeof bits);
  for (int i = 0; i < 16; i++) l[i] = bits[i] << 16, h[i] = bits[i] & 0xffff0000u;
  memcpy(w, l, sizeof l);
  low = load(w);
  memcpy(w, h, sizeof h);
  high = load(w);
}

inline F16 addPairs(F16 a, F16 b, F16 sum) {
  F16 lowA, highA, lowB, highB;
  splitPairs(a, lowA, highA);
  splitPairs(b, lowB, highB);
  return fma(highA, highB, fma(lowA, lowB, sum));
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
