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

template <int N, WinogradTiles::Pairing pairing>
inline void storePoints(const F16 (&row)[N], float* to, std::int64_t stride) {
  SC_UNROLL
  for (int x = 0; x < N; x++, to += stride) {
    F16 v = row[x];
    if constexpr (pairing == WinogradTiles::kSecond) v = makePairs(load(to), v);
    if constexpr (pairing == WinogradTiles::kAlone) v = makePairs(v, zero());
    store(to, v);
  }
}

// The rows of B^T d B that belong to a pair of points: what lies between the two transforms stays in registers. Two of
// the next channel's rows are fetched meanwhile: a few lines at a time, since many at once would hold up the loads.
template <int N, int P, WinogradTiles::Pairing pairing>
inline void winogradInputRows(const float* const (&rows)[N], const float* ahead, std::int64_t rowStride, float* to,
                              std::int64_t stride) {
  F16 first[N], second[N], row[N];
  SC_UNROLL
  for (int x = 0; x < N; x++) {
    F16 d[N];
    prefetch(ahead + 2 * P * rowStride + x * 16);
    prefetch(ahead + (2 * P + 1) * rowStride + x * 16);
    SC_UNROLL
    for (int y = 0; y < N; y++) d[y] = load(rows[y] + x * 16);
    winogradPairB<P>(d, first[x], second[x]);
  }
  constexpr int kFirst = P ? 2 * P - 1 : 0, kSecond = P ? 2 * P : N - 1;
  winogradB(first, row);
  storePoints<N, pairing>(row, to + kFirst * N * stride, stride);
  winogradB(second, row);
  storePoints<N, pairing>(row, to + kSecond * N * stride, stride);
}

// Where the N rows of a tile that reaches over an edge can be read: in the plane, in zeros, or in a copy with zeros in
// the columns outside.
template <int N>
inline void rowsAtEdge(const WinogradTiles& t, const WinogradTile& tile, const float* plane, float (&copy)[N * N * 16],
                       const float* (&rows)[N]) {
  alignas(64) static const float zeros[N * 16] = {};
  bool across = tile.x < 0 || tile.x + N > t.width;
  int column[N];
  float inside[N];
  SC_UNROLL
  for (int x = 0; x < N; x++) {
    int at = tile.x + x, last = t.width - 1;
    column[x] = (at < 0 ? 0 : at > last ? last : at) * 16;
    inside[x] = at < 0 || at > last ? 0.0f : 1.0f;
  }
  for (int y = 0; y < N; y++) {
    rows[y] = zeros;
    if (tile.y + y < 0 || tile.y + y >= t.height) continue;
    const float* row = plane + tile.source + std::int64_t(tile.y + y) * t.width * 16;
    rows[y] = row + tile.x * 16;
    if (!across) continue;
    rows[y] = copy + y * N * 16;
    SC_UNROLL
    for (int x = 0; x < N; x++)
      store(copy + (y * N + x) * 16, select(less(zero(), set(inside[x])), load(row + column[x]), zero()));
  }
}

