// Winograd's form (winograd.h): sums of products at the points back to tiles of target planes.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// One tile: A^T m A, then bias, ReLU, mask and accumulation. kWhole: no row or column lies outside; kPlain: neither
// mask nor accumulation. kPast: past the caches.
template <int N, int M, bool kWhole, bool kPlain, bool kPast>
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
      storeResult<kPast>(e.target + at + x * 16, v);
    }
  }
}

// One channel of some tiles.
template <int N, int M, bool kPast>
inline void winogradOutputTiles(const WinogradTiles& t, const WinogradEpilogue& e, const float* from) {
  const bool plain = !e.mask && !e.accumulate;
  for (int i = 0; i < t.count; i++, from += 16) {
    const WinogradTile& tile = t.tiles[i];
    const bool whole = tile.y + M <= t.height && tile.x + M <= t.width;
    if (t.ahead) {
      const std::int64_t at = t.ahead + tile.source + (std::int64_t(tile.y) * t.width + tile.x) * 16;
      for (int y = 0; y < M; y++)
        for (int x = 0; x < M; x++) {
          if (!kPast) prefetchWrite(e.target + at + (std::int64_t(y) * t.width + x) * 16);
          if (e.mask) prefetch(e.mask + at + (std::int64_t(y) * t.width + x) * 16);
        }
      if (N == 8)  // 64 lines of the second-level cache, far apart
        for (int point = 0; point < N * N; point++) prefetch(from + point * t.pointStride + t.count * 16);
    }
    if (whole && plain) winogradOutputTile<N, M, true, true, kPast>(t, tile, e, from);
    else if (whole) winogradOutputTile<N, M, true, false, kPast>(t, tile, e, from);
    else winogradOutputTile<N, M, false, false, kPast>(t, tile, e, from);
  }
}
template <bool kPast>
inline void winogradOutputOf(const WinogradTiles& t, const WinogradEpilogue& e, const float* from) {
  if (t.points == 6 && t.outputs == 2) return winogradOutputTiles<6, 2, kPast>(t, e, from);
  if (t.points == 6) return winogradOutputTiles<6, 4, kPast>(t, e, from);
  winogradOutputTiles<8, 4, kPast>(t, e, from);
}
inline void winogradOutput(const WinogradTiles& t, const WinogradEpilogue& e, const float* from) {
  if (e.past) winogradOutputOf<true>(t, e, from);
  else winogradOutputOf<false>(t, e, from);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
