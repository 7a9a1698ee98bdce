// What every instruction set builds from its vector type: sums over lanes and the exponential.
#pragma once

// Before a short loop over registers: not a loop at run time. Sanitized code has no registers to spare, and takes
// minutes to compile without its loops; nor has scalar code.
#if defined(SC_NO_UNROLL) || defined(__SANITIZE_ADDRESS__)
#define SC_UNROLL
#elif defined(__clang__)
#define SC_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define SC_UNROLL _Pragma("GCC unroll 16")
#else
#define SC_UNROLL
#endif

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// Asks for the cache line of an address that may lie outside any buffer.
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_X64)
inline void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
#else
inline void prefetch(const float*) {}
#endif
inline void prefetchWrite(const float* p) { prefetch(p); }
#else
inline void prefetch(const float* p) { __builtin_prefetch(p, 0, 3); }
inline void prefetchWrite(const float* p) { __builtin_prefetch(p, 1, 3); }
#endif

// A vector of results, on a 64-byte boundary: past the caches, or into them.
template <bool kPast>
inline void storeResult(float* p, F16 v) {
  if constexpr (kPast) storePast(p, v);
  else store(p, v);
}
inline void storeResult(float* p, F16 v, bool past) {
  if (past) storePast(p, v);
  else store(p, v);
}

// What one register holds of a vector: a kernel that needs many of them takes the lanes in turn, piece by piece.
#ifndef SC_HAS_PIECE
using Piece = F16;
inline Piece loadPiece(const float* p) { return load(p); }
#endif
#undef SC_HAS_PIECE
constexpr int kPieceLanes = int(sizeof(Piece) / sizeof(float));

// Holds a vector in a register: compilers like to read it from memory again for each use.
template <class V>
inline void pin(V&) {}

// Not a constant that overflows, which some compilers warn of.
inline F16 minusInfinity() { return set(-1e38f) * set(1e38f); }

// Sum of the 16 lanes, always as ((((0+8)+(4+12)) + ((2+10)+(6+14))) + (the same of the odd ones)).
inline float sum(F16 a) {
  float t[16];
  store(t, a);
  for (int i = 0; i < 8; i++) t[i] += t[i + 8];
  for (int i = 0; i < 4; i++) t[i] += t[i + 4];
  return (t[0] + t[2]) + (t[1] + t[3]);
}

#ifndef SC_HAS_TRANSPOSE
// r[i][j] <-> r[j][i]
inline void transpose(F16 (&r)[16]) {
  float t[16][16];
  for (int i = 0; i < 16; i++) store(t[i], r[i]);
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < i; j++) {
      float x = t[i][j];
      t[i][j] = t[j][i];
      t[j][i] = x;
    }
  for (int i = 0; i < 16; i++) r[i] = load(t[i]);
}
#endif
#undef SC_HAS_TRANSPOSE

// The lanes below n.
inline M16 lanesBelow(int n) {
  float t[16];
  for (int i = 0; i < 16; i++) t[i] = i < n ? 1.0f : 0.0f;
  return less(zero(), load(t));
}

// Double-precision sum of the lanes below n, in ascending order.
inline double sumDouble(F16 a, int n) {
  float t[16];
  store(t, a);
  double s = 0;
  for (int i = 0; i < n; i++) s += double(t[i]);
  return s;
}

// e^x: x = n ln2 + r with |r| <= ln2/2 and a polynomial of degree 6 for e^r (Cephes' coefficients); relative error
// below 2e-7. +inf above 88.7, 0 below -87.3, NaN for NaN.
inline F16 vexp(F16 x) {
  const F16 high = set(88.7228394f), low = set(-87.3365447f);
  M16 over = less(high, x), under = less(x, low), nan = isNan(x);
  F16 c = vmin(vmax(x, low), high);
  F16 n = roundEven(c * set(1.44269504088896341f));
  F16 r = fma(n, set(-0.693359375f), c);
  r = fma(n, set(2.12194440e-4f), r);
  F16 p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  F16 e = fma(p * r, r, r) + set(1.0f);
  F16 half = roundEven(n * set(0.5f));  // 2^n in two factors: n can be 128
  e = e * pow2(half) * pow2(n - half);
  e = select(over, zero() - minusInfinity(), e);
  e = select(under, zero(), e);
  return select(nan, x, e);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
