// Cross-entropy at positions: one block sums the weights of the labels; then some positions side by side for each block
// of threads (lines.cuh), which leaves its sums in scratch memory; one block adds those up.
#include <cmath>

#include "cuda/kernels/lines.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kSums = 4;  // loss, correct, topFive, count

// weights = {sum over the labels that count, sum over all classes, labels that count}
__global__ void __launch_bounds__(kThreads) lossWeightsKernel(PositionCrossEntropy a, double* weights) {
  const std::int64_t labels = std::int64_t(a.batch) * a.shape.height * a.shape.width;
  double values[2] = {0, 0};
  for (std::int64_t i = threadIdx.x; i < labels; i += kThreads) {
    const std::int32_t label = global(a.labels)[i];
    if (label != a.ignored) values[0] += a.classWeight ? double(global(a.classWeight)[label]) : 1.0;
  }
  for (int k = int(threadIdx.x); k < a.shape.channels; k += kThreads)
    values[1] += a.classWeight ? double(global(a.classWeight)[k]) : 1.0;
  double sums[2];
  blockSums<2>(values, sharedArray<double>(0, 2 * kWarps), sums);
  if (threadIdx.x < 2) global(weights)[threadIdx.x] = sums[threadIdx.x];
}

__device__ inline float larger(float x, float y) { return x > y || x != x ? x : y; }

__global__ void __launch_bounds__(kThreads)
    positionCrossEntropyKernel(PositionCrossEntropy a, LineGrid grid, const double* weights, double* partial) {
  const Shared<float> room = sharedArray<float>(0, kThreads);
  const Cell c = cellOf(grid);
  const int classes = a.shape.channels;
  const std::int64_t stride = std::int64_t(grid.lines) * kLanes,
                     first = c.block * stride * classes + c.line * kLanes + c.lane;
  const int image = c.block * kLanes + c.lane;
  const auto logits = global(a.logits);
  std::int32_t label = a.ignored;
  if (c.used && image < a.batch) label = global(a.labels)[std::int64_t(image) * grid.lines + c.line];
  const bool counts = c.used && image < a.batch && label != a.ignored;
  const float own = counts ? logits[first + label * stride] : 0.0f;

  float top = -INFINITY, sum = 0, rank = 0, weighted = 0;
  for (int k = c.part; k < classes && counts; k += c.parts) top = larger(top, logits[first + k * stride]);
  top = overParts(c, top, room, larger);
  for (int k = c.part; k < classes && counts; k += c.parts) {
    const float z = logits[first + k * stride];
    sum += expf(z - top);
    if (a.labelSmoothing > 0) weighted += (a.classWeight ? global(a.classWeight)[k] : 1.0f) * (z - top);
    if (k != label && (k < label ? !(z < own) : !(z <= own))) rank += 1;
  }
  sum = sumOverParts(c, sum, room);
  rank = sumOverParts(c, rank, room);
  weighted = sumOverParts(c, weighted, room);

  const double weightSum = global(weights)[0], ofAll = global(weights)[1], smooth = double(a.labelSmoothing),
               each = smooth / classes;
  const double weight = counts && a.classWeight ? double(global(a.classWeight)[label]) : 1.0;
  if (a.gradLogits && c.used) {
    const double perLoss = weightSum > 0 ? 1 / weightSum : 0.0;
    const float scale = float(((1 - smooth) * weight + each * ofAll) * perLoss),
                hit = float((1 - smooth) * weight * perLoss), low = float(each * perLoss), inverse = 1.0f / sum;
    for (int k = c.part; k < classes; k += c.parts) {
      float g = 0;
      if (counts)
        g = expf(logits[first + k * stride] - top) * inverse * scale -
            low * (a.classWeight ? global(a.classWeight)[k] : 1.0f) - (k == label ? hit : 0.0f);
      global(a.gradLogits)[first + k * stride] = g;
    }
  }
  const bool holds = counts && c.part == 0;
  double values[kSums] = {0, 0, 0, 0};
  if (holds) {
    const double logSum = log(double(sum));
    values[0] = (1 - smooth) * weight * (logSum - (double(own) - double(top)));
    if (smooth > 0) values[0] += each * (ofAll * logSum - double(weighted));
    values[1] = own == own && rank < 1 ? 1.0 : 0.0;
    values[2] = own == own && rank < 5 ? 1.0 : 0.0;
    values[3] = 1;
  }
  double sums[kSums];
  blockSums<kSums>(values, sharedArray<double>(kThreads * int(sizeof(float)), kSums * kWarps), sums);
  if (threadIdx.x < kSums) global(partial)[std::int64_t(blockIdx.x) * kSums + threadIdx.x] = sums[threadIdx.x];
}

__global__ void __launch_bounds__(kThreads)
    positionTotalKernel(LossResult* result, int parts, const double* weights, const double* partial) {
  double values[kSums] = {0, 0, 0, 0};
  for (int i = int(threadIdx.x); i < parts; i += kThreads)
    for (int k = 0; k < kSums; k++) values[k] += global(partial)[std::int64_t(i) * kSums + k];
  double sums[kSums];
  blockSums<kSums>(values, sharedArray<double>(0, kSums * kWarps), sums);
  if (threadIdx.x != 0) return;
  LossResult r = global(result)[0];
  r.lossSum += sums[0];
  r.correct += std::int64_t(sums[1]);
  r.topFive += std::int64_t(sums[2]);
  r.count += std::int64_t(sums[3]);
  r.weightSum += global(weights)[0];
  global(result)[0] = r;
}

}  // namespace

void enqueue(Stream& stream, const PositionCrossEntropy& a) {
  const LineGrid grid = lineGrid(a.shape.pixels());
  planesOf(a.shape, a.batch);  // its size
  const int parts = grid.groups * blocksOf(a.batch);
  const char* name = "cross-entropy at positions";
  auto* weights = static_cast<double*>(scratch(stream, (2 + std::size_t(parts) * kSums) * sizeof(double)));
  launch(stream, name, lossWeightsKernel, dim3(1), dim3(kThreads), blockSumBytes(2), a, weights);
  launch(stream, name, positionCrossEntropyKernel, gridOf(grid, a.batch), dim3(kThreads),
         kThreads * sizeof(float) + blockSumBytes(kSums), a, grid, weights, weights + 2);
  launch(stream, name, positionTotalKernel, dim3(1), dim3(kThreads), blockSumBytes(kSums), a.result, parts, weights,
         weights + 2);
}

}  // namespace selfcompress::cuda
