// Optimizers, clipping and the limits of bit depths.
//
// - step: parameter, gradient and moments are read once and written once, four elements to a thread; as many blocks as
//   the device holds, so that the powers of Adam's corrections (double precision) are computed once per block. Frozen
//   channels are neither read nor written.
// - average: two reads and a write, in the same way.
// - sum of squares: one read; a partial sum per block (float within a warp, double from there), added up by a second
//   kernel in the order of the blocks.
// - the rest: a thread for each channel, or one block.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kStepBlocks = 8;  // for each multiprocessor
constexpr int kSquares = 8192;  // elements of a block's partial sum

struct Constants {
  float clip, rate, shrink, step, root;
};
// All threads of the block call it.
__device__ inline Constants constantsOf(const OptimizerStep& a) {
  const auto powers = sharedArray<double>(0, 2);
  if (a.kind != Optimizer::kSgd && threadIdx.x < 2)
    powers[int(threadIdx.x)] = pow(double(threadIdx.x == 0 ? a.beta1 : a.beta2), global(a.stepNumber)[0]);
  __syncthreads();
  const double rate = double(global(a.learningRate)[0]);
  Constants c{};
  c.clip = a.clipScale ? global(a.clipScale)[0] : 1.0f;
  c.rate = float(rate);
  if (a.kind == Optimizer::kSgd) return c;
  c.shrink = float(1.0 - rate * double(a.weightDecay));
  c.step = float(rate / (1.0 - powers[0]));
  c.root = float(1.0 / sqrt(1.0 - powers[1]));
  return c;
}

template <Optimizer kKind>
__device__ inline void update(const OptimizerStep& a, const Constants& c, float g, float& w, float& m, float& v) {
  g *= c.clip;
  if constexpr (kKind == Optimizer::kSgd) {
    g += a.weightDecay * w;
    m = a.momentum * m + g;
    w -= c.rate * (a.nesterov ? g + a.momentum * m : m);
    return;
  }
  if constexpr (kKind == Optimizer::kAdam) g += a.weightDecay * w;
  if constexpr (kKind == Optimizer::kAdamW) w *= c.shrink;
  m = a.beta1 * m + (1.0f - a.beta1) * g;
  v = a.beta2 * v + (1.0f - a.beta2) * g * g;
  w -= c.step * m / (sqrtf(v) * c.root + a.epsilon);
}

__device__ inline bool isFrozen(const OptimizerStep& a, std::int64_t i) {
  return a.frozenBitDepth && isDead(global(a.frozenBitDepth)[unsigned(i) / unsigned(a.perChannel)]);
}

template <Optimizer kKind>
__device__ inline void updateOne(const OptimizerStep& a, const Constants& c, std::int64_t i) {
  if (isFrozen(a, i)) return;
  const auto parameter = global(a.parameter), moment1 = global(a.moment1), moment2 = global(a.moment2);
  float w = parameter[i], m = moment1[i], v = kKind == Optimizer::kSgd ? 0.0f : moment2[i];
  update<kKind>(a, c, global(a.gradient)[i], w, m, v);
  parameter[i] = w;
  moment1[i] = m;
  if (kKind != Optimizer::kSgd) moment2[i] = v;
}

template <Optimizer kKind>
__device__ inline void updateFour(const OptimizerStep& a, const Constants& c, std::int64_t i) {
  const auto parameter = global(a.parameter), moment1 = global(a.moment1), moment2 = global(a.moment2);
  float4 w = parameter.load4(i), m = moment1.load4(i), v{0, 0, 0, 0};
  const float4 g = global(a.gradient).load4(i);
  if (kKind != Optimizer::kSgd) v = moment2.load4(i);
  update<kKind>(a, c, g.x, w.x, m.x, v.x);
  update<kKind>(a, c, g.y, w.y, m.y, v.y);
  update<kKind>(a, c, g.z, w.z, m.z, v.z);
  update<kKind>(a, c, g.w, w.w, m.w, v.w);
  parameter.store4(i, w);
  moment1.store4(i, m);
  if (kKind != Optimizer::kSgd) moment2.store4(i, v);
}

template <Optimizer kKind>
__global__ void __launch_bounds__(kThreads) optimizerStepKernel(OptimizerStep a) {
  const Constants c = constantsOf(a);
  const std::int64_t stride = std::int64_t(gridDim.x) * blockDim.x * 4;
  for (std::int64_t i = std::int64_t(threadInGrid()) * 4; i < a.count; i += stride) {
    const std::int64_t last = i + 3 < a.count ? i + 3 : a.count - 1;
    const bool whole = last == i + 3 && (!a.frozenBitDepth || unsigned(i) / unsigned(a.perChannel) ==
                                                                  unsigned(last) / unsigned(a.perChannel));
    if (!whole) {  // the end, or a channel begins between
      for (std::int64_t j = i; j <= last; j++) updateOne<kKind>(a, c, j);
    } else if (!isFrozen(a, i)) {
      updateFour<kKind>(a, c, i);
    }
  }
}

