// Embeddings. Forward: a float4 for each thread, gathered from the dimension's row of the table.
//
// Backward: sums over the places of a token may not depend on the order in which threads run, so they are taken in
// whole numbers: a gradient is rounded to a multiple of the dimension's largest one over 2^38 and more (by the number
// of places, so that no sum overflows), which is finer than float32. A block takes some rows of one dimension in shared
// memory. A dimension with infinities or NaN is summed token by token, slowly, in the order of places.
#include <stdexcept>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kRows = 4096;  // of the table, of a block

__global__ void __launch_bounds__(kThreads) embeddingForwardKernel(EmbeddingForward a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total) return;
  const unsigned plane = v / planes.perPlane, inPlane = v % planes.perPlane;
  const int d = int(plane % planes.channels);
  if (isZero(a.state, unsigned(d))) return;
  const std::int64_t t = inPlane / kPixelVectors,
                     first = std::int64_t(plane / planes.channels) * kLanes + std::int64_t(inPlane % kPixelVectors) * 4;
  const auto row = global(a.weight) + std::int64_t(d) * a.vocabulary;
  auto value = [&](int i) {
    if (first + i >= a.batch) return 0.0f;
    const std::int32_t token = global(a.tokens)[(first + i) * a.positions + t];
    const float w = row[token];
    return w;
  };
  global(a.output).store4(std::int64_t(v) * 4, float4{value(0), value(1), value(2), value(3)});
}

// The elements of a dimension's gradients, numbered in the order of blocks, positions and lanes.
struct Places {
  int positions, batch, dimensions;
  __device__ std::int64_t count() const { return std::int64_t((batch + kLanes - 1) / kLanes) * positions * kLanes; }
  __device__ std::int64_t image(std::int64_t i) const { return i / kLanes / positions * kLanes + i % kLanes; }
  __device__ std::int64_t position(std::int64_t i) const { return i / kLanes % positions; }
  __device__ std::int64_t gradient(std::int64_t i, int d) const {
    const std::int64_t plane = std::int64_t(positions) * kLanes;
    return (i / plane * dimensions + d) * plane + i % plane;
  }
};

// largest[d] = max |g|, or NaN if one is not finite: a block for each dimension.
__global__ void __launch_bounds__(kThreads) embeddingLargestKernel(EmbeddingBackward a, Places places, float* largest) {
  const int d = int(blockIdx.x);
  float top = 0;
  bool finite = true;
  if (!isZero(a.state, unsigned(d)))
    for (std::int64_t i = threadIdx.x; i < places.count(); i += kThreads) {
      if (places.image(i) >= a.batch) continue;
      const float g = fabsf(global(a.gradOutput)[places.gradient(i, d)]);
      finite = finite && g - g == 0;
      top = g > top ? g : top;
    }
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, top, distance);
    top = other > top ? other : top;
  }
  const auto warps = sharedArray<float>(0, kWarps);
  if (threadIdx.x % 32 == 0) warps[int(threadIdx.x / 32)] = top;
  const int infinite = __syncthreads_or(finite ? 0 : 1);
  if (threadIdx.x != 0) return;
  for (int w = 0; w < kWarps; w++) {
    const float other = warps[w];
    top = other > top ? other : top;
  }
  global(largest)[d] = infinite ? NAN : top;
}

__global__ void __launch_bounds__(kThreads)
    embeddingBackwardKernel(EmbeddingBackward a, Places places, int tiles, const float* largest) {
  const auto sums = sharedArray<unsigned long long>(0, kRows);
  const int d = int(blockIdx.x) / tiles, first = int(blockIdx.x) % tiles * kRows, t = int(threadIdx.x);
  const int rows = a.vocabulary - first < kRows ? a.vocabulary - first : kRows;
  const auto result = global(a.gradWeight) + std::int64_t(d) * a.vocabulary + first;
  const auto tokens = global(a.tokens);
  const auto gradient = global(a.gradOutput);
  const float top = global(largest)[d];
  auto tokenAt = [&](std::int64_t i) {
    const std::int32_t token =
        places.image(i) < a.batch ? tokens[places.image(i) * a.positions + places.position(i)] : std::int32_t(-1);
    return token - first;
  };
  if (top != top) {
    for (int r = t; r < rows; r += kThreads) {
      double sum = 0;
      for (std::int64_t i = 0; i < places.count(); i++)
        if (tokenAt(i) == r) sum += double(gradient[places.gradient(i, d)]);
      result[r] = float(sum);
    }
    return;
  }
  for (int r = t; r < rows; r += kThreads) sums[r] = 0;
  __syncthreads();
  // |g| / top <= 1, and count() of them stay below 2^62.
  const double unit = 4611686018427387904.0 / double(places.count() + 1), scale = top > 0 ? unit / double(top) : 0.0;
  for (std::int64_t i = t; i < places.count() && top > 0; i += kThreads) {
    const int r = tokenAt(i);
    if (r < 0 || r >= rows) continue;
    const long long whole = (long long)(double(gradient[places.gradient(i, d)]) * scale);
    atomicAdd(sums.at(r), (unsigned long long)(whole));
  }
  __syncthreads();
  for (int r = t; r < rows; r += kThreads) {
    const unsigned long long sum = sums[r];
    result[r] = top > 0 ? float(double((long long)(sum)) / scale) : 0.0f;
  }
}

}  // namespace

void enqueue(Stream& stream, const EmbeddingForward& a) {
  if (a.quantizer.bitDepth)
    throw std::logic_error("Expected a quantized table for an embedding on a CUDA device but received a quantizer");
  const Planes planes = planesOf({a.dimensions, 1, a.positions}, a.batch);
  launch(stream, "embedding forward", embeddingForwardKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a,
         planes);
}

void enqueue(Stream& stream, const EmbeddingBackward& a) {
  if (a.accumulate)
    throw std::logic_error("Expected a gradient of its own for an embedding on a CUDA device but received another's");
  planesOf({a.dimensions, 1, a.positions}, a.batch);  // its size
  const Places places{a.positions, a.batch, a.dimensions};
  const int tiles = (a.vocabulary + kRows - 1) / kRows;
  auto* largest = static_cast<float*>(scratch(stream, std::size_t(a.dimensions) * sizeof(float)));
  launch(stream, "embedding backward", embeddingLargestKernel, dim3(unsigned(a.dimensions)), dim3(kThreads),
         kWarps * sizeof(float), a, places, largest);
  launch(stream, "embedding backward", embeddingBackwardKernel, dim3(unsigned(a.dimensions) * unsigned(tiles)),
         dim3(kThreads), kRows * sizeof(unsigned long long), a, places, tiles, largest);
}

}  // namespace selfcompress::cuda
