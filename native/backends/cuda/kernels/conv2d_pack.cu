// The table of rows of a pass, and its weights in the order in which the products load them.
//
// kColumns, for CUDA cores: [k][packedChannels], so that a tile of 128 channels is a run of each row.
//
// kTf32, kBfloat16: the operand A of mma as one warp's lanes hold it (ptx.h), [16 channels][step][lane][4 words], so
// that a lane's fragment is one 16-byte load of shared memory and a warp's are 512 consecutive bytes: free of bank
// conflicts without padding. A step is 8 rows of k (TF32) or 16 (BF16, two to a word). Which row of the step is called
// k = 0, 1, ... is free as long as A and B agree; the BF16 order makes B's loads conflict-free (conv2d_tensor.cu):
//
//     k in ptx.h:            2t     2t+1    2t+8    2t+9      (t = lane % 4)
//     row within the step:   t      t+4     t+8     t+12
#include "cuda/kernels/conv2d_pass.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kThreads = 256;

// Of a region; more than tableRows, and whole blocks.
__host__ __device__ inline std::int64_t packedWords(const Pass& pass, Packing packing) {
  return std::int64_t(pass.packedChannels) * pass.tableRows / (packing == Packing::kBfloat16 ? 2 : 1);
}
static_assert(kChannelUnit * kRowUnit / 2 % kThreads == 0);

// The weight that multiplies row k for the m-th live target channel; zero outside of both.
struct Operand {
  const Pass& pass;
  Segment source, target;
  Taps h, w;
  __device__ float at(int m, int k) const {
    if (m >= target.count || k >= source.count * h.count * w.count) return 0;
    Row row = makeRow(pass, source, h, w, k);
    return global(pass.weight)[targetWeight(pass, channelAt(pass.target, target.first + m)) + row.weight];
  }
};

__device__ inline std::uint32_t packedWord(const Operand& a, Packing packing, int stepRows, int word) {
  int reg = word % 4, lane = word / 4 % 32, fragment = word / 128, steps = a.pass.tableRows / stepRows;
  int m = fragment / steps * 16 + lane / 4 + reg % 2 * 8, k = fragment % steps * stepRows + lane % 4;
  if (packing == Packing::kTf32) return toTf32(a.at(m, k + reg / 2 * 4));
  return packBf16(a.at(m, k + reg / 2 * 8), a.at(m, k + reg / 2 * 8 + 4));
}

// Grid: (words of a region, regions). Words of rows and channels beyond the live ones' tiles are left as they are.
__global__ void __launch_bounds__(kThreads) packPass(Pass pass, Packing packing) {
  int id = int(blockIdx.x) * kThreads + int(threadIdx.x), regionIndex = int(blockIdx.y);
  Region region = regionOf(pass, regionIndex);
  Operand a{pass, liveInGroup(pass.source, region.group), liveInGroup(pass.target, region.group), tapsH(pass, region),
            tapsW(pass, region)};
  int rows = a.source.count * a.h.count * a.w.count;
  if (id == 0) {
    Global<int> header = global(&pass.headers[regionIndex].rows);
    header[0] = rows, header[1] = a.target.count, header[2] = a.target.first, header[3] = 0;
  }
  if (id < pass.tableRows) {
    Row row = makeRow(pass, a.source, a.h, a.w, id);
    Global<int> to = global(&pass.table[std::int64_t(regionIndex) * pass.tableRows + id].source);
    to[0] = row.source, to[1] = row.dy, to[2] = row.dx, to[3] = row.weight;
  }
  if (packing == Packing::kNone) return;
  int stepRows = packing == Packing::kTf32 ? 8 : 16;
  std::int64_t words = packedWords(pass, packing);
  Global<std::uint32_t> to = global(pass.packed) + words * regionIndex;
  int usedRows = (rows + kRowUnit - 1) / kRowUnit * kRowUnit;
  if (packing == Packing::kColumns) {
    if (id / pass.packedChannels >= usedRows) return;
    to[id] = __float_as_uint(a.at(id % pass.packedChannels, id / pass.packedChannels));
  } else {
    int steps = pass.tableRows / stepRows, fragment = id / 128;
    if (fragment / steps * 16 >= a.target.count || fragment % steps * stepRows >= usedRows) return;
    to[id] = packedWord(a, packing, stepRows, id);
  }
}

}  // namespace

void pack(Stream& stream, const char* operation, const Pass& pass, Packing packing) {
  std::int64_t words = packing == Packing::kNone ? pass.tableRows : packedWords(pass, packing);
  dim3 grid(unsigned((words + kThreads - 1) / kThreads),
            unsigned(pass.geometry.groups * pass.classesH * pass.classesW));
  launch(stream, operation, packPass, grid, dim3(kThreads), 0, pass, packing);
}

}  // namespace selfcompress::cuda::conv
