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
  if (!t.resume && !t.bias) {
    for (int o = 0; o < O; o++)
      for (int p = 0; p < P; p++) sum[o][p] = zero();
  } else {
    for (int o = 0; o < O; o++)
      for (int p = 0; p < P; p++)
        sum[o][p] = t.resume ? load(t.target + position[p].target + t.outOffset[o]) : set(t.bias[o]);
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
  for (int o = 0; o < O; o++)
    for (int p = 0; p < P; p++) {
      std::int64_t at = position[p].target + t.outOffset[o];
      F16 v = vmax(floor, sum[o][p]);
      if (t.mask) v = select(less(zero(), load(t.mask + at)), v, zero());
      if (t.accumulate) v = v + load(t.target + at);
      storeResult(t.target + at, v, t.past);
    }
}

template <int O, bool kAhead>
inline void convColumn(const ConvTiles& t) {
  int p = 0;
  for (; p + kTileP <= t.positionCount; p += kTileP) {
    if constexpr (kTileP == 3) {
      if (t.positionCount - p == 4) break;  // 2 + 2, not 3 + 1
    }
    convTile<O, kTileP, kAhead>(t, t.positions + p);
  }
  if constexpr (kTileP > 2) {
    for (; t.positionCount - p >= 2; p += 2) convTile<O, 2, kAhead>(t, t.positions + p);
  }
  if constexpr (kTileP > 1) {
    for (; p < t.positionCount; p++) convTile<O, 1, kAhead>(t, t.positions + p);
  }
}

template <bool kAhead>
inline void convTilesOf(const ConvTiles& t) {
  switch (t.outs) {
    case 1:
      return convColumn<1, kAhead>(t);
    case 2:
      return convColumn<2, kAhead>(t);
    case 3:
      return convColumn<3, kAhead>(t);
    case 4:
      return convColumn<4, kAhead>(t);
    case 5:
      if constexpr (kTileO >= 5) return convColumn<5, kAhead>(t);
      break;
    case 6:
      if constexpr (kTileO >= 6) return convColumn<6, kAhead>(t);
      break;
    case 7:
      if constexpr (kTileO >= 7) return convColumn<7, kAhead>(t);
      break;
    case 8:
      if constexpr (kTileO >= 8) return convColumn<8, kAhead>(t);
      break;
  }
}

inline void convTiles(const ConvTiles& t) {
  if (t.sourceAhead) convTilesOf<true>(t);
  else convTilesOf<false>(t);
}

template <int O, int S>
inline void weightTileOf(const WeightTile& t) {
  F16 sum[O][S];
  for (int o = 0; o < O; o++)
    for (int s = 0; s < S; s++) sum[o][s] = load(t.accumulator + (o * S + s) * 16);
  std::int64_t gradBlock = 0, sourceBlock = 0;
  const WeightRun *run = t.runs, *end = t.runs + t.runCount;
  for (int block = 0; block < t.blocks;) {
    const float* source[S];
    std::int64_t step[S];
    for (int s = 0; s < S; s++) {
      bool inside = run->source[s] >= 0;
      source[s] = inside ? t.source[s] + sourceBlock + run->source[s] : t.zeros;
      step[s] = inside ? t.sourceStep : 0;
    }
    const float* grad[O];
    for (int o = 0; o < O; o++) grad[o] = t.grad[o] + gradBlock + run->grad;
    for (std::int64_t x = 0; x < std::int64_t(run->length) * 16; x += 16) {
      F16 in[S];
      for (int s = 0; s < S; s++) {
        in[s] = load(source[s]);
        source[s] += step[s];
      }
      if (t.gradAhead)
        for (int o = 0; o < O; o++) prefetch(grad[o] + x + t.gradAhead);
      if (t.sourceAhead)
        for (int s = 0; s < t.planes; s++) prefetch(source[s] + t.sourceAhead);
      for (int o = 0; o < O; o++) {
        F16 g = load(grad[o] + x);
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
  for (int o = 0; o < O; o++)
    for (int s = 0; s < S; s++) store(t.accumulator + (o * S + s) * 16, sum[o][s]);
}

template <int S, int Max>
inline void weightTileOuts(const WeightTile& t) {
  switch (t.outs) {
    case 1:
      return weightTileOf<1, S>(t);
    case 2:
      if constexpr (Max >= 2) return weightTileOf<2, S>(t);
      break;
    case 3:
      if constexpr (Max >= 3) return weightTileOf<3, S>(t);
      break;
    case 4:
      if constexpr (Max >= 4) return weightTileOf<4, S>(t);
      break;
    case 5:
      if constexpr (Max >= 5) return weightTileOf<5, S>(t);
      break;
    case 6:
      if constexpr (Max >= 6) return weightTileOf<6, S>(t);
      break;
    case 7:
      if constexpr (Max >= 7) return weightTileOf<7, S>(t);
      break;
    case 8:
      if constexpr (Max >= 8) return weightTileOf<8, S>(t);
      break;
  }
}

inline void weightTile(const WeightTile& t) {
  switch (t.streams) {
    case 1:
      return weightTileOuts<1, kTileO1>(t);
    case 2:
      return weightTileOuts<2, kTileO1>(t);
    case 3:
      return weightTileOuts < 3, kTileO3 < kTileO1 ? kTileO1 : kTileO3 > (t);
    case 4:
      if constexpr (kTileS1 >= 4) return weightTileOuts<4, kTileO1>(t);
      break;
    case 5:
      return weightTileOuts<5, kTileO5>(t);
  }
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
