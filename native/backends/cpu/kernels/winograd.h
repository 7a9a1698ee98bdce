// Winograd's minimal filtering F(m x m, r x r) with m + r - 1 = N (A. Lavin & S. Gray, arXiv 1509.09308): a tile of
// N x N inputs gives m x m outputs with N^2 multiplications for each pair of channels. Points: 0, 1, -1, 2, -2 and
// infinity for N = 6, also 1/2 and -1/2 for N = 8. Three one-dimensional transforms, applied to columns, then rows:
//
//     input     B^T d     (N -> N)
//     filter    G g       (r -> N)
//     output    A^T m     (N -> m)
//
// In the lanes layout a transform is plain arithmetic on vectors of 16 images, without shuffles.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// B^T in pairs of points, which share their terms: P = 0 is the first and the last, P > 0 are +a and -a.
template <int P>
inline void winogradPairB(const F16 (&d)[6], F16& first, F16& second) {
  const F16 two = set(2), four = set(4), minusFour = set(-4), minusFive = set(-5);
  if constexpr (P == 0) {
    first = fma(four, d[0], fma(minusFive, d[2], d[4]));
    second = fma(four, d[1], fma(minusFive, d[3], d[5]));
  } else {
    F16 even, odd;
    if constexpr (P == 1) even = fma(minusFour, d[2], d[4]), odd = fma(minusFour, d[1], d[3]);
    else even = d[4] - d[2], odd = two * (d[3] - d[1]);
    first = even + odd;
    second = even - odd;
  }
}
template <int P>
inline void winogradPairB(const F16 (&d)[8], F16& first, F16& second) {
  const F16 large = set(5.25f), minus = set(-4.25f), half = set(0.5f), quarter = set(0.25f), two = set(2),
            four = set(4), five = set(-5), fiveHalves = set(-2.5f), fiveQuarters = set(-1.25f);
  if constexpr (P == 0) {
    first = fma(large, d[4] - d[2], d[0] - d[6]);
    second = fma(large, d[3] - d[5], d[7] - d[1]);
  } else {
    F16 even, odd;
    if constexpr (P == 1) even = fma(minus, d[4], d[2] + d[6]), odd = fma(minus, d[3], d[1] + d[5]);
    else if constexpr (P == 2)
      even = fma(quarter, d[2], fma(fiveQuarters, d[4], d[6])),
      odd = fma(half, d[1], fma(fiveHalves, d[3], two * d[5]));
    else even = fma(four, d[2], fma(five, d[4], d[6])), odd = fma(two, d[1], fma(fiveHalves, d[3], half * d[5]));
    first = even + odd;
    second = even - odd;
  }
}
template <int N>
inline void winogradB(const F16 (&d)[N], F16 (&t)[N]) {
  winogradPairB<0>(d, t[0], t[N - 1]);
  winogradPairB<1>(d, t[1], t[2]);
  winogradPairB<2>(d, t[3], t[4]);
  if constexpr (N == 8) winogradPairB<3>(d, t[5], t[6]);
}

// Polynomial with R coefficients at +a and -a, split into even and odd terms.
template <int R>
inline void winogradPoint(const F16* g, float a, float scale, F16& plus, F16& minus) {
  F16 even = g[0], odd = set(a) * g[1];
  if constexpr (R > 2) even = fma(set(a * a), g[2], even);
  if constexpr (R > 3) odd = fma(set(a * a * a), g[3], odd);
  if constexpr (R > 4) even = fma(set(a * a * a * a), g[4], even);
  plus = set(scale) * (even + odd);
  minus = set(scale) * (even - odd);
}
template <int N, int R>
inline void winogradG(const F16* g, F16 (&t)[N]) {
  if constexpr (N == 6) {
    t[0] = set(0.25f) * g[0];
    winogradPoint<R>(g, 1, -1.0f / 6, t[1], t[2]);
    winogradPoint<R>(g, 2, 1.0f / 24, t[3], t[4]);
  } else {
    t[0] = g[0];
    winogradPoint<R>(g, 1, -2.0f / 9, t[1], t[2]);
    winogradPoint<R>(g, 2, 1.0f / 90, t[3], t[4]);
    winogradPoint<R>(g, 0.5f, 32.0f / 45, t[5], t[6]);
  }
  t[N - 1] = g[R - 1];
}

template <int N, int M>
inline void winogradA(const F16 (&m)[N], F16* y) {
  F16 s = m[1] + m[2], d = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4], sh = zero(), dh = zero();
  if constexpr (N == 8) sh = m[5] + m[6], dh = m[5] - m[6];
  SC_UNROLL
  for (int k = 0; k < M; k++) {
    y[k] = fma(set(float(1 << k)), k % 2 ? d2 : s2, k % 2 ? d : s);
    if constexpr (N == 8) y[k] = fma(set(1.0f / float(1 << k)), k % 2 ? dh : sh, y[k]);
  }
  y[0] = y[0] + m[0];
  y[M - 1] = y[M - 1] + m[N - 1];
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
