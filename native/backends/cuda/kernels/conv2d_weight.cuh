// Weight gradient: a matrix product over all pixels of all images,
//
//     gradWeight[m, n] = sum_{vector v, lane l} gradOutput[m, v, l] * input[n, v, l]
//
// m: live output channels of a group; n: rows of the pass's table (live input channels times taps), the input shifted
// by the tap; v: vectors of the output. The sum runs over memory that is contiguous in both operands.
//
// It is split over blocks of the grid into runs of vectors, by the geometry and the batch alone. Each block leaves its
// part of the sum in `partial`, in the place of the weight; a last kernel adds the parts in their order and writes
// every weight, zeros for channels that are not live. So the result depends neither on the device nor on scheduling.
//
// Shared memory: kVectors vectors of every m and of every n, [m, then n][16 * kVectors floats]. A row's quads of lanes
// are swapped among each other by the row's number (`quadAt`). Then no bank is met twice: neither when a quarter of a
// warp stores the quads of one or two rows, nor when it reads a quad each of eight successive rows (CUDA cores), nor
// when it reads four quads each of two successive rows (mma).
#pragma once

#include "cuda/kernels/conv2d_load.cuh"

namespace selfcompress::cuda::conv {

struct WeightPass {
  Pass pass;  // of the forward convolution: its table, its lists; values = input
  const float* gradOutput = nullptr;
  float* gradWeight = nullptr;
  float* gradBias = nullptr;
  int splits = 1, vectorsPerSplit = 0;
  float* partial = nullptr;      // [split][weights]
  float* biasPartial = nullptr;  // [kBiasSplits][outChannels]
};
inline constexpr int kBiasSplits = 16;
inline constexpr const char* kWeightName = "conv2d weight gradient";
inline constexpr int kWeightRows = 128;  // n of a tile

template <int kVectors>
__device__ inline int quadAt(int row, int quad) {
  int swap = row / 2 % 4 + (kVectors == 2 ? row % 2 * 4 : 0);
  return row * kLanes * kVectors + (quad ^ swap) * 4;
}
// 8 rows further on the quads are swapped in the same way.
template <int kVectors>
constexpr int kEightRows = 8 * kLanes* kVectors;

// Brings kVectors vectors at a time of a tile's rows, in order. Each thread keeps one quad of one of them.
template <int kThreads, int kChannels, int kVectors>
class WeightLoader {
 public:
  static constexpr int kStageFloats = (kChannels + kWeightRows) * kLanes * kVectors;
  static constexpr int kListBytes = kWeightRows * int(sizeof(Row)) + kChannels * int(sizeof(int));

  // listAt: byte offset of the tile's list of rows and channels in shared memory.
  __device__ WeightLoader(const WeightPass& w, const Header& header, int firstChannel, int firstRow, int begin, int end,
                          int listAt)
      : pass_(w.pass), grad_(w.gradOutput), list_(listAt), vector_(begin + int(threadIdx.x) / 4 % kVectors), end_(end) {
    Pixel at = pixelOf(pass_.geometry.outHeight(), pass_.geometry.outWidth());
    block_ = at.block, y_ = at.qy, x_ = at.qx;
    keepLists(header, firstChannel, firstRow);
  }
  // The next vectors; rows and channels that do not exist and pixels that are padding are zeros.
  __device__ void load(Shared<float> to) {
    const int quad = int(threadIdx.x) % 4, place = int(threadIdx.x) % (4 * kVectors);
    const int row = int(threadIdx.x) / (4 * kVectors);
    const int height = pass_.targetHeight, width = pass_.targetWidth;
    std::int64_t gradAt = (std::int64_t(block_) * pass_.target.total * height + y_) * width + x_;
    Global<const float> grad = global(grad_), values = global(pass_.values);
    Shared<const int> channels = sharedArray<const int>(list_ + kWeightRows * int(sizeof(Row)), kChannels);
#pragma unroll
    for (int i = 0; i < kChannels / kRowStep; i++) {
      int m = row + i * kRowStep, channel = channels[m];
      bool valid = channel >= 0 && vector_ < end_;
      std::int64_t from = valid ? (gradAt + std::int64_t(channel) * height * width) * kLanes + quad * 4 : 0;
      cpAsync16(to.at(quadAt<kVectors>(m, place), 4), grad.at(from, 4), valid);
    }
    Start start = startOf();
    Shared<const Row> rows = sharedArray<const Row>(list_, kWeightRows);
#pragma unroll 4
    for (int i = 0; i < kWeightRows / kRowStep; i++) {
      int n = row + i * kRowStep;
      Row r = rows[n];
      bool valid = meets(pass_, start, r);
      std::int64_t from = valid ? (start.source + r.source) * kLanes + quad * 4 : 0;
      cpAsync16Cached(to.at(quadAt<kVectors>(kChannels + n, place), 4), values.at(from, 4), valid);
    }
    advance();
  }

