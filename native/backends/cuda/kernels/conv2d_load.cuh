// Operand B of a pass on its way into shared memory: rows of the table times the 8 vectors of a tile, 16 bytes at a
// time. Each thread keeps one quad of lanes of one vector, so a row costs it the row's table entry (the same for the
// whole warp), a bounds test and a cp.async; a warp's 32 quads are one row: 512 consecutive bytes of shared memory and
// eight 64-byte pieces of global memory. Padding, missing pixels and padded rows become zeros. Copies go through the
// first-level cache, since the rows of a channel's other taps are the same pixels but a few.
//
// Layout: [row][kStride floats].
#pragma once

#include "cuda/kernels/conv2d_pass.cuh"

namespace selfcompress::cuda::conv {

template <int kThreads, int kRows, int kStride>
class ColumnLoader {
 public:
  static constexpr int kFloats = kRows * kStride;

  __device__ ColumnLoader(const Pass& pass, const Axis& rows, const Axis& columns, int tile, const Row* table)
      : pass_(pass), table_(table), row_(int(threadIdx.x) / 32), column_(int(threadIdx.x) % 32 * 4) {
    at_ = startOf(pass, rows, columns, tile * kTileVectors + column_ / kLanes);
    at_.source = at_.source * kLanes + column_ % kLanes;
  }
  __device__ void load(Shared<float> to, int firstRow) const {
    Global<const float> values = global(pass_.values);
#pragma unroll
    for (int i = 0; i < kRows * 32 / kThreads; i++) {
      int r = row_ + i * (kThreads / 32);
      Row row = table_[firstRow + r];
      bool valid = meets(pass_, at_, row);
      std::int64_t from = valid ? at_.source + std::int64_t(row.source) * kLanes : 0;
      cpAsync16Cached(to.at(r * kStride + column_, 4), values.at(from, 4), valid);
    }
  }

 private:
  const Pass& pass_;
  Global<const Row> table_;
  Start at_;  // source: of the thread's quad, in floats
  int row_, column_;
};

// The tiles of k that this block of the grid adds up: all of them, or its part if k is split.
struct TileRange {
  int begin, end;
};
__device__ inline TileRange tilesOf(const Pass& pass, int rows, int tileRows) {
  int tiles = (rows + tileRows - 1) / tileRows, part = (tiles + pass.splits - 1) / pass.splits;
  int begin = int(blockIdx.z) * part, end = begin + part;
  return {begin < tiles ? begin : tiles, end < tiles ? end : tiles};
}

// A pipeline of kStages tiles: load(stage, tile) queues copies, use(stage) multiplies. One barrier a tile: it says both
// that everyone's copies of the tile are there and that the stage which is loaded next has been used by everyone.
template <int kStages, class Load, class Use>
__device__ inline void pipeline(const TileRange& tiles, Load load, Use use) {
#pragma unroll 1  // the code of `load` is long
  for (int s = 0; s < kStages - 1; s++) {
    if (tiles.begin + s < tiles.end) load(s, tiles.begin + s);
    cpAsyncCommit();
  }
  int stage = 0;
#pragma unroll 1
  for (int tile = tiles.begin; tile < tiles.end; tile++) {
    cpAsyncWait<kStages - 2>();
    __syncthreads();
    if (tile + kStages - 1 < tiles.end) load(stage == 0 ? kStages - 1 : stage - 1, tile + kStages - 1);
    cpAsyncCommit();
    use(stage);
    stage = stage + 1 == kStages ? 0 : stage + 1;
  }
}

// Where the tile's vectors are in the target: kept in shared memory, at its end, not in registers, while the products
// are taken. The caller puts a barrier between the two.
inline constexpr int kTargetBytes = kTileVectors * int(sizeof(std::int64_t));
__device__ inline void keepTargets(const Pass& pass, const Axis& rows, const Axis& columns, int tile, int byteOffset) {
  int i = int(threadIdx.x);
  if (i < kTileVectors)
    sharedArray<std::int64_t>(byteOffset, kTileVectors)[i] = targetOf(pass, rows, columns, tile * kTileVectors + i);
}

// Stores quads of the results of a tile: in the target, or as parts of sums in `partial`.
class Output {
 public:
  __device__ Output(const Pass& pass, int tile, int vector, int lane, int byteOffset)
      : pass_(pass), header_(global<const Header>(pass.headers)[blockIdx.y]), lane_(lane) {
    target_ = sharedArray<const std::int64_t>(byteOffset, kTileVectors)[vector];
    if (pass.splits > 1 && target_ >= 0) {
      std::int64_t vectors = std::int64_t(pass.blocks) * pass.targetHeight * pass.targetWidth;
      std::int64_t row = (std::int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * pass.packedChannels;
      target_ = row * vectors + tile * kTileVectors + vector;
    }
  }
  // kQuads successive quads of the m-th live channel of the group.
  template <int kQuads>
  __device__ void store(int m, const float4 (&quads)[kQuads]) const {
    if (target_ < 0 || m >= header_.targets) return;
    if (pass_.splits > 1) {
      std::int64_t vectors = std::int64_t(pass_.blocks) * pass_.targetHeight * pass_.targetWidth;
#pragma unroll
      for (int q = 0; q < kQuads; q++)
        global(pass_.partial).store4((target_ + m * vectors) * kLanes + lane_ + q * 4, quads[q]);
      return;
    }
    int channel = channelAt(pass_.target, header_.firstTarget + m);
    float bias = pass_.bias ? float(global(pass_.bias)[channel]) : 0.0f;
#pragma unroll
    for (int q = 0; q < kQuads; q++) storeQuad(pass_, target_, lane_ + q * 4, channel, bias, quads[q]);
  }

 private:
  const Pass& pass_;
  Header header_;
  int lane_;
  std::int64_t target_;
};

}  // namespace selfcompress::cuda::conv
