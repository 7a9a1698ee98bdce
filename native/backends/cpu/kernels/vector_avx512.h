// The 16-lane vector type as one AVX-512 register (F, VL, BW, DQ).
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct F16 {
  __m512 v;
};
using M16 = __mmask16;

inline F16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
inline F16 loadTail(const float* p, int n) { return {_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p)}; }
inline void storeTail(float* p, F16 a, int n) { _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), a.v); }
inline F16 set(float x) { return {_mm512_set1_ps(x)}; }
inline F16 zero() { return {_mm512_setzero_ps()}; }
#define SC_BINARY(name, op) \
  inline F16 name(F16 a, F16 b) { return {op(a.v, b.v)}; }
SC_BINARY(operator+, _mm512_add_ps)
SC_BINARY(operator-, _mm512_sub_ps)
SC_BINARY(operator*, _mm512_mul_ps)
SC_BINARY(operator/, _mm512_div_ps)
SC_BINARY(vmin, _mm512_min_ps)
SC_BINARY(vmax, _mm512_max_ps)
#undef SC_BINARY
inline F16 fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F16 vsqrt(F16 a) { return {_mm512_sqrt_ps(a.v)}; }
inline F16 roundEven(F16 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline M16 less(F16 a, F16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
inline M16 isNan(F16 a) { return _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q); }
inline M16 either(M16 a, M16 b) { return __mmask16(a | b); }
inline F16 select(M16 m, F16 a, F16 b) { return {_mm512_mask_blend_ps(m, b.v, a.v)}; }
inline F16 pow2(F16 n) {
  __m512i i = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(i, 23))};
}
inline F16 exponentOf(F16 a) { return {_mm512_getexp_ps(a.v)}; }  // floor(log2 a) of normal numbers above 0
inline F16 fromBytes(const std::uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}

#if defined(__GNUC__)
inline void pin(F16& a) { asm("" : "+v"(a.v)); }
#endif

// Past the caches; p on a 64-byte boundary. Others may read after the end of parallelFor.
inline void storePast(float* p, F16 a) { _mm512_stream_ps(p, a.v); }

#define SC_HAS_TRANSPOSE 1
// r[i][j] <-> r[j][i]: four rounds that exchange 1, 2, 4 and 8 lanes.
inline void transpose(F16 (&r)[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  __m512 u[16];
  for (int i = 0; i < 16; i += 4) {
    u[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
    u[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
    u[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    u[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
  }
  for (int i = 0; i < 4; i++)
    for (int half = 0; half < 16; half += 8) {
      t[half + i] = _mm512_shuffle_f32x4(u[half + i], u[half + 4 + i], 0x88);
      t[half + 4 + i] = _mm512_shuffle_f32x4(u[half + i], u[half + 4 + i], 0xdd);
    }
  for (int i = 0; i < 8; i++) {
    r[i].v = _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88);
    r[8 + i].v = _mm512_shuffle_f32x4(t[i], t[8 + i], 0xdd);
  }
}

constexpr int kTileO = 8, kTileP = 3;
constexpr int kTileO3 = 8, kTileO5 = 5, kTileS1 = 4, kTileO1 = 6;
constexpr int kLaneRows = 4, kLaneColumns = 6;  // register tile of LaneProducts

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
