// Cross-entropy at positions: one block sums the weights of the labels; then some positions side by side for each block
// of threads (lines.cuh), which leaves its sums in scratch memory; one block adds those up.
#include <cmath>

#include "cuda/kernels/lines.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kSums = 4;  // loss, correct, topFive, count

__device__ inline double weightOf(const PositionCrossEntropy& a, std::int32_t label) {
  return a.classWeight ? double(global(a.classWeight)[label]) : 1.0;
}

// weights = {sum over the labels that count, sum over all classes, labels that count}
__global__ void __launch_bounds__(kThreads) lossWeightsKernel(PositionCrossEntropy a, double* weights) {
  const std::int64_t pixels = std::int64_t(a.shape.height) * a.shape.width, labels = a.batch * pixels;
  const StepCounter* counter = a.counter ? global(a.counter).at(0) : nullptr;
  double values[2] = {0, 0};
  for (std::int64_t i = threadIdx.x; i < labels; i += kThreads) {
    const LabelShares l = labelsAt(a, global(a.labels), counter, int(i / pixels), pixels, i % pixels);
    if (l.label == a.ignored) continue;
    values[0] += double(l.share) * weightOf(a, l.label);
    if (l.otherShare > 0) values[0] += double(l.otherShare) * weightOf(a, l.other);
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
  LabelShares l{a.ignored, a.ignored, 1, 0};
  if (c.used && image < a.batch)
    l = labelsAt(a, global(a.labels), a.counter ? global(a.counter).at(0) : nullptr, image, grid.lines, c.line);
  const std::int32_t label = l.label;
  const bool counts = label != a.ignored, isMixed = counts && l.otherShare > 0;
  const float own = counts ? logits[first + label * stride] : 0.0f,
              other = isMixed ? logits[first + l.other * stride] : 0.0f;

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
  const double weight = counts ? double(l.share) * weightOf(a, label) : 1.0,
               otherWeight = isMixed ? double(l.otherShare) * weightOf(a, l.other) : 0.0;
  if (a.gradLogits && c.used) {
    const double perLoss = weightSum > 0 ? 1 / weightSum : 0.0;
    const float scale = float(((1 - smooth) * (weight + otherWeight) + each * ofAll) * perLoss),
                hit = float((1 - smooth) * weight * perLoss), otherHit = float((1 - smooth) * otherWeight * perLoss),
                low = float(each * perLoss), inverse = 1.0f / sum;
    for (int k = c.part; k < classes; k += c.parts) {
      float g = 0;
      if (counts)
        g = expf(logits[first + k * stride] - top) * inverse * scale -
            low * (a.classWeight ? global(a.classWeight)[k] : 1.0f) - (k == label ? hit : 0.0f) -
            (k == l.other ? otherHit : 0.0f);
      global(a.gradLogits)[first + k * stride] = g;
    }
  }
  const bool holds = counts && c.part == 0;
  double values[kSums] = {0, 0, 0, 0};
  if (holds) {
    const double logSum = log(double(sum));
    values[0] = (1 - smooth) * weight * (logSum - (double(own) - double(top)));
    if (isMixed) values[0] += (1 - smooth) * otherWeight * (logSum - (double(other) - double(top)));
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

// ---- soft targets: the same, over logits and targets at once ----

__global__ void __launch_bounds__(kThreads) softCrossEntropyKernel(SoftCrossEntropy a, LineGrid grid, double* partial) {
  const Shared<float> room = sharedArray<float>(0, kThreads);
  const Cell c = cellOf(grid);
  const int classes = a.shape.channels;
  const std::int64_t stride = std::int64_t(grid.lines) * kLanes,
                     first = c.block * stride * classes + c.line * kLanes + c.lane;
  const int image = c.block * kLanes + c.lane;
  const auto logits = global(a.logits), targets = global(a.targets);
  std::int32_t label = a.ignored;
  if (c.used && image < a.batch) label = global(a.labels)[std::int64_t(image) * grid.lines + c.line];
  const bool counts = label != a.ignored;
  const float cold = 1.0f / a.temperature;

  float top = -INFINITY, targetTop = -INFINITY, sum = 0, targetSum = 0, cross = 0;
  for (int k = c.part; k < classes && counts; k += c.parts) {
    top = larger(top, logits[first + k * stride]);
    targetTop = larger(targetTop, targets[first + k * stride]);
  }
  top = overParts(c, top, room, larger);
  targetTop = overParts(c, targetTop, room, larger);
  for (int k = c.part; k < classes && counts; k += c.parts) {
    const float d = (logits[first + k * stride] - top) * cold, t = (targets[first + k * stride] - targetTop) * cold,
                e = expf(t);
    sum += expf(d);
    targetSum += e;
    if (e != 0) cross += e * (t - d);
  }
  sum = sumOverParts(c, sum, room);
  targetSum = sumOverParts(c, targetSum, room);
  cross = sumOverParts(c, cross, room);

  if (c.used && image < a.batch) {
    const LossResult labels = global(a.result)[0];
    const float scale = labels.count > 0 ? float(double(a.share) * double(a.temperature) / double(labels.count)) : 0.0f,
                keep = 1.0f - a.share, inverse = 1.0f / sum, targetInverse = 1.0f / targetSum;
    const auto gradient = global(a.gradLogits);
    for (int k = c.part; k < classes; k += c.parts) {
      float soft = 0;
      if (counts)
        soft = (expf((logits[first + k * stride] - top) * cold) * inverse -
                expf((targets[first + k * stride] - targetTop) * cold) * targetInverse) *
               scale;
      gradient[first + k * stride] = gradient[first + k * stride] * keep + soft;
    }
  }
  double values[1] = {0};
  if (counts && c.part == 0) values[0] = double(cross) / double(targetSum) + log(double(sum)) - log(double(targetSum));
  double sums[1];
  blockSums<1>(values, sharedArray<double>(kThreads * int(sizeof(float)), kWarps), sums);
  if (threadIdx.x == 0) global(partial)[blockIdx.x] = sums[0];
}

__global__ void __launch_bounds__(kThreads) softTotalKernel(SoftCrossEntropy a, int parts, const double* partial) {
  double values[1] = {0};
  for (int i = int(threadIdx.x); i < parts; i += kThreads) values[0] += global(partial)[i];
  double sums[1];
  blockSums<1>(values, sharedArray<double>(0, kWarps), sums);
  if (threadIdx.x != 0) return;
  LossResult r = global(a.result)[0];
  r.lossSum = softLossSum(a, r, sums[0]);
  global(a.result)[0] = r;
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

void enqueue(Stream& stream, const SoftCrossEntropy& a) {
  const LineGrid grid = lineGrid(a.shape.pixels());
  planesOf(a.shape, a.batch);  // its size
  const int parts = grid.groups * blocksOf(a.batch);
  const char* name = "cross-entropy against soft targets";
  auto* partial = static_cast<double*>(scratch(stream, std::size_t(parts) * sizeof(double)));
  launch(stream, name, softCrossEntropyKernel, gridOf(grid, a.batch), dim3(kThreads),
         kThreads * sizeof(float) + blockSumBytes(1), a, grid, partial);
  launch(stream, name, softTotalKernel, dim3(1), dim3(kThreads), blockSumBytes(1), a, parts, partial);
}

}  // namespace selfcompress::cuda
