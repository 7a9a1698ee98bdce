// Norms of one example. Layer and RMS norms: some positions side by side for each block of threads (lines.cuh), of
// which the second and third pass find the channels in the caches. Group norms: a block of threads for each group of a
// block of images. Gradients of weight and bias: a block for each channel, over batch and positions in a fixed order.
#include <cmath>

#include "cuda/kernels/lines.cuh"

namespace selfcompress::cuda {
namespace {

__device__ inline bool isDead(const std::int32_t* state, int channel) {
  return state && global(state)[channel] != kLive;
}
__device__ inline float valueOr(const float* values, int channel, float other) {
  return values ? global(values)[channel] : other;
}

// ---- layer and RMS norm ----

__global__ void __launch_bounds__(kThreads) layerNormForwardKernel(LayerNormForward a, LineGrid grid) {
  const Shared<float> room = sharedArray<float>(0, kThreads);
  const Cell c = cellOf(grid);
  const std::int64_t stride = std::int64_t(grid.lines) * kLanes,
                     first = c.block * stride * a.shape.channels + c.line * kLanes + c.lane;
  const auto input = global(a.input);
  float sum = 0, present = 0, mean = 0, squares = 0;
  for (int k = c.part; k < a.shape.channels && c.used; k += c.parts)
    if (!isZero(a.inputState, unsigned(k))) {
      sum += input[first + k * stride];
      present += 1;
    }
  const float divisor = float(a.divisor);
  if (!a.rms) mean = sumOverParts(c, sum, room) / divisor;
  present = sumOverParts(c, present, room);
  for (int k = c.part; k < a.shape.channels && c.used; k += c.parts)
    if (!isZero(a.inputState, unsigned(k))) {
      const float d = input[first + k * stride] - mean;
      squares += d * d;
    }
  squares = sumOverParts(c, squares, room) + (divisor - present) * mean * mean;
  if (!c.used) return;
  const float inverse = 1.0f / sqrtf(squares / divisor + a.epsilon);
  if (c.part == 0 && a.savedInvStd) {
    const std::int64_t saved = c.block * stride + c.line * kLanes + c.lane;
    global(a.savedInvStd)[saved] = inverse;
    if (!a.rms) global(a.savedMean)[saved] = mean;
  }
  for (int k = c.part; k < a.shape.channels; k += c.parts) {
    if (isZero(a.outputState, unsigned(k))) continue;
    const float x = isZero(a.inputState, unsigned(k)) ? 0.0f : input[first + k * stride];
    global(a.output)[first + k * stride] = (x - mean) * inverse * valueOr(a.weight, k, 1) + valueOr(a.bias, k, 0);
  }
}

__global__ void __launch_bounds__(kThreads) layerNormGradientKernel(LayerNormBackward a, LineGrid grid) {
  const Shared<float> room = sharedArray<float>(0, kThreads);
  const Cell c = cellOf(grid);
  const std::int64_t stride = std::int64_t(grid.lines) * kLanes,
                     first = c.block * stride * a.shape.channels + c.line * kLanes + c.lane,
                     saved = c.block * stride + c.line * kLanes + c.lane;
  const auto input = global(a.input), gradient = global(a.gradOutput);
  const bool counts = c.used && c.block * kLanes + c.lane < a.batch;
  const float mean = c.used && !a.rms ? global(a.savedMean)[saved] : 0.0f,
              inverse = c.used ? global(a.savedInvStd)[saved] : 0.0f;
  auto normalised = [&](int k) {
    return ((isZero(a.inputState, unsigned(k)) ? 0.0f : input[first + k * stride]) - mean) * inverse;
  };
  float sum = 0, product = 0;
  for (int k = c.part; k < a.shape.channels && counts; k += c.parts) {
    if (isDead(a.outputState, k)) continue;
    const float h = gradient[first + k * stride] * valueOr(a.weight, k, 1);
    sum += h;
    product += h * normalised(k);
  }
  sum = sumOverParts(c, sum, room) / float(a.divisor);
  product = sumOverParts(c, product, room) / float(a.divisor);
  if (a.rms) sum = 0;
  for (int k = c.part; k < a.shape.channels && c.used; k += c.parts) {
    if (isZero(a.inputState, unsigned(k))) continue;
    float r = 0;
    if (counts) {
      const float h = isDead(a.outputState, k) ? 0.0f : gradient[first + k * stride] * valueOr(a.weight, k, 1);
      r = inverse * (h - sum - normalised(k) * product);
    }
    global(a.gradInput)[first + k * stride] = r;
  }
}

// ---- group norm ----

__device__ inline int groupBegin(const std::int32_t* start, int channels, int groups, int group) {
  return start ? global(start)[group] : channels / groups * group;
}
// The elements of a group for one image, in the order of their index: channel and offset.
struct Group {
  int block, group, firstChannel, channels, pixels, lane, part;
  std::int64_t base;
  __device__ int count() const { return channels * pixels; }
  __device__ int channelOf(int i) const { return firstChannel + i / pixels; }
  __device__ std::int64_t at(int i) const { return base + std::int64_t(i) * kLanes; }
};
constexpr int kGroupParts = kThreads / kLanes;
template <class Arguments>
__device__ inline Group groupOf(const Arguments& a) {
  Group g;
  g.block = int(blockIdx.x) / a.groups, g.group = int(blockIdx.x) % a.groups;
  g.firstChannel = groupBegin(a.groupStart, a.shape.channels, a.groups, g.group);
  g.channels = groupBegin(a.groupStart, a.shape.channels, a.groups, g.group + 1) - g.firstChannel;
  g.pixels = a.shape.height * a.shape.width;
  g.lane = int(threadIdx.x) % kLanes, g.part = int(threadIdx.x) / kLanes;
  g.base = (std::int64_t(g.block) * a.shape.channels + g.firstChannel) * g.pixels * kLanes + g.lane;
  return g;
}
__device__ inline Cell cellOf(const Group& g) {
  Cell c{};
  c.cells = kLanes, c.cell = g.lane, c.part = g.part, c.parts = kGroupParts;
  return c;
}

__global__ void __launch_bounds__(kThreads) groupNormForwardKernel(GroupNormForward a) {
  const Shared<double> room = sharedArray<double>(0, kThreads);
  const Group g = groupOf(a);
  const Cell c = cellOf(g);
  const auto input = global(a.input);
  float sum = 0, present = 0, squares = 0;
  for (int i = g.part; i < g.count(); i += kGroupParts)
    if (!isZero(a.inputState, unsigned(g.channelOf(i)))) {
      sum += input[g.at(i)];
      present += 1;
    }
  const double all = double(a.divisor) * g.pixels, mean = sumOverParts(c, double(sum), room) / all;
  const double gone = all - sumOverParts(c, double(present), room);
  const float about = float(mean);
  for (int i = g.part; i < g.count(); i += kGroupParts)
    if (!isZero(a.inputState, unsigned(g.channelOf(i)))) {
      const float d = input[g.at(i)] - about;
      squares += d * d;
    }
  const double variance = (sumOverParts(c, double(squares), room) + gone * mean * mean) / all;
  const float inverse = float(1.0 / sqrt(variance + double(a.epsilon)));
  if (g.part == 0 && a.savedInvStd) {
    global(a.savedMean)[std::int64_t(blockIdx.x) * kLanes + g.lane] = about;
    global(a.savedInvStd)[std::int64_t(blockIdx.x) * kLanes + g.lane] = inverse;
  }
  for (int i = g.part; i < g.count(); i += kGroupParts) {
    const int k = g.channelOf(i);
    if (isZero(a.outputState, unsigned(k))) continue;
    const float x = isZero(a.inputState, unsigned(k)) ? 0.0f : input[g.at(i)];
    global(a.output)[g.at(i)] = (x - about) * inverse * valueOr(a.weight, k, 1) + valueOr(a.bias, k, 0);
  }
}

__global__ void __launch_bounds__(kThreads) groupNormGradientKernel(GroupNormBackward a) {
  const Shared<double> room = sharedArray<double>(0, kThreads);
  const Group g = groupOf(a);
  const Cell c = cellOf(g);
  const auto input = global(a.input), gradient = global(a.gradOutput);
  const bool counts = g.block * kLanes + g.lane < a.batch;
  const float mean = global(a.savedMean)[std::int64_t(blockIdx.x) * kLanes + g.lane],
              inverse = global(a.savedInvStd)[std::int64_t(blockIdx.x) * kLanes + g.lane];
  auto normalised = [&](int i, int k) {
    return ((isZero(a.inputState, unsigned(k)) ? 0.0f : input[g.at(i)]) - mean) * inverse;
  };
  float sum = 0, product = 0;
  for (int i = g.part; i < g.count() && counts; i += kGroupParts) {
    const int k = g.channelOf(i);
    if (isDead(a.outputState, k)) continue;
    const float h = gradient[g.at(i)] * valueOr(a.weight, k, 1);
    sum += h;
    product += h * normalised(i, k);
  }
  const double all = double(a.divisor) * g.pixels;
  const float meanH = float(sumOverParts(c, double(sum), room) / all),
              meanProduct = float(sumOverParts(c, double(product), room) / all);
  for (int i = g.part; i < g.count(); i += kGroupParts) {
    const int k = g.channelOf(i);
    if (isZero(a.inputState, unsigned(k))) continue;
    float r = 0;
    if (counts) {
      const float h = isDead(a.outputState, k) ? 0.0f : gradient[g.at(i)] * valueOr(a.weight, k, 1);
      r = inverse * (h - meanH - normalised(i, k) * meanProduct);
    }
    global(a.gradInput)[g.at(i)] = r;
  }
}

// ---- gradients of weight and bias ----

// Where the statistics of an element lie: those of its position, or of its group.
struct Statistics {
  const float* mean;  // nullptr: 0
  const float* inverse;
  int groups;  // 0: of positions
  const std::int32_t* groupStart;
};

template <class Arguments>
__global__ void __launch_bounds__(kThreads) normWeightGradientKernel(Arguments a, Statistics s) {
  const int channel = int(blockIdx.x);
  const std::int64_t plane = std::int64_t(a.shape.height) * a.shape.width * kLanes;
  float sums[2] = {0, 0};
  int group = 0;
  while (s.groups > 0 && groupBegin(s.groupStart, a.shape.channels, s.groups, group + 1) <= channel) group++;
  if (!isDead(a.outputState, channel)) {
    const bool none = isZero(a.inputState, unsigned(channel));
    const std::int64_t count = std::int64_t((a.batch + kLanes - 1) / kLanes) * plane;
    for (std::int64_t i = threadIdx.x; i < count; i += kThreads) {
      const std::int64_t block = i / plane, inPlane = i % plane,
                         at = (block * a.shape.channels + channel) * plane + inPlane,
                         saved = s.groups > 0 ? (block * s.groups + group) * kLanes + i % kLanes : i;
      if (block * kLanes + i % kLanes >= a.batch) continue;
      const float g = global(a.gradOutput)[at], x = none ? 0.0f : global(a.input)[at];
      sums[0] += g * (x - (s.mean ? global(s.mean)[saved] : 0.0f)) * global(s.inverse)[saved];
      sums[1] += g;
    }
  }
  double total[2];
  blockSums<2>(sums, sharedArray<double>(0, 2 * kWarps), total);
  if (threadIdx.x != 0) return;
  if (a.gradWeight) global(a.gradWeight)[channel] = float(total[0]);
  if (a.gradBias) global(a.gradBias)[channel] = float(total[1]);
}
// Before gradInput is written, which may be gradOutput.
template <class Arguments>
void weightGradients(Stream& stream, const char* name, const Arguments& a, const Statistics& s) {
  if (!a.gradWeight && !a.gradBias) return;
  launch(stream, name, normWeightGradientKernel<Arguments>, dim3(unsigned(a.shape.channels)), dim3(kThreads),
         blockSumBytes(2), a, s);
}

}  // namespace

void enqueue(Stream& stream, const LayerNormForward& a) {
  const LineGrid grid = lineGrid(a.shape.pixels());
  planesOf(a.shape, a.batch);  // its size
  launch(stream, "layer norm forward", layerNormForwardKernel, gridOf(grid, a.batch), dim3(kThreads),
         kThreads * sizeof(float), a, grid);
}

void enqueue(Stream& stream, const LayerNormBackward& a) {
  const LineGrid grid = lineGrid(a.shape.pixels());
  planesOf(a.shape, a.batch);
  weightGradients(stream, "layer norm backward", a,
                  Statistics{a.rms ? nullptr : a.savedMean, a.savedInvStd, 0, nullptr});
  launch(stream, "layer norm backward", layerNormGradientKernel, gridOf(grid, a.batch), dim3(kThreads),
         kThreads * sizeof(float), a, grid);
}

void enqueue(Stream& stream, const GroupNormForward& a) {
  planesOf(a.shape, a.batch);
  launch(stream, "group norm forward", groupNormForwardKernel, dim3(unsigned(a.groups) * unsigned(blocksOf(a.batch))),
         dim3(kThreads), kThreads * sizeof(double), a);
}

void enqueue(Stream& stream, const GroupNormBackward& a) {
  planesOf(a.shape, a.batch);
  weightGradients(stream, "group norm backward", a, Statistics{a.savedMean, a.savedInvStd, a.groups, a.groupStart});
  launch(stream, "group norm backward", groupNormGradientKernel, dim3(unsigned(a.groups) * unsigned(blocksOf(a.batch))),
         dim3(kThreads), kThreads * sizeof(double), a);
}

}  // namespace selfcompress::cuda
