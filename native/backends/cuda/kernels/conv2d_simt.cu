// Passes in float32 on CUDA cores: the reference path of the backend, and the only one before compute capability 8.0.
//
// A block of 8 warps computes up to 128 live target channels times 128 columns (8 vectors), 16 rows of k at a time. A
// thread has one quad of columns and, of every 32 channels, the four that belong to its warp, up to 16 x 4 sums; so a
// row of k costs it one 16-byte load of B (a warp's are 512 consecutive bytes) and for every 4 channels one of A, the
// same for the whole warp. Neither meets a bank twice. The loop is compiled for 32, 64, 96 and 128 channels: dead ones
// cost nothing beyond the next multiple of 32. Sums are taken in the order of k by one thread.
#include "cuda/kernels/conv2d_load.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kThreads = 256, kTileChannels = 128, kTileRows = 16, kStages = 3;
using Columns = ColumnLoader<kThreads, kTileRows, kTileColumns>;
constexpr int kWeights = kTileRows * kTileChannels;  // floats of A in a stage
constexpr int kStageFloats = kWeights + Columns::kFloats;
constexpr int kTargetsAt = kStages * kStageFloats * int(sizeof(float)), kBytes = kTargetsAt + kTargetBytes;

using Sums = float[16][4];  // [32-channel part * 4 + channel][lane of the quad]

template <int kParts>
__device__ inline void accumulate(int stage, Sums& sum) {
  Shared<const float> a = sharedArray<const float>(stage * kStageFloats * 4, kWeights);
  Shared<const float> b = sharedArray<const float>((stage * kStageFloats + kWeights) * 4, Columns::kFloats);
  int first = int(threadIdx.x) / 32 * 4, column = int(threadIdx.x) % 32 * 4;
#pragma unroll 2
  for (int k = 0; k < kTileRows; k++) {
    float4 in = b.load4(k * kTileColumns + column);
#pragma unroll
    for (int part = 0; part < kParts; part++) {
      float4 w = a.load4(k * kTileChannels + part * 32 + first);
      const float weights[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        float(&s)[4] = sum[part * 4 + i];
        s[0] = fmaf(weights[i], in.x, s[0]), s[1] = fmaf(weights[i], in.y, s[1]);
        s[2] = fmaf(weights[i], in.z, s[2]), s[3] = fmaf(weights[i], in.w, s[3]);
      }
    }
  }
}

// Channels beyond the packed ones are zeros.
__device__ inline void loadWeights(const Pass& pass, Global<const float> packed, int stage, int firstRow,
                                   int channels) {
  Shared<float> to = sharedArray<float>(stage * kStageFloats * 4, kWeights);
#pragma unroll
  for (int i = 0; i < kWeights / 4 / kThreads; i++) {
    int id = (int(threadIdx.x) + i * kThreads) * 4, row = id / kTileChannels, m = id % kTileChannels;
    bool valid = m < channels;
    std::int64_t from = valid ? std::int64_t(firstRow + row) * pass.packedChannels + m : 0;
    cpAsync16(to.at(id, 4), packed.at(from, 4), valid);
  }
}

// Grid: (tiles of vectors * tiles of channels, regions, splits of k).
__global__ void __launch_bounds__(kThreads, 2) passSimt(Pass pass, int channelTiles) {
  int tile = int(blockIdx.x) / channelTiles, firstChannel = int(blockIdx.x) % channelTiles * kTileChannels;
  int regionIndex = int(blockIdx.y);
  Header header = global<const Header>(pass.headers)[regionIndex];
  Region region = regionOf(pass, regionIndex);
  Axis rows = rowsOf(pass, region), columns = columnsOf(pass, region);
  if (firstChannel >= header.targets || tile * kTileVectors >= pass.blocks * rows.count * columns.count) return;

  int channels = header.targets - firstChannel, packedChannels = pass.packedChannels - firstChannel;
  std::int64_t words = std::int64_t(pass.packedChannels) * pass.tableRows;
  Global<const float> packed =
      global(reinterpret_cast<const float*>(pass.packed)) + (words * regionIndex + firstChannel);
  Columns loader(pass, rows, columns, tile, pass.table + std::int64_t(regionIndex) * pass.tableRows);
  keepTargets(pass, rows, columns, tile, kTargetsAt);
  auto load = [&](int stage, int k) {
    loadWeights(pass, packed, stage, k * kTileRows, packedChannels);
    loader.load(sharedArray<float>((stage * kStageFloats + kWeights) * 4, Columns::kFloats), k * kTileRows);
  };
  Sums sum = {};
  TileRange tiles = tilesOf(pass, header.rows, kTileRows);
  if (channels <= 32) {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<1>(stage, sum); });
  } else if (channels <= 64) {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<2>(stage, sum); });
  } else if (channels <= 96) {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<3>(stage, sum); });
  } else {
    pipeline<kStages>(tiles, load, [&](int stage) { accumulate<4>(stage, sum); });
  }

  __syncthreads();
  Output output(pass, tile, int(threadIdx.x) % 32 / 4, int(threadIdx.x) % 4 * 4, kTargetsAt);
#pragma unroll
  for (int i = 0; i < 16; i++) {
    int m = firstChannel + i / 4 * 32 + int(threadIdx.x) / 32 * 4 + i % 4;
    output.store<1>(m, {{sum[i][0], sum[i][1], sum[i][2], sum[i][3]}});
  }
}

}  // namespace

void passFloat32(Stream& stream, const char* operation, const Pass& pass) {
  int channelTiles = (pass.target.perGroup + kTileChannels - 1) / kTileChannels;
  launch(stream, operation, passSimt, passGrid(pass, channelTiles), dim3(kThreads), std::size_t(kBytes), pass,
         channelTiles);
}

}  // namespace selfcompress::cuda::conv
