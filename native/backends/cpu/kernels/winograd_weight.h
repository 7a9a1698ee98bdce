// Winograd's form (winograd.h) of the weight gradient: tiles of gradients to their points, channels of the input to
// rows, sums back to filters.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

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
inline void addVectors(const float* from, std::int64_t count, float* sums, bool resume) {
  F16 even = resume ? load(sums) : zero(), odd = zero();
  for (; count >= 2; count -= 2, from += 2 * 16) even = even + load(from), odd = odd + load(from + 16);
  if (count > 0) even = even + load(from);
  store(sums, even + odd);
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

// Sixteen vectors (channels, each of 16 images) as rows (images).
inline void loadRows(const float* const* from, std::int64_t ahead, F16 (&r)[16]) {
  if (ahead)
    for (int i = 0; i < 16; i++) prefetch(from[i] + ahead);
  for (int i = 0; i < 16; i++) r[i] = load(from[i]);
  transpose(r);
}
inline void transposeLanes(const float* const* from, float* to, std::int64_t ahead) {
  F16 r[16];
  loadRows(from, ahead, r);
  for (int i = 0; i < 16; i++) store(to + i * 16, r[i]);
}
// Eight rows of words, of images 2i and 2i + 1.
inline void transposeLanesPairs(const float* const* from, float* to, std::int64_t ahead) {
  F16 r[16];
  loadRows(from, ahead, r);
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
