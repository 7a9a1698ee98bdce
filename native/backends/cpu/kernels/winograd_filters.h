// Winograd's form (winograd.h): filters to their points, side by side in panels.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

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

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