 private:
  static constexpr int kRowStep = kThreads / (4 * kVectors);

  __device__ Pixel pixelOf(int height, int width) const {
    int block = vector_ / (height * width), pixel = vector_ - block * height * width;
    return {block, pixel / width, pixel % width};
  }
  __device__ void keepLists(const Header& header, int firstChannel, int firstRow) const {
    Shared<int> rows = sharedArray<int>(list_, kWeightRows * 4);
    Global<const Row> table = global<const Row>(pass_.table) + std::int64_t(blockIdx.y) * pass_.tableRows;
    for (int n = int(threadIdx.x); n < kWeightRows; n += kThreads) {
      Row row{0, kNowhere, kNowhere, 0};
      if (firstRow + n < header.rows) row = table[firstRow + n];
      rows[n * 4] = row.source, rows[n * 4 + 1] = row.dy, rows[n * 4 + 2] = row.dx, rows[n * 4 + 3] = row.weight;
    }
    Shared<int> channels = sharedArray<int>(list_ + kWeightRows * int(sizeof(Row)), kChannels);
    for (int m = int(threadIdx.x); m < kChannels; m += kThreads)
      channels[m] =
          firstChannel + m < header.targets ? channelAt(pass_.target, header.firstTarget + firstChannel + m) : -1;
    __syncthreads();
  }
  __device__ Start startOf() const {
    if (vector_ >= end_) return {0, kNowhere, kNowhere};
    const Conv2dGeometry& g = pass_.geometry;
    int y = y_ * g.strideH - g.padH, x = x_ * g.strideW - g.padW;
    return {(std::int64_t(block_) * pass_.source.total * pass_.sourceHeight + y) * pass_.sourceWidth + x, y, x};
  }
  __device__ void advance() {
    vector_ += kVectors, x_ += kVectors;
    while (x_ >= pass_.targetWidth) {
      x_ -= pass_.targetWidth;
      if (++y_ == pass_.targetHeight) y_ = 0, block_++;
    }
  }

  const Pass& pass_;
  const float* grad_;
  int list_, vector_, end_, block_, y_, x_;
};

// The part of the grid that a block works on. Grid: (tiles of m * tiles of n, groups, splits).
struct WeightTile {
  Header header;
  int firstChannel, firstRow, begin, end;
  __device__ bool empty() const { return firstChannel >= header.targets || firstRow >= header.rows; }
};
__device__ inline WeightTile weightTile(const WeightPass& w, int channelTiles, int channels) {
  WeightTile t;
  t.header = global<const Header>(w.pass.headers)[blockIdx.y];
  t.firstChannel = int(blockIdx.x) % channelTiles * channels;
  t.firstRow = int(blockIdx.x) / channelTiles * kWeightRows;
  int vectors = w.pass.blocks * w.pass.targetHeight * w.pass.targetWidth;
  t.begin = int(blockIdx.z) * w.vectorsPerSplit;
  t.end = t.begin + w.vectorsPerSplit < vectors ? t.begin + w.vectorsPerSplit : vectors;
  return t;
}
inline dim3 weightGrid(const WeightPass& w, int channelTiles) {
  int area = w.pass.geometry.kernelHeight * w.pass.geometry.kernelWidth;
  int rowTiles = (w.pass.source.perGroup * area + kWeightRows - 1) / kWeightRows;
  return dim3(unsigned(channelTiles * rowTiles), unsigned(w.pass.geometry.groups), unsigned(w.splits));
}

// Elements of a tile's sums to their places among the weights. The tile's lists are still in shared memory.
class WeightOutput {
 public:
  __device__ WeightOutput(const WeightPass& w, int channels, int listAt)
      : pass_(w.pass),
        to_(global(w.partial) + blockIdx.z * w.pass.geometry.weights()),
        rows_(sharedArray<const Row>(listAt, kWeightRows)),
        channels_(sharedArray<const int>(listAt + kWeightRows * int(sizeof(Row)), channels)) {}
  __device__ void store(int m, int n, float sum) const {
    int channel = channels_[m];
    Row row = rows_[n];
    if (channel >= 0 && row.dy != kNowhere) to_[int(targetWeight(pass_, channel)) + row.weight] = sum;
  }

 private:
  const Pass& pass_;
  Global<float> to_;
  Shared<const Row> rows_;
  Shared<const int> channels_;
};

}  // namespace selfcompress::cuda::conv