// One channel of some tiles: B^T d B.
template <int N, WinogradTiles::Pairing pairing>
inline void winogradInputTiles(const WinogradTiles& t, const float* plane, float* to) {
  alignas(64) float copy[N * N * 16];
  const std::int64_t rowStride = std::int64_t(t.width) * 16;
  for (int i = 0; i < t.count; i++, to += 16) {
    const WinogradTile& tile = t.tiles[i];
    const float* source = plane + tile.source + (std::int64_t(tile.y) * t.width + tile.x) * 16;
    const float* rows[N];
    if (tile.y >= 0 && tile.x >= 0 && tile.y + N <= t.height && tile.x + N <= t.width) {
      for (int y = 0; y < N; y++) rows[y] = source + y * rowStride;
    } else {
      rowsAtEdge(t, tile, plane, copy, rows);
    }
    winogradInputRows<N, 0, pairing>(rows, source + t.ahead, rowStride, to, t.pointStride);
    winogradInputRows<N, 1, pairing>(rows, source + t.ahead, rowStride, to, t.pointStride);
    winogradInputRows<N, 2, pairing>(rows, source + t.ahead, rowStride, to, t.pointStride);
    if constexpr (N == 8) winogradInputRows<N, 3, pairing>(rows, source + t.ahead, rowStride, to, t.pointStride);
  }
}
template <WinogradTiles::Pairing pairing>
inline void winogradInputPairing(const WinogradTiles& t, const float* plane, float* to) {
  if (t.points == 6) return winogradInputTiles<6, pairing>(t, plane, to);
  winogradInputTiles<8, pairing>(t, plane, to);
}
inline void winogradInput(const WinogradTiles& t, const float* plane, float* to) {
  winogradInputPairing<WinogradTiles::kFloats>(t, plane, to);
}
inline void winogradInputPairs(const WinogradTiles& t, const float* plane, float* to) {
  if (t.pairing == WinogradTiles::kSecond) return winogradInputPairing<WinogradTiles::kSecond>(t, plane, to);
  if (t.pairing == WinogradTiles::kAlone) return winogradInputPairing<WinogradTiles::kAlone>(t, plane, to);
  winogradInput(t, plane, to);
}

// One channel of some tiles of a gradient: G d G^T, a tile being R x R.
template <int N, int R, bool kPairs>
inline void winogradGradTiles(const WinogradTiles& t, const float* plane, float* to) {
  for (int i = 0; i < t.count; i++) {
    const WinogradTile& tile = t.tiles[i];
    const float* source = plane + tile.source + (std::int64_t(tile.y) * t.width + tile.x) * 16;
    F16 half[N][R];
    SC_UNROLL
    for (int x = 0; x < R; x++) {
      F16 d[R], column[N];
      if (t.ahead && tile.x + x < t.width)
        for (int y = 0; y < R; y++) prefetch(source + t.ahead + (y * t.width + x) * 16);
      SC_UNROLL
      for (int y = 0; y < R; y++) {
        bool valid = tile.x + x < t.width && tile.y + y < t.height;
        d[y] = valid ? load(source + (y * t.width + x) * 16) : zero();
      }
      winogradG<N, R>(d, column);
      SC_UNROLL
      for (int y = 0; y < N; y++) half[y][x] = column[y];
    }
    float* at = to + i * (kPairs ? 8 : 16);
    SC_UNROLL
    for (int y = 0; y < N; y++) {
      F16 row[N];
      winogradG<N, R>(half[y], row);
      SC_UNROLL
      for (int x = 0; x < N; x++, at += t.pointStride) {
        if constexpr (kPairs) storePairs(at, row[x]);
        else store(at, row[x]);
      }
    }
  }
}
// Vectors in a row to ones that lie `stride` apart.
inline void copyVectors(const float* from, std::int64_t count, float* to, std::int64_t stride) {
  for (std::int64_t i = 0; i < count; i++) {
    prefetch(from + (i + 16) * 16);
    store(to + i * stride, load(from + i * 16));
  }
}
inline void copyVectorsPairs(const float* from, std::int64_t count, float* to, std::int64_t stride) {
  for (std::int64_t i = 0; i < count; i++) storePairs(to + i * stride, load(from + i * 16));
}

template <bool kPairs>
inline void winogradGradOf(const WinogradTiles& t, const float* plane, float* to) {
  if (t.points == 6 && t.outputs == 2) return winogradGradTiles<6, 2, kPairs>(t, plane, to);
  if (t.points == 6) return winogradGradTiles<6, 4, kPairs>(t, plane, to);
  winogradGradTiles<8, 4, kPairs>(t, plane, to);
}
inline void winogradGrad(const WinogradTiles& t, const float* plane, float* to) { winogradGradOf<false>(t, plane, to); }
inline void winogradGradPairs(const WinogradTiles& t, const float* plane, float* to) {
  winogradGradOf<true>(t, plane, to);
}

