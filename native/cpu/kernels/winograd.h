// Winograd's minimal filtering F(m x m, r x r) with m + r - 1 = 6 (A. Lavin & S. Gray, arXiv 1509.09308): a tile of
// 6x6 inputs gives m x m outputs with 36 multiplications for each pair of channels. Points 0, 1, -1, 2, -2, infinity.
// Three one-dimensional transforms, each applied to columns and then rows:
//
//     input     B^T d     (6 -> 6)
//     filter    G g       (r -> 6)
//     output    A^T m     (6 -> m)
//
// In the lanes layout a transform is plain arithmetic on vectors of 16 images, without shuffles.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline void winogradB(const F16 (&d)[6], F16 (&t)[6]) {
  const F16 two = set(2), four = set(4), minusFour = set(-4), minusFive = set(-5);
  F16 a = fma(minusFour, d[2], d[4]), b = fma(minusFour, d[1], d[3]), c = d[4] - d[2], e = two * (d[3] - d[1]);
  t[0] = fma(four, d[0], fma(minusFive, d[2], d[4]));
  t[1] = a + b;
  t[2] = a - b;
  t[3] = c + e;
  t[4] = c - e;
  t[5] = fma(four, d[1], fma(minusFive, d[3], d[5]));
}

template <int R>
inline void winogradG(const F16* g, F16 (&t)[6]) {
  F16 even = g[0], odd = g[1], even2 = g[0], odd2 = set(2) * g[1];
  if constexpr (R > 2) even = even + g[2], even2 = fma(set(4), g[2], even2);
  if constexpr (R > 3) odd = odd + g[3], odd2 = fma(set(8), g[3], odd2);
  if constexpr (R > 4) even = even + g[4], even2 = fma(set(16), g[4], even2);
  t[0] = set(0.25f) * g[0];
  t[1] = set(-1.0f / 6) * (even + odd);
  t[2] = set(-1.0f / 6) * (even - odd);
  t[3] = set(1.0f / 24) * (even2 + odd2);
  t[4] = set(1.0f / 24) * (even2 - odd2);
  t[5] = g[R - 1];
}

template <int M>
inline void winogradA(const F16 (&m)[6], F16* y) {
  F16 s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];
  y[0] = m[0] + s + u;
  y[1] = fma(set(2), v, d);
  if constexpr (M > 2) y[2] = fma(set(4), u, s);
  if constexpr (M > 3) y[3] = fma(set(8), v, d);
  if constexpr (M > 4) y[4] = fma(set(16), u, s);
  y[M - 1] = y[M - 1] + m[5];
}

// One channel of some tiles: B^T d B.
inline void winogradInput(const WinogradTiles& t, const float* plane, float* to) {
  for (int i = 0; i < t.count; i++) {
    const WinogradTile& tile = t.tiles[i];
    const float* source = plane + tile.source;
    F16 half[6][6];
    for (int x = 0; x < 6; x++) {
      F16 d[6], column[6];
      bool inside = tile.x + x >= 0 && tile.x + x < t.width;
      for (int y = 0; y < 6; y++) {
        bool valid = inside && tile.y + y >= 0 && tile.y + y < t.height;
        d[y] = valid ? load(source + ((tile.y + y) * t.width + tile.x + x) * 16) : zero();
      }
      winogradB(d, column);
      for (int y = 0; y < 6; y++) half[y][x] = column[y];
    }
    for (int y = 0; y < 6; y++) {
      F16 row[6];
      winogradB(half[y], row);
      for (int x = 0; x < 6; x++) store(to + (y * 6 + x) * t.pointStride + i * 16, row[x]);
    }
  }
}

