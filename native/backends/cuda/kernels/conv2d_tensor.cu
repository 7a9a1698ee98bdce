// Passes on tensor cores (compute capability 8.0 and later): mma.sync with TF32 or BF16 operands and float32 sums,
// fed by a pipeline of cp.async copies. Hopper's wgmma and TMA are not used: wgmma takes its operands from shared
// memory in the operands' own format, and activations are float32 in memory, so they would have to be converted there.
//
// A block computes 64 * kWarpsM live target channels times 128 columns (8 vectors). Warps stand in kWarpsM rows of
// four; a warp has 32 columns and every kWarpsM-th run of 16 channels, so that few live channels are shared out evenly,
// and the loop is compiled for 1, 2, 3 and 4 runs, so that dead ones are not multiplied. A tile that starts beyond the
// live channels returns at once.
//
// Shared memory, and why its accesses meet no bank twice:
//   A  fragments in the order of conv2d_pack.cu; one 16-byte load a lane, consecutive lanes side by side.
//   B  [row][136 floats]. mma's column g of the warp's j-th 8 columns is float 4g + j of its 32, so a lane's fragments
//      of one row are one 16-byte load at 4 * (lane / 4), in row lane % 4. A quarter of a warp reads four rows and two
//      neighbouring quads of each: banks 8r + {0..7}, since 136 = 8 mod 32. All 32, once each.
// The same numbering of columns gives a lane eight consecutive floats of a result row: two 16-byte stores.
#include "cuda/kernels/conv2d_load.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kStride = kTileColumns + 8;
constexpr int kMaxRuns = 4;  // of 16 channels, in a warp
constexpr int kStepsPerTile = 2;

struct alignas(16) Fragment {
  std::uint32_t word[4];
};

template <Precision kPrecision>
struct Tile;
template <>
struct Tile<Precision::kTf32> {
  static constexpr int kStepRows = 8, kRows = kStepRows * kStepsPerTile, kStages = 4, kUnroll = 2;
};
template <>
struct Tile<Precision::kBfloat16> {
  static constexpr int kStepRows = 16, kRows = kStepRows * kStepsPerTile, kStages = 3, kUnroll = 1;
};

template <Precision kPrecision, int kWarpsM>
struct Sizes {
  static constexpr int kThreads = 128 * kWarpsM, kRuns = kMaxRuns * kWarpsM, kChannels = 16 * kRuns;
  static constexpr int kFragments = kRuns * kStepsPerTile * 32;  // of A in a stage
  using Columns = ColumnLoader<kThreads, Tile<kPrecision>::kRows, kStride>;
  // On a multiprocessor: what shared memory allows where there is most (227 KB).
  static constexpr int kBlocks = kWarpsM == 2 ? 2 : kPrecision == Precision::kTf32 ? 4 : 3;
  static constexpr int kFragmentBytes = kFragments * int(sizeof(Fragment));
  static constexpr int kStageBytes = kFragmentBytes + Columns::kFloats * int(sizeof(float));
  static constexpr int kTargetsAt = Tile<kPrecision>::kStages * kStageBytes, kBytes = kTargetsAt + kTargetBytes;
};

// B's fragments of the four runs of 8 columns, for one step whose first row of this lane is at `at`.
template <Precision kPrecision>
__device__ inline void loadColumns(Shared<const float> rows, int at, std::uint32_t (&b)[4][2]) {
  if constexpr (kPrecision == Precision::kTf32) {
    float4 low = rows.load4(at), high = rows.load4(at + 4 * kStride);
    b[0][0] = toTf32(low.x), b[1][0] = toTf32(low.y), b[2][0] = toTf32(low.z), b[3][0] = toTf32(low.w);
    b[0][1] = toTf32(high.x), b[1][1] = toTf32(high.y), b[2][1] = toTf32(high.z), b[3][1] = toTf32(high.w);
  } else {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float4 low = rows.load4(at + half * 8 * kStride), high = rows.load4(at + (half * 8 + 4) * kStride);
      b[0][half] = packBf16(low.x, high.x), b[1][half] = packBf16(low.y, high.y);
      b[2][half] = packBf16(low.z, high.z), b[3][half] = packBf16(low.w, high.w);
    }
  }
}