// One tile: A^T m A, then bias, ReLU, mask and accumulation. kWhole: no row or column lies outside; kPlain: neither
// mask nor accumulation.
template <int N, int M, bool kWhole, bool kPlain>
inline void winogradOutputTile(const WinogradTiles& t, const WinogradTile& tile, const WinogradEpilogue& e,
                               const float* from) {
  F16 half[M][N];
  SC_UNROLL
  for (int x = 0; x < N; x++) {
    F16 m[N], column[M];
    SC_UNROLL
    for (int y = 0; y < N; y++) m[y] = load(from + (y * N + x) * t.pointStride);
    winogradA<N, M>(m, column);
    SC_UNROLL
    for (int y = 0; y < M; y++) half[y][x] = column[y];
  }
  const F16 bias = set(e.bias), floor = e.relu ? zero() : minusInfinity();
  const int rows = t.height - tile.y, columns = t.width - tile.x;
  std::int64_t at = tile.source + (std::int64_t(tile.y) * t.width + tile.x) * 16;
  SC_UNROLL
  for (int y = 0; y < M; y++, at += std::int64_t(t.width) * 16) {
    if (!kWhole && y >= rows) break;
    F16 row[M];
    winogradA<N, M>(half[y], row);
    SC_UNROLL
    for (int x = 0; x < M; x++) {
      if (!kWhole && x >= columns) break;
      F16 v = vmax(floor, row[x] + bias);
      if constexpr (!kPlain) {
        if (e.mask) v = select(less(zero(), load(e.mask + at + x * 16)), v, zero());
        if (e.accumulate) v = v + load(e.target + at + x * 16);
      }
      store(e.target + at + x * 16, v);
    }
  }
}

// One channel of some tiles.
template <int N, int M>
inline void winogradOutputTiles(const WinogradTiles& t, const WinogradEpilogue& e, const float* from) {
  const bool plain = !e.mask && !e.accumulate;
  for (int i = 0; i < t.count; i++, from += 16) {
    const WinogradTile& tile = t.tiles[i];
    const bool whole = tile.y + M <= t.height && tile.x + M <= t.width;
    if (t.ahead) {
      const std::int64_t at = t.ahead + tile.source + (std::int64_t(tile.y) * t.width + tile.x) * 16;
      for (int y = 0; y < M; y++)
        for (int x = 0; x < M; x++) {
          prefetchWrite(e.target + at + (std::int64_t(y) * t.width + x) * 16);
          if (e.mask) prefetch(e.mask + at + (std::int64_t(y) * t.width + x) * 16);
        }
      if (N == 8)  // 64 lines of the second-level cache, far apart
        for (int point = 0; point < N * N; point++) prefetch(from + point * t.pointStride + t.count * 16);
    }
    if (whole && plain) winogradOutputTile<N, M, true, true>(t, tile, e, from);
    else if (whole) winogradOutputTile<N, M, true, false>(t, tile, e, from);
    else winogradOutputTile<N, M, false, false>(t, tile, e, from);
  }
}
inline void winogradOutput(const WinogradTiles& t, const WinogradEpilogue& e, const float* from) {
  if (t.points == 6 && t.outputs == 2) return winogradOutputTiles<6, 2>(t, e, from);
  if (t.points == 6) return winogradOutputTiles<6, 4>(t, e, from);
  winogradOutputTiles<8, 4>(t, e, from);
}

