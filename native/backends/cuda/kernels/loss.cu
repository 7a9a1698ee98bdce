// Losses. One kernel reads the network's output, writes the gradient and leaves each image's loss in scratch memory as
// a double; a second one, of one block, adds them up in an order that depends on the batch alone and updates the
// result. Cross-entropy goes over the logits three times, the second and third time out of the L1 cache.
#include <cmath>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

// ---- cross-entropy: a block for each block of images, 16 threads for each image ----

constexpr int kParts = kThreads / kLanes;  // threads of an image, each with every 16th class

// A logit and its class. NaN never wins; of equals the first class does.
struct Best {
  float value;
  int which;
  __device__ void consider(float v, int k) {
    if (v > value || (v == value && k < which)) {
      value = v;
      which = k;
    }
  }
};

// Shared memory of the kernel: [kParts][kLanes] of each, by byte offset.
constexpr int kCells = kParts * kLanes;
constexpr int kBestAt = 0, kWhichAt = kBestAt + kCells * 4, kTotalAt = kWhichAt + kCells * 4,
              kSumAt = kTotalAt + kCells * 4, kEntropyBytes = kSumAt + kCells * 4;

__global__ void __launch_bounds__(kThreads) crossEntropyKernel(CrossEntropy a, double* losses, std::int32_t* correct) {
  const auto bests = sharedArray<float>(kBestAt, kCells), totals = sharedArray<float>(kTotalAt, kCells),
             sums = sharedArray<float>(kSumAt, kCells);
  const auto whiches = sharedArray<int>(kWhichAt, kCells);
  const int t = int(threadIdx.x), lane = t % kLanes, part = t / kLanes, image = int(blockIdx.x) * kLanes + lane;
  const std::int64_t base = std::int64_t(blockIdx.x) * a.classes * kLanes + lane;
  const auto logits = global(a.logits) + base;
  const bool used = image < a.batch;

  Best mine{-INFINITY, a.classes};
  float total = 0;
  for (int k = part; k < a.classes; k += kParts) {
    const float z = logits[std::int64_t(k) * kLanes];
    mine.consider(z, k);
    total += z;
  }
  bests[t] = mine.value, whiches[t] = mine.which, totals[t] = total;
  __syncthreads();
  Best best{-INFINITY, a.classes};
  for (int p = 0; p < kParts; p++) best.consider(bests[p * kLanes + lane], whiches[p * kLanes + lane]);
  const float first = logits[0];
  if (first != first) best = {first, 0};  // a NaN in the first place stays the largest

  float sum = 0;
  for (int k = part; k < a.classes; k += kParts) sum += expf(logits[std::int64_t(k) * kLanes] - best.value);
  sums[t] = sum;
  __syncthreads();
  double all = 0, allTotal = 0;
  for (int p = 0; p < kParts; p++) {
    all += double(sums[p * kLanes + lane]);
    allTotal += double(totals[p * kLanes + lane]);
  }
  LabelShares l{-1, -1, 1, 0};
  if (used) l = labelsAt(a, global(a.labels), a.counter ? global(a.counter).at(0) : nullptr, image);
  if (a.gradLogits) {
    const auto gradient = global(a.gradLogits) + base;
    const float inverse = float(1.0 / all), perImage = 1.0f / float(a.batch), low = a.labelSmoothing / float(a.classes),
                hit = 1.0f - a.labelSmoothing;
    for (int k = part; k < a.classes; k += kParts) {
      const float p = expf(logits[std::int64_t(k) * kLanes] - best.value) * inverse;
      const float target = low + (k == l.label ? hit * l.share : 0.0f) + (k == l.other ? hit * l.otherShare : 0.0f);
      gradient[std::int64_t(k) * kLanes] = used ? (p - target) * perImage : 0.0f;
    }
  }
  if (part != 0) return;
  double loss = 0;
  if (used) {
    const double logSum = double(best.value) + log(all), smooth = double(a.labelSmoothing);
    double own = double(logits[std::int64_t(l.label) * kLanes]);
    if (l.otherShare > 0)
      own = double(l.share) * own + double(l.otherShare) * double(logits[std::int64_t(l.other) * kLanes]);
    loss = (1 - smooth) * (logSum - own);
    if (smooth > 0) loss += smooth * (logSum - allTotal / a.classes);
  }
  global(losses)[image] = loss;
  global(correct)[image] = best.which == l.label ? 1 : 0;
}

