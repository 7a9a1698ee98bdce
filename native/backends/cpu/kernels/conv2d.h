// Convolution micro-kernels over the lanes layout. Forward and data gradient: a register tile of O output channels
// times P positions; each entry costs P vector loads and O broadcasts for O*P fused multiply-adds. Weight gradient: a
// register tile of O gradient planes times S input streams. Positions and streams are arbitrary, so padding, stride,
// dilation, groups and tiny images run the same code without masks.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

template <bool kPast, int O, int P>
inline void storeTile(const ConvTiles& t, const ConvPosition* position, F16 floor, const F16 (&sum)[O][P]) {
  SC_UNROLL
  for (int o = 0; o < O; o++) SC_UNROLL
  for (int p = 0; p < P; p++)
    storeResult<kPast>(t.target + position[p].target + t.outOffset[o], vmax(floor, sum[o][p]));
}

template <int O, int P, bool kAhead>
inline void convTile(const ConvTiles& t, const ConvPosition* position) {
  F16 sum[O][P];
  const float* source[P];
  for (int p = 0; p < P; p++) source[p] = t.source + position[p].source;
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    F16 start = t.bias ? set(t.bias[o]) : zero();
    SC_UNROLL
    for (int p = 0; p < P; p++) sum[o][p] = start;
  }
  if (t.resume) {
    SC_UNROLL
    for (int o = 0; o < O; o++) {
      SC_UNROLL
      for (int p = 0; p < P; p++) sum[o][p] = load(t.target + position[p].target + t.outOffset[o]);
    }
  }
  // The lines of the next positions' targets are far from the caches.
  if (!t.past)
    for (int o = 0; o < O; o++)
      for (int p = 0; p < P; p++) prefetchWrite(t.target + position[p].target + t.outOffset[o] + P * 16);
  const ConvEntry* end = t.entries + t.entryCount;
  for (const ConvEntry* entry = t.entries; entry != end; entry++) {
    const float* row = t.panel + std::int64_t(entry->row) * O;
    F16 in[P];
    for (int p = 0; p < P; p++) in[p] = load(source[p] + entry->source);
    if constexpr (kAhead)
      for (int p = 0; p < P; p++) prefetch(source[p] + entry->source + t.sourceAhead);
    for (int o = 0; o < O; o++) {
      F16 w = set(row[o]);
      for (int p = 0; p < P; p++) sum[o][p] = fma(w, in[p], sum[o][p]);
    }
  }
  const F16 floor = t.relu ? zero() : minusInfinity();
  if (!t.mask && !t.accumulate) {
    if (t.past) storeTile<true>(t, position, floor, sum);
    else storeTile<false>(t, position, floor, sum);
    return;
  }
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    SC_UNROLL
    for (int p = 0; p < P; p++) {
      std::int64_t at = position[p].target + t.outOffset[o];
      F16 v = vmax(floor, sum[o][p]);
      if (t.mask) v = select(less(zero(), load(t.mask + at)), v, zero());
      if (t.accumulate) v = v + load(t.target + at);
      storeResult(t.target + at, v, t.past);
    }
  }
}

template <bool kAhead>
inline void convTilesOf(const ConvTiles& t) {
  withSize<kTileO>(t.outs, [&](auto outs) {
    inTiles(t.positionCount, [&](int p, auto size) {
      convTile<decltype(outs)::value, decltype(size)::value, kAhead>(t, t.positions + p);
    });
  });
}

inline void convTiles(const ConvTiles& t) {
  if (t.sourceAhead) convTilesOf<true>(t);
  else convTilesOf<false>(t);
}

// The lanes from `first` on that a piece has.
template <int O, int S>
inline void weightTilePiece(const WeightTile& t, int first) {
  Piece sum[O][S];
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    SC_UNROLL
    for (int s = 0; s < S; s++) sum[o][s] = loadPiece(t.accumulator + first + (o * S + s) * 16);
  }
  std::int64_t gradBlock = 0, sourceBlock = 0;
  const WeightRun *run = t.runs, *end = t.runs + t.runCount;
  for (int block = 0; block < t.blocks;) {
    const float* source[S];
    std::int64_t step[S];
    for (int s = 0; s < S; s++) {
      bool inside = run->source[s] >= 0;
      source[s] = first + (inside ? t.source[s] + sourceBlock + run->source[s] : t.zeros);
      step[s] = inside ? t.sourceStep : 0;
    }
    const float* grad[O];
    for (int o = 0; o < O; o++) grad[o] = t.grad[o] + gradBlock + run->grad + first;
    for (std::int64_t x = 0; x < std::int64_t(run->length) * 16; x += 16) {
      Piece in[S];
      for (int s = 0; s < S; s++) {
        in[s] = loadPiece(source[s]);
        source[s] += step[s];
      }
      if (t.gradAhead && !first)
        for (int o = 0; o < O; o++) prefetch(grad[o] + x + t.gradAhead);
      if (t.sourceAhead && !first)
        for (int s = 0; s < t.planes; s++) prefetch(source[s] + t.sourceAhead);
      for (int o = 0; o < O; o++) {
        Piece g = loadPiece(grad[o] + x);
        pin(g);
        for (int s = 0; s < S; s++) sum[o][s] = fma(g, in[s], sum[o][s]);
      }
    }
    if (++run == end) {
      run = t.runs;
      block++;
      gradBlock += t.gradStride;
      sourceBlock += t.sourceStride;
    }
  }
  float* to = t.accumulator + first;
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    SC_UNROLL
    for (int s = 0; s < S; s++) store(to + (o * S + s) * 16, sum[o][s]);
  }
}

template <int O, int S>
inline void weightTileOf(const WeightTile& t) {
  for (int first = 0; first < 16; first += kPieceLanes) weightTilePiece<O, S>(t, first);
}

// As many outputs as go with so many streams.
template <int S>
inline constexpr int kWeightTileOuts = S == 5   ? kTileO5
                                       : S == 3 ? (kTileO3 < kTileO1 ? kTileO1 : kTileO3)
                                                : kTileO1;

inline void weightTile(const WeightTile& t) {
  withSize<5>(t.streams, [&](auto streams) {
    constexpr int S = decltype(streams)::value;
    if constexpr (S != 4 || kTileS1 >= 4)
      withSize<kWeightTileOuts<S>>(t.outs, [&](auto outs) { weightTileOf<decltype(outs)::value, S>(t); });
  });
}

inline void sumLanes(const float* vectors, int count, float* sums) {
  for (int i = 0; i < count; i++) sums[i] = sum(load(vectors + i * 16));
}

inline float planeSum(const float* base, std::int64_t blockStride, int blocks, int pixels) {
  F16 a = zero(), b = zero();
  for (int n = 0; n < blocks; n++) {
    const float* p = base + n * blockStride;
    int i = 0;
    for (; i + 2 <= pixels; i += 2) {
      a = a + load(p + i * 16);
      b = b + load(p + i * 16 + 16);
    }
    if (i < pixels) a = a + load(p + i * 16);
  }
  return sum(a + b);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