__device__ inline float averaged(float rest, float parameter, float average) {
  return parameter == 0 ? 0.0f : average + rest * (parameter - average);
}

__global__ void __launch_bounds__(kThreads) averageParametersKernel(AverageParameters a) {
  const double t = global(a.stepNumber)[0], rising = (1 + t) / (10 + t);
  const float rest = float(1 - (double(a.decay) < rising ? double(a.decay) : rising));
  const auto parameter = global(a.parameter);
  const auto average = global(a.average);
  const std::int64_t stride = std::int64_t(gridDim.x) * blockDim.x * 4;
  for (std::int64_t i = std::int64_t(threadInGrid()) * 4; i < a.count; i += stride) {
    if (i + 3 < a.count) {
      const float4 p = parameter.load4(i), old = average.load4(i);
      average.store4(i, float4{averaged(rest, p.x, old.x), averaged(rest, p.y, old.y), averaged(rest, p.z, old.z),
                               averaged(rest, p.w, old.w)});
    } else {
      for (std::int64_t j = i; j < a.count; j++) average[j] = averaged(rest, parameter[j], average[j]);
    }
  }
}

__global__ void __launch_bounds__(kThreads) squaresKernel(SumOfSquares a, double* partial) {
  const auto values = global(a.values);
  const std::int64_t begin = std::int64_t(blockIdx.x) * kSquares,
                     end = begin + kSquares < a.count ? begin + kSquares : a.count, whole = end / 4 * 4;
  float sum[1] = {0};
  for (std::int64_t i = begin + 4 * int(threadIdx.x); i < whole; i += 4 * kThreads)
    sum[0] += sumOf(map(values.load4(i), [](float x) { return x * x; }));
  if (whole + int(threadIdx.x) < end) sum[0] += values[whole + int(threadIdx.x)] * values[whole + int(threadIdx.x)];
  double total[1];
  blockSums<1>(sum, sharedArray<double>(0, kWarps), total);
  if (threadIdx.x == 0) global(partial)[blockIdx.x] = total[0];
}

__global__ void __launch_bounds__(kThreads) addSquaresKernel(double* sum, int blocks, const double* partial) {
  double mine[1] = {0}, total[1];
  for (int i = int(threadIdx.x); i < blocks; i += kThreads) mine[0] += global(partial)[i];
  blockSums<1>(mine, sharedArray<double>(0, kWarps), total);
  if (threadIdx.x == 0) global(sum)[0] += total[0];
}

__global__ void __launch_bounds__(32) clipScaleKernel(ClipScale a) {
  if (threadIdx.x != 0) return;
  const double norm = sqrt(global(a.sum)[0]), scale = double(a.maxNorm) / (norm + 1e-6);
  global(a.scale)[0] = float(scale > 1 ? 1.0 : scale);
  global(a.norm)[0] = float(norm);
  global(a.sum)[0] = 0;
}

__global__ void __launch_bounds__(kThreads) clampBitDepthKernel(ClampBitDepth a) {
  const std::int64_t c = threadInGrid();
  if (c >= a.count) return;
  float b = global(a.bitDepth)[c];
  if (b > global(a.most)[c]) b = global(a.most)[c];
  if (b < global(a.least)[c]) b = global(a.least)[c];
  if (b <= 0) b = 0;
  global(a.bitDepth)[c] = b;
}

// The smallest of a set's values; 0 where one is dead. A NaN counts as alive.
__device__ inline float smallestOf(const KeepFamilies& a, const float* values, int set) {
  float least = 24;
  for (int m = global(a.setStart)[set]; m < global(a.setStart)[set + 1]; m++) {
    const float v = global(values)[global(a.member)[m]];
    if (v <= 0) return 0;
    if (v < least) least = v;
  }
  return least;
}