template <Precision kPrecision>
__device__ inline void multiply(float (&d)[4], const Fragment& a, const std::uint32_t (&b)[2]) {
  if constexpr (kPrecision == Precision::kTf32) mmaTf32(d, a.word, b);
  if constexpr (kPrecision == Precision::kBfloat16) mmaBf16(d, a.word, b);
}

using Sums = float[kMaxRuns][4][4];  // [run of 16 channels][run of 8 columns][accumulators of mma]

// One tile of k.
template <Precision kPrecision, int kWarpsM, int kRuns>
__device__ inline void accumulate(int stage, Sums& sum) {
  using S = Sizes<kPrecision, kWarpsM>;
  int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  Shared<const Fragment> a = sharedArray<const Fragment>(stage * S::kStageBytes, S::kFragments);
  Shared<const float> columns =
      sharedArray<const float>(stage * S::kStageBytes + S::kFragmentBytes, S::Columns::kFloats);
#pragma unroll(Tile <kPrecision>::kUnroll)
  for (int step = 0; step < kStepsPerTile; step++) {
    std::uint32_t b[4][2];
    int row = step * Tile<kPrecision>::kStepRows + lane % 4;
    loadColumns<kPrecision>(columns, row * kStride + warp % 4 * 32 + lane / 4 * 4, b);
#pragma unroll
    for (int run = 0; run < kRuns; run++) {
      Fragment fragment = a[((run * kWarpsM + warp / 4) * kStepsPerTile + step) * 32 + lane];
#pragma unroll
      for (int j = 0; j < 4; j++) multiply<kPrecision>(sum[run][j], fragment, b[j]);
    }
  }
}

// A's fragments of one tile of k. Runs of channels without a live one are zeros; they need not have been packed.
template <Precision kPrecision, int kWarpsM>
__device__ inline void loadFragments(const Pass& pass, Global<const Fragment> packed, int stage, int tile, int runs) {
  using S = Sizes<kPrecision, kWarpsM>;
  constexpr int kPerRun = kStepsPerTile * 32;
  Shared<Fragment> to = sharedArray<Fragment>(stage * S::kStageBytes, S::kFragments);
  int perRun = pass.tableRows / Tile<kPrecision>::kStepRows * 32;  // fragments of 16 channels in `packed`
#pragma unroll
  for (int i = 0; i < S::kFragments / S::kThreads; i++) {
    int id = int(threadIdx.x) + i * S::kThreads, run = id / kPerRun;
    bool valid = run < runs;
    std::int64_t from = valid ? std::int64_t(run) * perRun + tile * kPerRun + id % kPerRun : 0;
    cpAsync16(to.at(id), packed.at(from), valid);
  }
}

template <Precision kPrecision, int kWarpsM>
__device__ inline void storeSums(const Pass& pass, int tile, int firstChannel, const Sums& sum) {
  int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  Output output(pass, tile, warp % 4 * 2 + lane % 4 / 2, lane % 2 * 8, Sizes<kPrecision, kWarpsM>::kTargetsAt);
#pragma unroll
  for (int run = 0; run < kMaxRuns; run++)
#pragma unroll
    for (int d = 0; d < 4; d += 2) {  // the accumulators of row lane / 4 and of 8 rows further down
      int m = firstChannel + (run * kWarpsM + warp / 4) * 16 + d * 4 + lane / 4;
      const float(&s)[4][4] = sum[run];
      output.store<2>(m, {{s[0][d], s[1][d], s[2][d], s[3][d]}, {s[0][d + 1], s[1][d + 1], s[2][d + 1], s[3][d + 1]}});
    }
}

