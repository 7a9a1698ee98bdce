// Weight gradient in float32 on CUDA cores (conv2d_weight.cuh). A block of 8 warps computes 64 output channels times
// 128 rows of the table, one vector at a time. A thread has rows lane + 32 * j and every eighth channel, up to 8 x 4
// sums; a quad of lanes costs it one load for each of its rows and one, the same for the whole warp, for each of its
// channels: 12 loads for 128 multiply-adds. The loop is compiled for 16, 32 and 64 live channels.
#include "cuda/kernels/conv2d_weight.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kThreads = 256, kChannels = 64, kVectors = 1, kStages = 4;
using Loader = WeightLoader<kThreads, kChannels, kVectors>;
constexpr int kStageBytes = Loader::kStageFloats * int(sizeof(float));
constexpr int kListAt = kStages * kStageBytes, kBytes = kListAt + Loader::kListBytes;

using Sums = float[8][4];

template <int kParts>
__device__ inline void accumulate(int stage, Sums& sum) {
  Shared<const float> data = sharedArray<const float>(stage * kStageBytes, Loader::kStageFloats);
  int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll 2
  for (int quad = 0; quad < kLanes / 4; quad++) {
    const int rows = quadAt<kVectors>(kChannels + lane, quad), channels = quadAt<kVectors>(warp, quad);
    float4 in[4];
#pragma unroll
    for (int j = 0; j < 4; j++) in[j] = data.load4(rows + 4 * j * kEightRows<kVectors>);
#pragma unroll
    for (int i = 0; i < kParts; i++) {
      float4 grad = data.load4(channels + i * kEightRows<kVectors>);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float s = fmaf(grad.x, in[j].x, sum[i][j]);
        s = fmaf(grad.y, in[j].y, s);
        s = fmaf(grad.z, in[j].z, s);
        sum[i][j] = fmaf(grad.w, in[j].w, s);
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads, 2) weightSimt(WeightPass w, int channelTiles) {
  WeightTile t = weightTile(w, channelTiles, kChannels);
  if (t.empty()) return;
  Loader loader(w, t.header, t.firstChannel, t.firstRow, t.begin, t.end, kListAt);
  auto load = [&](int stage, int) { loader.load(sharedArray<float>(stage * kStageBytes, Loader::kStageFloats)); };
  Sums sum = {};
  TileRange chunks{0, t.end - t.begin};
  int channels = t.header.targets - t.firstChannel;
  if (channels <= 16) {
    pipeline<kStages>(chunks, load, [&](int stage) { accumulate<2>(stage, sum); });
  } else if (channels <= 32) {
    pipeline<kStages>(chunks, load, [&](int stage) { accumulate<4>(stage, sum); });
  } else {
    pipeline<kStages>(chunks, load, [&](int stage) { accumulate<8>(stage, sum); });
  }
  WeightOutput output(w, kChannels, kListAt);
#pragma unroll
  for (int i = 0; i < 8; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) output.store(int(threadIdx.x) / 32 + 8 * i, int(threadIdx.x) % 32 + 32 * j, sum[i][j]);
}

}  // namespace

void weightFloat32(Stream& stream, const WeightPass& w) {
  int tiles = (w.pass.target.perGroup + kChannels - 1) / kChannels;
  launch(stream, kWeightName, weightSimt, weightGrid(w, tiles), dim3(kThreads), std::size_t(kBytes), w, tiles);
}

}  // namespace selfcompress::cuda::conv
