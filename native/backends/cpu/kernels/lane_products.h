// Products of small matrices of vectors (LaneProducts): a register tile of R rows times C columns over all terms. Each
// term costs R + C vector loads for R * C fused multiply-adds. Where registers are narrow, the lanes are taken in turn.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

alignas(64) const float kNoLanes[16] = {};

template <int R, int C>
inline void laneTile(const LaneProducts& t, const float* a, const float* b, float* c) {
  Piece sum[R][C];
  SC_UNROLL
  for (int i = 0; i < R; i++) {
    SC_UNROLL
    for (int j = 0; j < C; j++) sum[i][j] = loadPiece(t.accumulate ? c + i * t.cRow + j * t.cColumn : kNoLanes);
  }
  const std::int64_t aRow = t.aRow, bColumn = t.bColumn, aTerm = t.aTerm, bTerm = t.bTerm;
  for (int k = 0; k < t.terms; k++, a += aTerm, b += bTerm) {
    Piece right[C];
    SC_UNROLL
    for (int j = 0; j < C; j++) right[j] = loadPiece(b + j * bColumn);
    SC_UNROLL
    for (int i = 0; i < R; i++) {
      const Piece left = loadPiece(a + i * aRow);
      SC_UNROLL
      for (int j = 0; j < C; j++) sum[i][j] = fma(left, right[j], sum[i][j]);
    }
  }
  SC_UNROLL
  for (int i = 0; i < R; i++) {
    SC_UNROLL
    for (int j = 0; j < C; j++) store(c + i * t.cRow + j * t.cColumn, sum[i][j]);
  }
}

template <int R>
inline void laneRow(const LaneProducts& t, int row, int column, int columns) {
  withSize<kLaneColumns>(columns, [&](auto size) {
    const float *a = t.a + row * t.aRow, *b = t.b + column * t.bColumn;
    float* c = t.c + row * t.cRow + column * t.cColumn;
    for (int lane = 0; lane < 16; lane += kPieceLanes)
      laneTile<R, decltype(size)::value>(t, a + lane, b + lane, c + lane);
  });
}

// How many of what is left a tile takes: six are better cut 3 + 3 than 4 + 2.
inline int tileShare(int left, int most) {
  const int tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

// A tile's columns stay in the first-level cache while all rows pass over them.
inline void laneProducts(const LaneProducts& t) {
  for (int column = 0; column < t.columns;) {
    const int columns = tileShare(t.columns - column, kLaneColumns);
    for (int row = 0; row < t.rows;) {
      const int rows = tileShare(t.rows - row, kLaneRows);
      withSize<kLaneRows>(rows, [&](auto size) { laneRow<decltype(size)::value>(t, row, column, columns); });
      row += rows;
    }
    column += columns;
  }
}

inline void scaleVectors(const float* from, std::int64_t count, float factor, float* to) {
  const F16 f = set(factor);
  for (std::int64_t i = 0; i < count * 16; i += 16) store(to + i, load(from + i) * f);
}

inline void scaleLanes(const float* from, std::int64_t count, const float* factor, float* to) {
  const F16 f = load(factor);
  for (std::int64_t i = 0; i < count * 16; i += 16) store(to + i, load(from + i) * f);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
