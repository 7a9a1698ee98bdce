// The 16-lane vector type as two AVX2 registers.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct F16 {
  __m256 lo, hi;
};
using M16 = F16;  // all bits of a lane set or clear

inline F16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline __m256i tailMask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline F16 loadTail(const float* p, int n) {
  return {_mm256_maskload_ps(p, tailMask(n)), n > 8 ? _mm256_maskload_ps(p + 8, tailMask(n - 8)) : _mm256_setzero_ps()};
}
inline void storeTail(float* p, F16 a, int n) {
  _mm256_maskstore_ps(p, tailMask(n), a.lo);
  if (n > 8) _mm256_maskstore_ps(p + 8, tailMask(n - 8), a.hi);
}
inline F16 set(float x) {
  __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline F16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
#define SC_BINARY(name, op) \
  inline F16 name(F16 a, F16 b) { return {op(a.lo, b.lo), op(a.hi, b.hi)}; }
SC_BINARY(operator+, _mm256_add_ps)
SC_BINARY(operator-, _mm256_sub_ps)
SC_BINARY(operator*, _mm256_mul_ps)
SC_BINARY(operator/, _mm256_div_ps)
SC_BINARY(vmin, _mm256_min_ps)
SC_BINARY(vmax, _mm256_max_ps)
SC_BINARY(either, _mm256_or_ps)
#undef SC_BINARY
inline F16 fma(F16 a, F16 b, F16 c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
inline F16 vsqrt(F16 a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
inline F16 roundEven(F16 a) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, mode), _mm256_round_ps(a.hi, mode)};
}
inline M16 less(F16 a, F16 b) { return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)}; }
inline M16 isNan(F16 a) { return {_mm256_cmp_ps(a.lo, a.lo, _CMP_UNORD_Q), _mm256_cmp_ps(a.hi, a.hi, _CMP_UNORD_Q)}; }
inline F16 select(M16 m, F16 a, F16 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}
inline __m256 pow2Half(__m256 n) {
  __m256i i = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(i, 23));
}
inline F16 pow2(F16 n) { return {pow2Half(n.lo), pow2Half(n.hi)}; }
inline __m256 exponentHalf(__m256 a) {
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(a), 23), _mm256_set1_epi32(127)));
}
inline F16 exponentOf(F16 a) {
  return {exponentHalf(a.lo), exponentHalf(a.hi)};
}  // floor(log2 a), normal numbers above 0
inline F16 fromBytes(const std::uint8_t* p) {
  __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(b, 8)))};
}

// Past the caches; p on a 64-byte boundary. Others may read after the end of parallelFor.
inline void storePast(float* p, F16 a) {
  _mm256_stream_ps(p, a.lo);
  _mm256_stream_ps(p + 8, a.hi);
}

#define SC_HAS_PIECE 1
struct Piece {
  __m256 v;
};
inline Piece loadPiece(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store(float* p, Piece a) { _mm256_storeu_ps(p, a.v); }
inline Piece fma(Piece a, Piece b, Piece c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

#if defined(__GNUC__)
inline void pin(Piece& a) { asm("" : "+x"(a.v)); }
#endif

#define SC_HAS_TRANSPOSE 1
inline void transpose8(__m256 (&r)[8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    u[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(t[i]), _mm256_castps_pd(t[i + 2])));
    u[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(t[i]), _mm256_castps_pd(t[i + 2])));
    u[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(t[i + 1]), _mm256_castps_pd(t[i + 3])));
    u[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(t[i + 1]), _mm256_castps_pd(t[i + 3])));
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x20);
    r[4 + i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x31);
  }
}
// r[i][j] <-> r[j][i], as four blocks of 8 x 8.
inline void transpose(F16 (&r)[16]) {
  __m256 a[8], b[8], c[8], d[8];
  for (int i = 0; i < 8; i++) a[i] = r[i].lo, b[i] = r[i].hi, c[i] = r[8 + i].lo, d[i] = r[8 + i].hi;
  transpose8(a), transpose8(b), transpose8(c), transpose8(d);
  for (int i = 0; i < 8; i++) r[i] = {a[i], c[i]}, r[8 + i] = {b[i], d[i]};
}

constexpr int kTileO = 6, kTileP = 1;
constexpr int kTileO3 = 4, kTileO5 = 2, kTileS1 = 3, kTileO1 = 4;
constexpr int kLaneRows = 3, kLaneColumns = 4;  // register tile of LaneProducts

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
