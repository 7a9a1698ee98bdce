// The 16-lane vector type as four NEON registers (AArch64).
#pragma once
#include <arm_neon.h>

#include <cstdint>

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct F16 {
  float32x4_t v[4];
};
struct M16 {
  uint32x4_t v[4];
};
#define SC_QUARTERS for (int i = 0; i < 4; i++)
inline F16 load(const float* p) {
  F16 r;
  SC_QUARTERS r.v[i] = vld1q_f32(p + 4 * i);
  return r;
}
inline void store(float* p, F16 a) { SC_QUARTERS vst1q_f32(p + 4 * i, a.v[i]); }
inline F16 loadTail(const float* p, int n) {
  float t[16] = {};
  for (int i = 0; i < n; i++) t[i] = p[i];
  return load(t);
}
inline void storeTail(float* p, F16 a, int n) {
  float t[16];
  store(t, a);
  for (int i = 0; i < n; i++) p[i] = t[i];
}
inline F16 set(float x) {
  F16 r;
  SC_QUARTERS r.v[i] = vdupq_n_f32(x);
  return r;
}
inline F16 zero() { return set(0.0f); }
inline F16 operator+(F16 a, F16 b) {
  SC_QUARTERS a.v[i] = vaddq_f32(a.v[i], b.v[i]);
  return a;
}
inline F16 operator-(F16 a, F16 b) {
  SC_QUARTERS a.v[i] = vsubq_f32(a.v[i], b.v[i]);
  return a;
}
inline F16 operator*(F16 a, F16 b) {
  SC_QUARTERS a.v[i] = vmulq_f32(a.v[i], b.v[i]);
  return a;
}
inline F16 operator/(F16 a, F16 b) {
  SC_QUARTERS a.v[i] = vdivq_f32(a.v[i], b.v[i]);
  return a;
}
inline F16 fma(F16 a, F16 b, F16 c) {
  SC_QUARTERS a.v[i] = vfmaq_f32(c.v[i], a.v[i], b.v[i]);
  return a;
}
inline M16 less(F16 a, F16 b) {
  M16 m;
  SC_QUARTERS m.v[i] = vcltq_f32(a.v[i], b.v[i]);
  return m;
}
inline M16 isNan(F16 a) {
  M16 m;
  SC_QUARTERS m.v[i] = vmvnq_u32(vceqq_f32(a.v[i], a.v[i]));
  return m;
}
inline M16 either(M16 a, M16 b) {
  SC_QUARTERS a.v[i] = vorrq_u32(a.v[i], b.v[i]);
  return a;
}
inline F16 select(M16 m, F16 a, F16 b) {
  SC_QUARTERS a.v[i] = vbslq_f32(m.v[i], a.v[i], b.v[i]);
  return a;
}
inline F16 vmin(F16 a, F16 b) { return select(less(a, b), a, b); }  // b where either is NaN, as on x86
inline F16 vmax(F16 a, F16 b) { return select(less(b, a), a, b); }
inline F16 vsqrt(F16 a) {
  SC_QUARTERS a.v[i] = vsqrtq_f32(a.v[i]);
  return a;
}
inline F16 roundEven(F16 a) {
  SC_QUARTERS a.v[i] = vrndnq_f32(a.v[i]);
  return a;
}
inline F16 pow2(F16 n) {
  SC_QUARTERS n.v[i] = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.v[i]), vdupq_n_s32(127)), 23));
  return n;
}
inline F16 exponentOf(F16 a) {  // floor(log2 a) of normal numbers above 0
  SC_QUARTERS a.v[i] = vcvtq_f32_s32(vsubq_s32(vshrq_n_s32(vreinterpretq_s32_f32(a.v[i]), 23), vdupq_n_s32(127)));
  return a;
}
inline F16 fromBytes(const std::uint8_t* p) {
  uint8x16_t b = vld1q_u8(p);
  uint16x8_t l = vmovl_u8(vget_low_u8(b)), h = vmovl_u8(vget_high_u8(b));
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(l))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(l))),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(h))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(h)))}};
}
#undef SC_QUARTERS

inline void storePast(float* p, F16 a) { store(p, a); }

#define SC_HAS_PIECE 1
struct Piece {
  float32x4_t v;
};
inline Piece loadPiece(const float* p) { return {vld1q_f32(p)}; }
inline void store(float* p, Piece a) { vst1q_f32(p, a.v); }
inline Piece fma(Piece a, Piece b, Piece c) { return {vfmaq_f32(c.v, a.v, b.v)}; }

#if defined(__GNUC__)
inline void pin(Piece& a) { asm("" : "+w"(a.v)); }
#endif

constexpr int kTileO = 5, kTileP = 1;
constexpr int kTileO3 = 8, kTileO5 = 5, kTileS1 = 4, kTileO1 = 6;
constexpr int kLaneRows = 4, kLaneColumns = 6;  // register tile of LaneProducts

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
