// The 16-lane vector type in plain C++: for processors without a faster one, and as the ISA that every test can run.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define SC_NO_UNROLL 1  // vector_math.h

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

struct F16 {
  float v[16];
};
struct M16 {  // one bool per lane
  bool v[16];
};
#define SC_LANES for (int i = 0; i < 16; i++)
inline F16 load(const float* p) {
  F16 r;
  std::memcpy(r.v, p, 64);
  return r;
}
inline void store(float* p, F16 a) { std::memcpy(p, a.v, 64); }
inline F16 loadTail(const float* p, int n) {
  F16 r{};
  for (int i = 0; i < n; i++) r.v[i] = p[i];
  return r;
}
inline void storeTail(float* p, F16 a, int n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
inline F16 set(float x) {
  F16 r;
  SC_LANES r.v[i] = x;
  return r;
}
inline F16 zero() { return set(0.0f); }
inline F16 operator+(F16 a, F16 b) {
  SC_LANES a.v[i] += b.v[i];
  return a;
}
inline F16 operator-(F16 a, F16 b) {
  SC_LANES a.v[i] -= b.v[i];
  return a;
}
inline F16 operator*(F16 a, F16 b) {
  SC_LANES a.v[i] *= b.v[i];
  return a;
}
inline F16 operator/(F16 a, F16 b) {
  SC_LANES a.v[i] /= b.v[i];
  return a;
}
inline F16 fma(F16 a, F16 b, F16 c) {
  SC_LANES a.v[i] = a.v[i] * b.v[i] + c.v[i];
  return a;
}
inline F16 vmin(F16 a, F16 b) {
  SC_LANES a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline F16 vmax(F16 a, F16 b) {
  SC_LANES a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline F16 vsqrt(F16 a) {
  SC_LANES a.v[i] = std::sqrt(a.v[i]);
  return a;
}
inline F16 roundEven(F16 a) {
  SC_LANES a.v[i] = std::nearbyintf(a.v[i]);
  return a;
}
inline M16 less(F16 a, F16 b) {
  M16 m;
  SC_LANES m.v[i] = a.v[i] < b.v[i];
  return m;
}
inline M16 isNan(F16 a) {
  M16 m;
  SC_LANES m.v[i] = a.v[i] != a.v[i];
  return m;
}
inline M16 either(M16 a, M16 b) {
  SC_LANES a.v[i] = a.v[i] || b.v[i];
  return a;
}
inline F16 select(M16 m, F16 a, F16 b) {
  SC_LANES a.v[i] = m.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline F16 pow2(F16 n) {  // 2^n for integral n in [-126, 127]
  SC_LANES {
    std::int32_t bits = (std::int32_t(n.v[i]) + 127) << 23;
    std::memcpy(&n.v[i], &bits, 4);
  }
  return n;
}
inline F16 exponentOf(F16 a) {  // floor(log2 a) of normal numbers above 0
  SC_LANES {
    std::int32_t bits;
    std::memcpy(&bits, &a.v[i], 4);
    a.v[i] = float((bits >> 23) - 127);
  }
  return a;
}
inline F16 fromBytes(const std::uint8_t* p) {
  F16 r;
  SC_LANES r.v[i] = float(p[i]);
  return r;
}
#undef SC_LANES

inline void storePast(float* p, F16 a) { store(p, a); }

constexpr int kTileO = 4, kTileP = 1;  // register tile of the convolution
constexpr int kTileO3 = 2, kTileO5 = 1, kTileS1 = 2, kTileO1 = 2;
constexpr int kLaneRows = 2, kLaneColumns = 2;  // register tile of LaneProducts

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