// ---- mean squared error: a block for each stretch of features of a block of images ----

constexpr int kFeatures = 1024;  // of a stretch

__global__ void __launch_bounds__(kThreads) squaredErrorKernel(MeanSquaredError a, int stretches, double* partial) {
  const int block = int(blockIdx.x) / stretches, stretch = int(blockIdx.x) % stretches, t = int(threadIdx.x);
  const int features = int(a.shape.elements()), begin = stretch * kFeatures,
            end = begin + kFeatures < features ? begin + kFeatures : features;
  const int firstImage = block * kLanes + t % kPixelVectors * 4;
  const float slope = float(2.0 / (double(features) * a.batch));
  const auto output = global(a.output), target = global(a.target);
  const auto gradient = global(a.gradOutput);
  float4 sum{0, 0, 0, 0};
  for (int f = begin + t / kPixelVectors; f < end; f += kThreads / kPixelVectors) {
    const std::int64_t at = (std::int64_t(block) * features + f) * kLanes + t % kPixelVectors * 4;
    const float4 d =
        firstOf(map(output.load4(at), target.load4(at), [](float x, float y) { return x - y; }), a.batch - firstImage);
    sum = map(sum, d, [](float s, float x) { return s + x * x; });
    if (gradient) gradient.store4(at, map(d, [&](float x) { return x * slope; }));
  }
  // Threads with the same images: the same lane modulo 4.
  for (int distance = 16; distance >= kPixelVectors; distance /= 2)
    sum = map(sum, [&](float x) { return x + __shfl_xor_sync(kAllLanes, x, distance); });
  const auto warps = sharedArray<float>(0, kWarps * kLanes);
  if (t % 32 < kPixelVectors) warps.store4(t / 32 * kLanes + t % 32 * 4, sum);
  __syncthreads();
  if (t >= kLanes) return;
  double all = 0;
  for (int warp = 0; warp < kWarps; warp++) all += double(warps[warp * kLanes + t]);
  global(partial)[(std::int64_t(block) * stretches + stretch) * kLanes + t] = all / features;
}

// ---- losses of elements: the same stretches ----

struct LossAt {
  float loss, slope;
};
__device__ inline LossAt elementLossOf(const ElementLoss& a, float z, float t) {
  const float d = z - t, size = fabsf(d), direction = d > 0 ? 1.0f : d < 0 ? -1.0f : d;
  if (a.kind == ElementLossKind::kBinaryCrossEntropy)
    return {relu(z) - z * t + log1pf(expf(-fabsf(z))), 1.0f / (1.0f + expf(-z)) - t};
  if (a.kind == ElementLossKind::kAbsolute) return {size, direction};
  if (size <= a.delta) return {0.5f * d * d, d};
  return {a.delta * (size - 0.5f * a.delta), a.delta * direction};
}

__global__ void __launch_bounds__(kThreads) elementLossKernel(ElementLoss a, int stretches, double* partial) {
  const int block = int(blockIdx.x) / stretches, stretch = int(blockIdx.x) % stretches, t = int(threadIdx.x);
  const int features = int(a.shape.elements()), begin = stretch * kFeatures,
            end = begin + kFeatures < features ? begin + kFeatures : features;
  const int lane = t % kLanes, part = t / kLanes;
  const bool counts = block * kLanes + lane < a.batch;
  const float share = float(1.0 / (double(features) * a.batch));
  float sum = 0;
  for (int f = begin + part; f < end; f += kParts) {
    const std::int64_t at = (std::int64_t(block) * features + f) * kLanes + lane;
    const LossAt l = counts ? elementLossOf(a, global(a.output)[at], global(a.target)[at]) : LossAt{0, 0};
    sum += l.loss;
    if (a.gradOutput) global(a.gradOutput)[at] = l.slope * share;
  }
  const auto parts = sharedArray<float>(0, kCells);
  parts[t] = sum;
  __syncthreads();
  if (part != 0) return;
  double all = 0;
  for (int p = 0; p < kParts; p++) all += double(parts[p * kLanes + lane]);
  global(partial)[(std::int64_t(block) * stretches + stretch) * kLanes + lane] = all / features;
}