// The taps of some filters, one filter a lane.
template <int R>
inline void gatherTaps(const WinogradFilters& f, const WeightSource* filters, F16 (&g)[R * R]) {
  constexpr int kTaps = R * R;
  for (int first = 0; first < kTaps; first += 16) {
    const int count = kTaps - first < 16 ? kTaps - first : 16;
    F16 r[16];
    for (int i = 0; i < 16; i++) r[i] = i < f.count ? loadWeights(filters[i], first, count, f.memoryEnd) : zero();
    transpose(r);
    for (int i = 0; i < count; i++) g[f.turned ? kTaps - 1 - first - i : first + i] = r[i];
  }
}
template <int N, int R>
inline void transformFilters(const F16 (&taps)[R * R], F16 (&points)[N][N]) {
  F16 half[N][R];
  for (int x = 0; x < R; x++) {
    F16 g[R], column[N];
    for (int y = 0; y < R; y++) g[y] = taps[y * R + x];
    winogradG<N, R>(g, column);
    for (int y = 0; y < N; y++) half[y][x] = column[y];
  }
  for (int y = 0; y < N; y++) winogradG<N, R>(half[y], points[y]);
}
// G g G^T of some filters, side by side in a panel at each point: to[point * stride + filter].
template <int N, int R, bool kPairs>
inline void winogradPackOf(const WinogradFilters& f, float* to, std::int64_t stride) {
  F16 taps[R * R], first[N][N], second[N][N];
  gatherTaps<R>(f, f.taps, taps);
  transformFilters<N, R>(taps, first);
  if constexpr (kPairs) {
    gatherTaps<R>(f, f.second, taps);
    transformFilters<N, R>(taps, second);
  }
  for (int y = 0; y < N; y++)
    for (int x = 0; x < N; x++) {
      F16 v = first[y][x];
      if constexpr (kPairs) v = makePairs(v, second[y][x]);
      float* at = to + (y * N + x) * stride;
      prefetchWrite(at + 16);  // the next filters' lines, too far apart for the processor to see where they lead
      if (f.count >= 16) store(at, v);
      else storeTail(at, v, f.count);
    }
}
template <bool kPairs>
inline void winogradPackAny(const WinogradFilters& f, float* to, std::int64_t stride) {
  if (f.size == 3) return winogradPackOf<6, 3, kPairs>(f, to, stride);
  if (f.points == 6) return winogradPackOf<6, 5, kPairs>(f, to, stride);
  winogradPackOf<8, 5, kPairs>(f, to, stride);
}
inline void winogradPack(const WinogradFilters& f, float* to, std::int64_t stride) {
  winogradPackAny<false>(f, to, stride);
}
inline void winogradPackPairs(const WinogradFilters& f, float* to, std::int64_t stride) {
  winogradPackAny<true>(f, to, stride);
}

// Sixteen vectors (channels, each of 16 images) to sixteen rows (images).
inline void transposeLanes(const float* const* from, float* to, std::int64_t ahead) {
  F16 r[16];
  if (ahead)
    for (int i = 0; i < 16; i++) prefetch(from[i] + ahead);
  for (int i = 0; i < 16; i++) r[i] = load(from[i]);
  transpose(r);
  for (int i = 0; i < 16; i++) store(to + i * 16, r[i]);
}

// The same to eight rows of words, of images 2i and 2i + 1.
inline void transposeLanesPairs(const float* const* from, float* to, std::int64_t ahead) {
  F16 r[16];
  if (ahead)
    for (int i = 0; i < 16; i++) prefetch(from[i] + ahead);
  for (int i = 0; i < 16; i++) r[i] = load(from[i]);
  transpose(r);
  for (int i = 0; i < 8; i++) store(to + i * 16, makePairs(r[2 * i], r[2 * i + 1]));
}

// A^T m A to the filter of R x R taps, for 16 input channels at once; filter[tap][16].
template <int N, int R>
inline void winogradFilterOf(const float* from, std::int64_t pointStride, float* filter) {
  F16 half[R][N];
  for (int x = 0; x < N; x++) {
    F16 m[N], column[R];
    for (int y = 0; y < N; y++) m[y] = load(from + (y * N + x) * pointStride);
    winogradA<N, R>(m, column);
    for (int y = 0; y < R; y++) half[y][x] = column[y];
  }
  for (int y = 0; y < R; y++) {
    F16 row[R];
    winogradA<N, R>(half[y], row);
    for (int x = 0; x < R; x++) store(filter + (y * R + x) * 16, row[x]);
  }
}
inline void winogradFilter(const float* from, std::int64_t pointStride, int points, int taps, float* filter) {
  if (taps == 3) return winogradFilterOf<6, 3>(from, pointStride, filter);
  if (points == 6) return winogradFilterOf<6, 5>(from, pointStride, filter);
  winogradFilterOf<8, 5>(from, pointStride, filter);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