// One channel of some tiles of a gradient: G d G^T, a tile being R x R.
template <int R>
inline void winogradFilterTiles(const WinogradTiles& t, const float* plane, float* to) {
  for (int i = 0; i < t.count; i++) {
    const WinogradTile& tile = t.tiles[i];
    const float* source = plane + tile.source;
    F16 half[6][R];
    for (int x = 0; x < R; x++) {
      F16 d[R], column[6];
      for (int y = 0; y < R; y++) {
        bool valid = tile.x + x < t.width && tile.y + y < t.height;
        d[y] = valid ? load(source + ((tile.y + y) * t.width + tile.x + x) * 16) : zero();
      }
      winogradG<R>(d, column);
      for (int y = 0; y < 6; y++) half[y][x] = column[y];
    }
    for (int y = 0; y < 6; y++) {
      F16 row[6];
      winogradG<R>(half[y], row);
      for (int x = 0; x < 6; x++) store(to + (y * 6 + x) * t.pointStride + i * 16, row[x]);
    }
  }
}
inline void winogradGrad(const WinogradTiles& t, int outputs, const float* plane, float* to) {
  if (outputs == 4) return winogradFilterTiles<4>(t, plane, to);
  winogradFilterTiles<2>(t, plane, to);
}

// One channel of some tiles: A^T m A, then bias, ReLU, mask and accumulation.
template <int M>
inline void winogradOutputTiles(const WinogradTiles& t, const WinogradEpilogue& e, const float* from) {
  for (int i = 0; i < t.count; i++) {
    const WinogradTile& tile = t.tiles[i];
    F16 half[M][6];
    for (int x = 0; x < 6; x++) {
      F16 m[6], column[M];
      for (int y = 0; y < 6; y++) m[y] = load(from + (y * 6 + x) * t.pointStride + i * 16);
      winogradA<M>(m, column);
      for (int y = 0; y < M; y++) half[y][x] = column[y];
    }
    for (int y = 0; y < M && tile.y + y < t.height; y++) {
      F16 row[M];
      winogradA<M>(half[y], row);
      for (int x = 0; x < M && tile.x + x < t.width; x++) {
        std::int64_t at = tile.source + ((tile.y + y) * t.width + tile.x + x) * 16;
        F16 v = row[x] + set(e.bias);
        if (e.relu) v = vmax(zero(), v);
        if (e.mask) v = select(less(zero(), load(e.mask + at)), v, zero());
        if (e.accumulate) v = v + load(e.target + at);
        store(e.target + at, v);
      }
    }
  }
}
inline void winogradOutput(const WinogradTiles& t, int outputs, const WinogradEpilogue& e, const float* from) {
  if (outputs == 4) return winogradOutputTiles<4>(t, e, from);
  winogradOutputTiles<2>(t, e, from);
}

// Sixteen vectors at `from` (channels, each of 16 images) to sixteen rows (images) of the first n channels.
inline void transposeLanes(const float* from, float* to, std::int64_t rowStride, int n) {
  F16 r[16];
  for (int i = 0; i < 16; i++) r[i] = load(from + i * 16);
  transpose(r);
  for (int i = 0; i < 16; i++) {
    if (n >= 16) store(to + i * rowStride, r[i]);
    else storeTail(to + i * rowStride, r[i], n);
  }
}

// A^T m A to the filter of R x R taps, for 16 input channels at once; filter[tap][16].
template <int R>
inline void winogradFilterOf(const float* from, std::int64_t pointStride, float* filter) {
  F16 half[R][6];
  for (int x = 0; x < 6; x++) {
    F16 m[6], column[R];
    for (int y = 0; y < 6; y++) m[y] = load(from + (y * 6 + x) * pointStride);
    winogradA<R>(m, column);
    for (int y = 0; y < R; y++) half[y][x] = column[y];
  }
  for (int y = 0; y < R; y++) {
    F16 row[R];
    winogradA<R>(half[y], row);
    for (int x = 0; x < R; x++) store(filter + (y * R + x) * 16, row[x]);
  }
}
inline void winogradFilter(const float* from, std::int64_t pointStride, int taps, float* filter) {
  if (taps == 3) return winogradFilterOf<3>(from, pointStride, filter);
  winogradFilterOf<5>(from, pointStride, filter);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
