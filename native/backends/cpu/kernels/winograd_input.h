// Winograd's form (winograd.h): tiles of source planes to their points.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

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

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
