// Passes of convolutions with few channels in a group (depthwise ones above all), in float32 whatever the precision: a
// matrix product would be almost empty. A thread computes one quad of lanes of one pixel of one live target channel,
// over the live source channels of its group and the taps; weights are the same for all threads of a block. Also what
// surrounds the products: sums of split passes, and constant channels.
#include "cuda/kernels/conv2d_pass.cuh"

namespace selfcompress::cuda::conv {
namespace {

constexpr int kThreads = 128, kQuads = kLanes / 4;

inline unsigned chunksOf(std::int64_t quads) { return unsigned((quads + kThreads - 1) / kThreads); }

// The pixel of the source, along one axis, that tap `tap` of the target's pixel `at` meets; negative: none.
__device__ inline int sourceOf(bool gradient, int at, int tap, int stride, int pad, int dilation) {
  if (!gradient) return at * stride - pad + tap * dilation;
  int reach = at + pad - tap * dilation;
  return reach >= 0 && reach % stride == 0 ? reach / stride : -1;
}

// Grid: chunks of (vector, quad) * target channels.
__global__ void __launch_bounds__(kThreads, 8) passEach(Pass p, int chunks) {
  int place = int(blockIdx.x) / chunks;
  if (p.target.index && place >= global(p.target.count)[0]) return;
  int id = int(blockIdx.x) % chunks * kThreads + int(threadIdx.x), vector = id / kQuads, quad = id % kQuads * 4;
  if (vector >= p.blocks * p.targetHeight * p.targetWidth) return;
  int channel = channelAt(p.target, place);
  Segment live = liveInGroup(p.source, channel / p.target.perGroup);
  const Conv2dGeometry& g = p.geometry;
  int pixel = vector % (p.targetHeight * p.targetWidth), block = vector / (p.targetHeight * p.targetWidth);
  int y = pixel / p.targetWidth, x = pixel % p.targetWidth;
  Global<const float> values = global(p.values), weight = global(p.weight) + targetWeight(p, channel);
  float4 sum = {0, 0, 0, 0};
  for (int r = 0; r < live.count; r++) {
    int from = channelAt(p.source, live.first + r);
    std::int64_t plane = (std::int64_t(block) * p.source.total + from) * p.sourceHeight;
    for (int i = 0; i < g.kernelHeight; i++) {
      int sy = sourceOf(p.gradient, y, i, g.strideH, g.padH, g.dilationH);
      if (unsigned(sy) >= unsigned(p.sourceHeight)) continue;
      for (int j = 0; j < g.kernelWidth; j++) {
        int sx = sourceOf(p.gradient, x, j, g.strideW, g.padW, g.dilationW);
        if (unsigned(sx) >= unsigned(p.sourceWidth)) continue;
        float w = weight[sourceWeight(p, from, i * g.kernelWidth + j)];
        float4 v = values.load4(((plane + sy) * p.sourceWidth + sx) * kLanes + quad);
        sum.x = fmaf(w, v.x, sum.x), sum.y = fmaf(w, v.y, sum.y);
        sum.z = fmaf(w, v.z, sum.z), sum.w = fmaf(w, v.w, sum.w);
      }
    }
  }
  std::int64_t target = std::int64_t(block) * p.target.total * p.targetHeight * p.targetWidth + pixel;
  storeQuad(p, target, quad, channel, p.bias ? float(global(p.bias)[channel]) : 0.0f, sum);
}

// Grid: chunks of (vector, quad) * channels of a group, groups. Only passes of one class are split, so the number of a
// vector is its place. Parts are added in the order of k.
__global__ void __launch_bounds__(kThreads) finishPass(Pass p, int chunks) {
  Header header = global<const Header>(p.headers)[blockIdx.y];
  int m = int(blockIdx.x) / chunks, id = int(blockIdx.x) % chunks * kThreads + int(threadIdx.x);
  int pixels = p.targetHeight * p.targetWidth, vectors = p.blocks * pixels, vector = id / kQuads;
  if (m >= header.targets || vector >= vectors) return;
  std::int64_t at = (std::int64_t(blockIdx.y) * p.packedChannels + m) * vectors * kLanes + std::int64_t(id) * 4;
  std::int64_t step = std::int64_t(gridDim.y) * p.packedChannels * vectors * kLanes;
  Global<const float> partial = global<const float>(p.partial);
  float4 sum = partial.load4(at);
  for (int s = 1; s < p.splits; s++) {
    float4 v = partial.load4(at + s * step);
    sum = {sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w};
  }
  int channel = channelAt(p.target, header.firstTarget + m);
  std::int64_t target = std::int64_t(vector / pixels) * p.target.total * pixels + vector % pixels;
  storeQuad(p, target, id % kQuads * 4, channel, p.bias ? float(global(p.bias)[channel]) : 0.0f, sum);
}

// Grid: chunks of (vector, quad) * output channels.
__global__ void __launch_bounds__(kThreads) fillChannels(Conv2dForward a, int chunks) {
  int channel = int(blockIdx.x) / chunks, id = int(blockIdx.x) % chunks * kThreads + int(threadIdx.x);
  int pixels = a.geometry.outHeight() * a.geometry.outWidth(), vector = id / kQuads;
  if (global(a.outputState)[channel] != kConstant || vector >= blocksOf(a.batch) * pixels) return;
  if (isLive({a.liveOut.index, a.liveOut.count, a.geometry.outChannels, a.geometry.outChannels}, channel)) return;
  float value = a.bias ? float(global(a.bias)[channel]) : 0.0f;
  if (a.relu && value < 0) value = 0;
  std::int64_t target = (std::int64_t(vector / pixels) * a.geometry.outChannels + channel) * pixels + vector % pixels;
  global(a.output).store4(target * kLanes + id % kQuads * 4, {value, value, value, value});
}

}  // namespace

void passDirect(Stream& stream, const char* operation, const Pass& p) {
  unsigned chunks = chunksOf(std::int64_t(p.blocks) * p.targetHeight * p.targetWidth * kQuads);
  launch(stream, operation, passEach, dim3(chunks * unsigned(p.target.total)), dim3(kThreads), 0, p, int(chunks));
}

void finishSplits(Stream& stream, const char* operation, const Pass& p) {
  unsigned chunks = chunksOf(std::int64_t(p.blocks) * p.targetHeight * p.targetWidth * kQuads);
  launch(stream, operation, finishPass, dim3(chunks * unsigned(p.target.perGroup), unsigned(p.geometry.groups)),
         dim3(kThreads), 0, p, int(chunks));
}

void fillConstant(Stream& stream, const char* operation, const Conv2dForward& a) {
  if (!a.outputState || !a.liveOut.index) return;  // every channel is live
  unsigned chunks = chunksOf(laneElements(a.geometry.output(), a.batch) / a.geometry.outChannels / 4);
  launch(stream, operation, fillChannels, dim3(chunks * unsigned(a.geometry.outChannels)), dim3(kThreads), 0, a,
         int(chunks));
}

}  // namespace selfcompress::cuda::conv