// A thread for each family: it stops at the second living class, which is nearly always the second class.
__global__ void __launch_bounds__(kThreads) keepFamiliesKernel(KeepFamilies a) {
  const int family = int(threadInGrid());
  if (family >= a.families) return;
  const int first = global(a.familyStart)[family], end = global(a.familyStart)[family + 1];
  int alive = 0, keep = -1;
  for (int pass = 0; pass < 2 && keep < 0; pass++) {  // by the bit depths as they are; if all are dead, as they were
    const float* values = pass == 0 ? a.bitDepth : a.before;
    float largest = 0;
    for (int c = first; c < end && alive < 2; c++) {
      float best = 0;
      int set = -1;
      for (int s = global(a.classStart)[c]; s < global(a.classStart)[c + 1]; s++) {
        const float v = smallestOf(a, values, s);
        if (v > best) {
          best = v;
          set = s;
        }
      }
      if (set < 0) continue;
      if (pass == 0) {
        alive++;
        keep = set;
      } else if (best > largest) {
        largest = best;
        keep = set;
      }
    }
  }
  if (alive > 1 || keep < 0) return;
  for (int m = global(a.setStart)[keep]; m < global(a.setStart)[keep + 1]; m++) {
    const int at = global(a.member)[m];
    if (global(a.bitDepth)[at] < 1) global(a.bitDepth)[at] = 1;
  }
}

__global__ void __launch_bounds__(kThreads) rangeGradientsKernel(RangeGradients a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const float b = global(a.bitDepth)[c];
  if (a.gradExponent && !isDead(b)) global(a.gradBitDepth)[c] -= global(a.gradExponent)[c];
  global(a.previousBitDepth)[c] = b;
}

__global__ void __launch_bounds__(kThreads) keepRangeKernel(KeepRange a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const float b = global(a.bitDepth)[c];
  if (!isDead(b)) global(a.exponent)[c] += global(a.previousBitDepth)[c] - b;
}

__global__ void __launch_bounds__(kThreads) decayDeadKernel(DecayDead a) {
  const int c = int(threadInGrid());
  if (c >= a.channels || global(a.state)[c] == kLive) return;
  auto shrink = [&](float x) { return fabsf(x) < 1e-6f ? 0.0f : x * (1 - a.rate); };
  if (a.value) global(a.value)[c] = shrink(global(a.value)[c]);
  if (a.runningMean) global(a.runningMean)[c] = shrink(global(a.runningMean)[c]);
}

dim3 threadForEach(int channels) { return dim3(blocksFor(channels)); }

}  // namespace

void enqueue(Stream& stream, const OptimizerStep& a) {
  auto* kernel = a.kind == Optimizer::kSgd    ? optimizerStepKernel<Optimizer::kSgd>
                 : a.kind == Optimizer::kAdam ? optimizerStepKernel<Optimizer::kAdam>
                                              : optimizerStepKernel<Optimizer::kAdamW>;
  blocksFor(a.count);  // elements are counted with 32 bits
  const unsigned most = unsigned(limits(stream).multiprocessors * kStepBlocks);
  launch(stream, "optimizer", kernel, dim3(std::min(blocksFor((a.count + 3) / 4), most)), dim3(kThreads),
         2 * sizeof(double), a);
}

void enqueue(Stream& stream, const AverageParameters& a) {
  blocksFor(a.count);  // elements are counted with 32 bits
  const unsigned most = unsigned(limits(stream).multiprocessors * kStepBlocks);
  launch(stream, "average", averageParametersKernel, dim3(std::min(blocksFor((a.count + 3) / 4), most)), dim3(kThreads),
         0, a);
}

void enqueue(Stream& stream, const SumOfSquares& a) {
  const unsigned blocks = blocksFor(a.count, kSquares);
  auto* partial = static_cast<double*>(scratch(stream, blocks * sizeof(double)));
  launch(stream, "sum of squares", squaresKernel, dim3(blocks), dim3(kThreads), blockSumBytes(1), a, partial);
  launch(stream, "sum of squares", addSquaresKernel, dim3(1), dim3(kThreads), blockSumBytes(1), a.sum, int(blocks),
         partial);
}

void enqueue(Stream& stream, const ClipScale& a) {
  launch(stream, "clip scale", clipScaleKernel, dim3(1), dim3(32), 0, a);
}
void enqueue(Stream& stream, const ClampBitDepth& a) {
  launch(stream, "clamp bit depth", clampBitDepthKernel, dim3(blocksFor(a.count)), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const KeepFamilies& a) {
  launch(stream, "keep families", keepFamiliesKernel, threadForEach(a.families), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const RangeGradients& a) {
  launch(stream, "range gradients", rangeGradientsKernel, threadForEach(a.channels), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const KeepRange& a) {
  launch(stream, "keep range", keepRangeKernel, threadForEach(a.channels), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const DecayDead& a) {
  launch(stream, "decay dead", decayDeadKernel, threadForEach(a.channels), dim3(kThreads), 0, a);
}

}  // namespace selfcompress::cuda
