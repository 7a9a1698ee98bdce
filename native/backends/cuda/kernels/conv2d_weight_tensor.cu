// Weight gradient on tensor cores (conv2d_weight.cuh). A block computes 64 * kWarpsM output channels times 128 rows of
// the table, two vectors at a time; warps stand as in conv2d_tensor.cu, and as there the loop is compiled for each
// number of live runs of 16 channels.
//
// The order of the lanes within the sum is free as long as both operands agree. Lane t of four takes the quad t of a
// vector with one 16-byte load; its four numbers are what mma wants of it in two TF32 steps or one BF16 step:
//
//     TF32   first step: k = t is number 0, k = t + 4 number 1; second step: numbers 2 and 3
//     BF16   k = 2t, 2t + 1: numbers 0, 1;  k = 2t + 8, 2t + 9: numbers 2, 3
#include "cuda/kernels/conv2d_weight.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kVectors = 2, kStages = 3, kMaxRuns = 4;

template <int kWarpsM>
struct Sizes {
  static constexpr int kThreads = 128 * kWarpsM, kChannels = 16 * kMaxRuns * kWarpsM;
  using Loader = WeightLoader<kThreads, kChannels, kVectors>;
  static constexpr int kStageBytes = Loader::kStageFloats * int(sizeof(float));
  static constexpr int kListAt = kStages * kStageBytes, kBytes = kListAt + Loader::kListBytes;
};

using Sums = float[kMaxRuns][4][4];  // [run of 16 channels][run of 8 rows][accumulators of mma]

// A quad of lanes in the format of the operands.
template <Precision kPrecision>
struct Quad {
  std::uint32_t word[kPrecision == Precision::kTf32 ? 4 : 2];
  __device__ explicit Quad(float4 v) {
    if constexpr (kPrecision == Precision::kTf32) {
      word[0] = toTf32(v.x), word[1] = toTf32(v.y), word[2] = toTf32(v.z), word[3] = toTf32(v.w);
    } else {
      word[0] = packBf16(v.x, v.y), word[1] = packBf16(v.z, v.w);
    }
  }
};
// sum += A * B over one vector. low, high: of channels lane / 4 and lane / 4 + 8; b: of row lane / 4.
template <Precision kPrecision>
__device__ inline void multiply(float (&sum)[4], const Quad<kPrecision>& low, const Quad<kPrecision>& high,
                                const Quad<kPrecision>& b) {
  if constexpr (kPrecision == Precision::kTf32) {
    mmaTf32(sum, {low.word[0], high.word[0], low.word[1], high.word[1]}, {b.word[0], b.word[1]});
    mmaTf32(sum, {low.word[2], high.word[2], low.word[3], high.word[3]}, {b.word[2], b.word[3]});
  } else {
    mmaBf16(sum, {low.word[0], high.word[0], low.word[1], high.word[1]}, {b.word[0], b.word[1]});
  }
}

template <Precision kPrecision, int kWarpsM, int kRuns>
__device__ inline void accumulate(int stage, Sums& sum) {
  using S = Sizes<kWarpsM>;
  using Q = Quad<kPrecision>;
  int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  Shared<const float> data = sharedArray<const float>(stage * S::kStageBytes, S::Loader::kStageFloats);
  constexpr int k8 = kEightRows<kVectors>;
#pragma unroll 1  // both vectors at once need more registers than there are
  for (int v = 0; v < kVectors; v++) {
    const int at = quadAt<kVectors>(lane / 4, v * 4 + lane % 4);
    const int rows = at + (S::kChannels / 8 + warp % 4 * 4) * k8, channels = at + warp / 4 * 2 * k8;
    const Q b[4] = {Q(data.load4(rows)), Q(data.load4(rows + k8)), Q(data.load4(rows + 2 * k8)),
                    Q(data.load4(rows + 3 * k8))};
#pragma unroll
    for (int run = 0; run < kRuns; run++) {
      int m = channels + run * kWarpsM * 2 * k8;
      Q low(data.load4(m)), high(data.load4(m + k8));
#pragma unroll
      for (int j = 0; j < 4; j++) multiply<kPrecision>(sum[run][j], low, high, b[j]);
    }
  }
}

template <int kWarpsM>
__device__ inline void storeSums(const WeightPass& w, const Sums& sum) {
  int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  WeightOutput output(w, Sizes<kWarpsM>::kChannels, Sizes<kWarpsM>::kListAt);
#pragma unroll
  for (int run = 0; run < kMaxRuns; run++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int d = 0; d < 4; d++)
        output.store((run * kWarpsM + warp / 4) * 16 + lane / 4 + d / 2 * 8,
                     warp % 4 * 32 + j * 8 + lane % 4 * 2 + d % 2, sum[run][j][d]);
}

template <Precision kPrecision, int kWarpsM>
__global__ void __launch_bounds__(128 * kWarpsM, kWarpsM == 2 ? 2 : 3) weightTensor(WeightPass w, int channelTiles) {
  using S = Sizes<kWarpsM>;
  WeightTile t = weightTile(w, channelTiles, S::kChannels);
  if (t.empty()) return;
  typename S::Loader loader(w, t.header, t.firstChannel, t.firstRow, t.begin, t.end, S::kListAt);
  auto load = [&](int stage, int) { loader.load(sharedArray<float>(stage * S::kStageBytes, S::Loader::kStageFloats)); };
  Sums sum = {};
  TileRange chunks{0, (t.end - t.begin + kVectors - 1) / kVectors};
  int runs = (t.header.targets - t.firstChannel + 15) / 16, runsPerWarp = (runs + kWarpsM - 1) / kWarpsM;
  bool idle = t.firstRow + int(threadIdx.x) % 128 / 32 * 32 >= t.header.rows;  // no row of this warp is live
  if (runsPerWarp == 1) {
    pipeline<kStages>(chunks, load, [&](int s) {
      if (!idle) accumulate<kPrecision, kWarpsM, 1>(s, sum);
    });
  } else if (runsPerWarp == 2) {
    pipeline<kStages>(chunks, load, [&](int s) {
      if (!idle) accumulate<kPrecision, kWarpsM, 2>(s, sum);
    });
  } else if (runsPerWarp == 3) {
    pipeline<kStages>(chunks, load, [&](int s) {
      if (!idle) accumulate<kPrecision, kWarpsM, 3>(s, sum);
    });
  } else {
    pipeline<kStages>(chunks, load, [&](int s) {
      if (!idle) accumulate<kPrecision, kWarpsM, 4>(s, sum);
    });
  }
  storeSums<kWarpsM>(w, sum);
}

template <Precision kPrecision>
void launchWeight(Stream& stream, const WeightPass& w) {
  int channels = w.pass.target.perGroup;
  if (channels > 64) {
    int tiles = (channels + 127) / 128;
    launch(stream, kWeightName, weightTensor<kPrecision, 2>, weightGrid(w, tiles), dim3(Sizes<2>::kThreads),
           std::size_t(Sizes<2>::kBytes), w, tiles);
  } else {
    launch(stream, kWeightName, weightTensor<kPrecision, 1>, weightGrid(w, 1), dim3(Sizes<1>::kThreads),
           std::size_t(Sizes<1>::kBytes), w, 1);
  }
}

}  // namespace

void weightTensorCores(Stream& stream, const WeightPass& w, Precision precision) {
  if (precision == Precision::kTf32) {
    launchWeight<Precision::kTf32>(stream, w);
  } else {
    launchWeight<Precision::kBfloat16>(stream, w);
  }
}

}  // namespace selfcompress::cuda::conv