// Grid: (tiles of vectors * tiles of channels, the latter inner so that neighbours share B; regions; splits of k).
template <Precision kPrecision, int kWarpsM>
__global__ void __launch_bounds__(128 * kWarpsM, Sizes<kPrecision, kWarpsM>::kBlocks)
    passTensor(Pass pass, int channelTiles) {
  using S = Sizes<kPrecision, kWarpsM>;
  int tile = int(blockIdx.x) / channelTiles, firstChannel = int(blockIdx.x) % channelTiles * S::kChannels;
  int regionIndex = int(blockIdx.y);
  Header header = global<const Header>(pass.headers)[regionIndex];
  Region region = regionOf(pass, regionIndex);
  Axis rows = rowsOf(pass, region), columns = columnsOf(pass, region);
  if (firstChannel >= header.targets || tile * kTileVectors >= pass.blocks * rows.count * columns.count) return;

  int runs = (header.targets - firstChannel + 15) / 16, runsPerWarp = (runs + kWarpsM - 1) / kWarpsM;
  Global<const Fragment> packed = global(reinterpret_cast<const Fragment*>(pass.packed));
  std::int64_t perRun = pass.tableRows / Tile<kPrecision>::kStepRows * 32;
  packed = packed + perRun * (std::int64_t(regionIndex) * (pass.packedChannels / 16) + firstChannel / 16);
  typename S::Columns loader(pass, rows, columns, tile, pass.table + std::int64_t(regionIndex) * pass.tableRows);
  keepTargets(pass, rows, columns, tile, S::kTargetsAt);
  auto load = [&](int stage, int k) {
    loadFragments<kPrecision, kWarpsM>(pass, packed, stage, k, runs);
    loader.load(sharedArray<float>(stage * S::kStageBytes + S::kFragmentBytes, S::Columns::kFloats),
                k * Tile<kPrecision>::kRows);
  };
  Sums sum = {};
  TileRange tiles = tilesOf(pass, header.rows, Tile<kPrecision>::kRows);
  constexpr int kStages = Tile<kPrecision>::kStages;
  if (runsPerWarp == 1) {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<kPrecision, kWarpsM, 1>(stage, sum); });
  } else if (runsPerWarp == 2) {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<kPrecision, kWarpsM, 2>(stage, sum); });
  } else if (runsPerWarp == 3) {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<kPrecision, kWarpsM, 3>(stage, sum); });
  } else {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<kPrecision, kWarpsM, 4>(stage, sum); });
  }

  __syncthreads();
  storeSums<kPrecision, kWarpsM>(pass, tile, firstChannel, sum);
}

template <Precision kPrecision, int kWarpsM>
void launchTensor(Stream& stream, const char* operation, const Pass& pass) {
  using S = Sizes<kPrecision, kWarpsM>;
  int channelTiles = (pass.target.perGroup + S::kChannels - 1) / S::kChannels;
  launch(stream, operation, passTensor<kPrecision, kWarpsM>, passGrid(pass, channelTiles), dim3(S::kThreads),
         std::size_t(S::kBytes), pass, channelTiles);
}

// The larger tile reads B half as often; it is taken where it leaves two blocks for every multiprocessor. The order of
// the sums, and so the result, is the same.
template <Precision kPrecision>
void chooseTile(Stream& stream, const char* operation, const Pass& pass) {
  std::int64_t blocks = std::int64_t(vectorTiles(pass)) * ((pass.target.perGroup + 127) / 128) * regions(pass);
  if (pass.target.perGroup > 64 && blocks >= 2 * limits(stream).multiprocessors) {
    launchTensor<kPrecision, 2>(stream, operation, pass);
  } else {
    launchTensor<kPrecision, 1>(stream, operation, pass);
  }
}

}  // namespace

void passTensorCores(Stream& stream, const char* operation, const Pass& pass, Precision precision) {
  if (precision == Precision::kTf32) {
    chooseTile<Precision::kTf32>(stream, operation, pass);
  } else {
    chooseTile<Precision::kBfloat16>(stream, operation, pass);
  }
}

}  // namespace selfcompress::cuda::conv
