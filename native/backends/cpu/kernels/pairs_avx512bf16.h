// Words of two bf16 by the instructions of AVX512_BF16 (subnormal numbers count as zero there).
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline F16 makePairs(F16 low, F16 high) {
  // All of `low`'s sixteen, then all of `high`'s; shuffled so that they alternate.
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return {_mm512_castsi512_ps(_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(high.v, low.v)))};
}
inline void storePairs(float* p, F16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(a.v));
}
inline F16 addPairs(F16 a, F16 b, F16 sum) {
  return {_mm512_dpbf16_ps(sum.v, (__m512bh)_mm512_castps_si512(a.v), (__m512bh)_mm512_castps_si512(b.v))};
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