// ---- all: one block adds up ----

// Image i has `stretches` parts, 16 apart. correct may be nullptr.
__global__ void __launch_bounds__(kThreads)
    lossSumKernel(LossResult* result, int batch, int stretches, const double* losses, const std::int32_t* correct) {
  double values[2] = {0, 0};
  for (int i = int(threadIdx.x); i < batch; i += kThreads) {
    const std::int64_t first = std::int64_t(i / kLanes) * stretches * kLanes + i % kLanes;
    for (int s = 0; s < stretches; s++) values[0] += global(losses)[first + std::int64_t(s) * kLanes];
    if (correct) values[1] += double(global(correct)[i]);
  }
  double sums[2];
  blockSums<2>(values, sharedArray<double>(0, 2 * kWarps), sums);
  if (threadIdx.x != 0) return;
  LossResult r = global(result)[0];
  r.lossSum += sums[0];
  r.correct += std::int64_t(sums[1]);
  r.count += batch;
  r.weightSum += batch;
  global(result)[0] = r;
}

}  // namespace

void enqueue(Stream& stream, const CrossEntropy& a) {
  const std::size_t images = std::size_t(blocksOf(a.batch)) * kLanes;
  auto* losses = static_cast<double*>(scratch(stream, images * (sizeof(double) + sizeof(std::int32_t))));
  auto* correct = reinterpret_cast<std::int32_t*>(losses + images);
  blocksFor(laneElements({a.classes, 1, 1}, a.batch) / 4);
  launch(stream, "cross-entropy", crossEntropyKernel, dim3(unsigned(blocksOf(a.batch))), dim3(kThreads), kEntropyBytes,
         a, losses, correct);
  launch(stream, "cross-entropy", lossSumKernel, dim3(1), dim3(kThreads), blockSumBytes(2), a.result, a.batch, 1,
         losses, correct);
}

void enqueue(Stream& stream, const ElementLoss& a) {
  blocksFor(laneElements(a.shape, a.batch) / 4);
  const int stretches = int((a.shape.elements() + kFeatures - 1) / kFeatures), blocks = blocksOf(a.batch) * stretches;
  auto* partial = static_cast<double*>(scratch(stream, std::size_t(blocks) * kLanes * sizeof(double)));
  launch(stream, "element loss", elementLossKernel, dim3(unsigned(blocks)), dim3(kThreads), kCells * sizeof(float), a,
         stretches, partial);
  launch(stream, "element loss", lossSumKernel, dim3(1), dim3(kThreads), blockSumBytes(2), a.result, a.batch, stretches,
         partial, static_cast<const std::int32_t*>(nullptr));
}

void enqueue(Stream& stream, const MeanSquaredError& a) {
  blocksFor(laneElements(a.shape, a.batch) / 4);
  const int stretches = int((a.shape.elements() + kFeatures - 1) / kFeatures), blocks = blocksOf(a.batch) * stretches;
  auto* partial = static_cast<double*>(scratch(stream, std::size_t(blocks) * kLanes * sizeof(double)));
  launch(stream, "mean squared error", squaredErrorKernel, dim3(unsigned(blocks)), dim3(kThreads),
         kWarps * kLanes * sizeof(float), a, stretches, partial);
  launch(stream, "mean squared error", lossSumKernel, dim3(1), dim3(kThreads), blockSumBytes(2), a.result, a.batch,
         stretches, partial, static_cast<const std::int32_t*>(nullptr));
}

}  // namespace selfcompress::cuda
