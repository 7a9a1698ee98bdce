// Weight gradient: the product of convolutions with few channels in a group, the bias gradient, and the sums of the
// parts in their order. Parts are float32 sums of at most a split's pixels; the parts are added in double precision.
#include "cuda/kernels/conv2d_weight.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kThreads = 128, kAll = -1;

// The sum over the warp, in lane 0, in an order of its own.
__device__ inline float warpSum(float v) {
  for (int distance = 16; distance > 0; distance /= 2) v += __shfl_down_sync(unsigned(kAll), v, distance);
  return v;
}

// Groups of few channels: a block has one pair of an output channel and one of its group's input channels, a warp
// every fourth tap, a lane every 32nd quad of lanes of the split's vectors. Grid: (output channels * inputs of a group,
// splits).
__global__ void __launch_bounds__(kThreads) weightEach(WeightPass w) {
  const Pass& p = w.pass;
  const Conv2dGeometry& g = p.geometry;
  int inPerGroup = p.source.perGroup, out = int(blockIdx.x) / inPerGroup;
  int in = out / p.target.perGroup * inPerGroup + int(blockIdx.x) % inPerGroup;
  if (!isLive(p.target, out) || !isLive(p.source, in)) return;
  int area = g.kernelHeight * g.kernelWidth, pixels = p.targetHeight * p.targetWidth;
  int begin = int(blockIdx.y) * w.vectorsPerSplit, end = begin + w.vectorsPerSplit;
  if (end > p.blocks * pixels) end = p.blocks * pixels;
  int lane = int(threadIdx.x) % 32, quad = lane % 4 * 4;
  Global<const float> grad = global(w.gradOutput), values = global(p.values);
  for (int tap = int(threadIdx.x) / 32; tap < area; tap += kThreads / 32) {
    int dy = tap / g.kernelWidth * g.dilationH - g.padH, dx = tap % g.kernelWidth * g.dilationW - g.padW;
    float sum = 0;
    for (int vector = begin + lane / 4; vector < end; vector += 8) {
      int block = vector / pixels, pixel = vector - block * pixels, y = pixel / p.targetWidth;
      int sy = y * g.strideH + dy, sx = (pixel - y * p.targetWidth) * g.strideW + dx;
      if (unsigned(sy) >= unsigned(p.sourceHeight) || unsigned(sx) >= unsigned(p.sourceWidth)) continue;
      float4 a = grad.load4(((std::int64_t(block) * p.target.total + out) * pixels + pixel) * kLanes + quad);
      std::int64_t plane = (std::int64_t(block) * p.source.total + in) * p.sourceHeight;
      float4 b = values.load4(((plane + sy) * p.sourceWidth + sx) * kLanes + quad);
      sum = fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
    }
    sum = warpSum(sum);
    std::int64_t at = blockIdx.y * g.weights() + targetWeight(p, out) + sourceWeight(p, in, tap);
    if (lane == 0) global(w.partial)[at] = sum;
  }
}

// Grid: (output channels, parts).
__global__ void __launch_bounds__(kThreads) biasParts(WeightPass w) {
  const Pass& p = w.pass;
  int channel = int(blockIdx.x), pixels = p.targetHeight * p.targetWidth, quads = p.blocks * pixels * (kLanes / 4);
  if (!isLive(p.target, channel)) return;
  Global<const float> grad = global(w.gradOutput);
  float sum = 0;
  for (int id = int(blockIdx.y) * kThreads + int(threadIdx.x); id < quads; id += kBiasSplits * kThreads) {
    int vector = id / 4, block = vector / pixels, pixel = vector - block * pixels;
    std::int64_t plane = std::int64_t(block) * p.target.total + channel;
    float4 v = grad.load4((plane * pixels + pixel) * kLanes + id % 4 * 4);
    sum += v.x + v.y + (v.z + v.w);
  }
  sum = warpSum(sum);
  Shared<float> warps = sharedArray<float>(0, kThreads / 32);
  if (threadIdx.x % 32 == 0) warps[int(threadIdx.x) / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0)
    global(w.biasPartial)[std::int64_t(blockIdx.y) * p.target.total + channel] =
        float(warps[0]) + float(warps[1]) + (float(warps[2]) + float(warps[3]));
}

__device__ inline float sumOfParts(const float* parts, std::int64_t at, std::int64_t step, int count) {
  Global<const float> from = global(parts);
  double sum = 0;
  for (int s = 0; s < count; s++) sum += double(from[at + s * step]);
  return float(sum);
}

// Every element of both gradients. Grid: chunks of a channel's weights * output channels.
__global__ void __launch_bounds__(kThreads) finishWeights(WeightPass w, int chunks) {
  const Pass& p = w.pass;
  const Conv2dGeometry& g = p.geometry;
  int out = int(blockIdx.x) / chunks, at = int(blockIdx.x) % chunks * kThreads + int(threadIdx.x);
  int area = g.kernelHeight * g.kernelWidth, perChannel = p.source.perGroup * area;
  bool live = isLive(p.target, out);
  if (at == 0 && w.gradBias)
    global(w.gradBias)[out] = live ? sumOfParts(w.biasPartial, out, p.target.total, kBiasSplits) : 0.0f;
  if (at >= perChannel) return;
  int in = out / p.target.perGroup * p.source.perGroup + at / area;
  std::int64_t weight = std::int64_t(out) * perChannel + at;
  global(w.gradWeight)[weight] =
      live && isLive(p.source, in) ? sumOfParts(w.partial, weight, g.weights(), w.splits) : 0.0f;
}

}  // namespace

void weightDirect(Stream& stream, const WeightPass& w) {
  dim3 grid(unsigned(w.pass.target.total) * unsigned(w.pass.source.perGroup), unsigned(w.splits));
  launch(stream, kWeightName, weightEach, grid, dim3(kThreads), 0, w);
}

void finishWeightGradient(Stream& stream, const WeightPass& w) {
  const Conv2dGeometry& g = w.pass.geometry;
  if (w.gradBias)
    launch(stream, kWeightName, biasParts, dim3(unsigned(g.outChannels), unsigned(kBiasSplits)), dim3(kThreads),
           kThreads / 32 * sizeof(float), w);
  unsigned chunks = unsigned((g.weights() / g.outChannels + kThreads - 1) / kThreads);
  launch(stream, kWeightName, finishWeights, dim3(chunks * unsigned(g.outChannels)), dim3(kThreads), 0, w, int(chunks));
}

}  // namespace selfcompress::cuda::conv
