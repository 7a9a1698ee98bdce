// Arithmetic of two tensors: a float4 for each thread. Sums for the second operand, by what it has:
//
// - all positions, of one channel or of one example: a thread (or the four of a pixel) for each float4 of the sum;
// - one position: a block for each plane of the first operand; a second kernel adds the planes up in order.
//
// PReLU, whose slopes are such an operand, is here as well.
#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

__device__ inline bool outputIsZero(Binary kind, bool zeroA, bool zeroB) {
  if (kind == Binary::kMultiply) return zeroA || zeroB;
  return kind == Binary::kDivide ? zeroA : zeroA && zeroB;
}
__device__ inline float combined(Binary kind, float x, float y) {
  switch (kind) {
    case Binary::kAdd:
      return x + y;
    case Binary::kSubtract:
      return x - y;
    case Binary::kMultiply:
      return x * y;
    default:
      return x / y;
  }
}
__device__ inline float gradientOfA(Binary kind, float g, float y) {
  return kind == Binary::kMultiply ? g * y : kind == Binary::kDivide ? g / y : g;
}
__device__ inline float gradientOfB(Binary kind, float g, float x, float y) {
  switch (kind) {
    case Binary::kAdd:
      return g;
    case Binary::kSubtract:
      return -g;
    case Binary::kMultiply:
      return g * x;
    default:
      return -g * x / (y * y);
  }
}
__device__ inline bool readsOperands(Binary kind) { return kind == Binary::kMultiply || kind == Binary::kDivide; }

// A float4 of a: its block of images, channel, position and quarter of the lanes.
struct Place {
  std::int64_t block, position;
  int channel, quarter;
};
__device__ inline Place placeOf(const Planes& planes, unsigned v) {
  const unsigned plane = v / planes.perPlane, inPlane = v % planes.perPlane;
  return {std::int64_t(plane / planes.channels), std::int64_t(inPlane / kPixelVectors), int(plane % planes.channels),
          int(inPlane % kPixelVectors)};
}
__device__ inline std::int64_t offsetOf(const Planes& planes, const Place& p) {
  return ((p.block * planes.channels + p.channel) * planes.perPlane + p.position * kPixelVectors + p.quarter) * 4;
}
__device__ inline int imagesOf(int batch, const Place& p) {
  const int rest = batch - int(p.block) * kLanes - p.quarter * 4;
  return rest < 0 ? 0 : rest < 4 ? rest : 4;
}
// What of b meets it.
template <class Arguments>
__device__ inline float4 secondAt(const Arguments& a, const Planes& planes, const Place& p) {
  const std::int64_t pixels = a.operand.onePosition ? 1 : planes.perPlane / kPixelVectors,
                     channels = a.operand.oneChannel ? 1 : planes.channels;
  const std::int64_t channel = a.operand.oneChannel ? 0 : p.channel, position = a.operand.onePosition ? 0 : p.position;
  if (a.operand.plain) {
    const float y = global(a.b)[channel * pixels + position];
    return float4{y, y, y, y};
  }
  return global(a.b).load4((((p.block * channels + channel) * pixels + position) * kPixelVectors + p.quarter) * 4);
}
template <class Arguments>
__device__ inline bool noSecond(const Arguments& a, int channel) {
  return isZero(a.stateB, unsigned(a.operand.oneChannel ? 0 : channel));
}

__global__ void __launch_bounds__(kThreads) binaryForwardKernel(BinaryForward a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total) return;
  const Place p = placeOf(planes, v);
  const bool noA = isZero(a.stateA, unsigned(p.channel)), noB = noSecond(a, p.channel);
  if (outputIsZero(a.kind, noA, noB)) return;
  const float4 none{0, 0, 0, 0}, x = noA ? none : global(a.a).load4(std::int64_t(v) * 4),
                                 y = noB ? none : secondAt(a, planes, p);
  const float4 result = map(x, y, [&](float xi, float yi) { return combined(a.kind, xi, yi); });
  // padding lanes of a quotient may be 0 / 0
  global(a.output).store4(std::int64_t(v) * 4,
                          a.kind == Binary::kDivide ? firstOf(result, imagesOf(a.batch, p)) : result);
}

// What a float4 of a adds to gradB, without padding lanes.
__device__ inline float4 secondTerm(const BinaryBackward& a, const Planes& planes, const Place& p) {
  const float4 none{0, 0, 0, 0};
  const bool noA = isZero(a.stateA, unsigned(p.channel)), noB = noSecond(a, p.channel);
  if (outputIsZero(a.kind, noA, noB)) return none;
  const std::int64_t at = offsetOf(planes, p);
  const float4 g = global(a.gradOutput).load4(at), x = readsOperands(a.kind) && !noA ? global(a.a).load4(at) : none,
               y = a.kind == Binary::kDivide ? secondAt(a, planes, p) : none;
  return firstOf(float4{gradientOfB(a.kind, g.x, x.x, y.x), gradientOfB(a.kind, g.y, x.y, y.y),
                        gradientOfB(a.kind, g.z, x.z, y.z), gradientOfB(a.kind, g.w, x.w, y.w)},
                 imagesOf(a.batch, p));
}
__device__ inline float4 plus(float4 x, float4 y) {
  return map(x, y, [](float a, float b) { return a + b; });
}

// gradA; and gradB if it has the shape of a.
__global__ void __launch_bounds__(kThreads) binaryGradientKernel(BinaryBackward a, Planes planes, bool sameShape) {
  const unsigned v = threadInGrid();
  if (v >= planes.total) return;
  const Place p = placeOf(planes, v);
  const std::int64_t at = std::int64_t(v) * 4;
  const float4 none{0, 0, 0, 0};
  const bool noA = isZero(a.stateA, unsigned(p.channel)), noB = noSecond(a, p.channel);
  const bool writesB = sameShape && a.gradB && !noB;
  const float4 toB = writesB ? secondTerm(a, planes, p) : none;  // before gradA, which may be gradOutput, is written
  if (a.gradA && !noA) {
    float4 toA = none;
    if (!outputIsZero(a.kind, noA, noB)) {
      const float4 y = readsOperands(a.kind) && !noB ? secondAt(a, planes, p) : none;
      toA =
          firstOf(map(global(a.gradOutput).load4(at), y, [&](float g, float yi) { return gradientOfA(a.kind, g, yi); }),
                  imagesOf(a.batch, p));
    }
    global(a.gradA).store4(at, toA);
  }
  if (writesB) global(a.gradB).store4(at, toB);
}

// gradB of one channel with all positions: a thread for each of its float4s, over the channels.
__global__ void __launch_bounds__(kThreads) binaryChannelSumKernel(BinaryBackward a, Planes planes, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total || noSecond(a, 0)) return;
  Place p{std::int64_t(v / planes.perPlane), std::int64_t(v % planes.perPlane / kPixelVectors), 0,
          int(v % kPixelVectors)};
  float4 sum{0, 0, 0, 0};
  for (p.channel = 0; p.channel < int(planes.channels); p.channel++) sum = plus(sum, secondTerm(a, planes, p));
  global(a.gradB).store4(std::int64_t(v) * 4, sum);
}

// Plain gradB with all positions: four threads for each float of it, over the batch (and the channels if it has one).
__global__ void __launch_bounds__(kThreads) binaryBatchSumKernel(BinaryBackward a, Planes planes, unsigned total) {
  const unsigned v = threadInGrid();
  const unsigned channel = v / planes.perPlane;
  float4 sum{0, 0, 0, 0};
  if (v < total) {
    Place p{0, std::int64_t(v % planes.perPlane / kPixelVectors), 0, int(v % kPixelVectors)};
    const int first = a.operand.oneChannel ? 0 : int(channel),
              end = a.operand.oneChannel ? int(planes.channels) : first + 1;
    for (; p.block * kLanes < a.batch; p.block++) {
      float4 part{0, 0, 0, 0};
      for (p.channel = first; p.channel < end; p.channel++) part = plus(part, secondTerm(a, planes, p));
      sum = plus(sum, part);
    }
  }
  float all = sumOf(sum);
  all += __shfl_xor_sync(kAllLanes, all, 1);
  all += __shfl_xor_sync(kAllLanes, all, 2);
  if (v < total && v % kPixelVectors == 0 && !noSecond(a, int(channel))) global(a.gradB)[v / kPixelVectors] = all;
}

// sums[plane][16] over the positions of a plane: a block for each.
__global__ void __launch_bounds__(kThreads) binaryPlaneSumKernel(BinaryBackward a, Planes planes, float* sums) {
  Place p{std::int64_t(blockIdx.x / planes.channels), 0, int(blockIdx.x % planes.channels),
          int(threadIdx.x % kPixelVectors)};
  float4 sum{0, 0, 0, 0};
  for (p.position = threadIdx.x / kPixelVectors; p.position < planes.perPlane / kPixelVectors;
       p.position += kThreads / kPixelVectors)
    sum = plus(sum, secondTerm(a, planes, p));
  for (int distance = 16; distance >= kPixelVectors; distance /= 2)
    sum = map(sum, [&](float x) { return x + __shfl_xor_sync(kAllLanes, x, distance); });
  const auto warps = sharedArray<float>(0, kWarps * kLanes);
  const int t = int(threadIdx.x);
  if (t % 32 < kPixelVectors) warps.store4(t / 32 * kLanes + t % 32 * 4, sum);
  __syncthreads();
  if (t >= kLanes) return;
  float all = 0;
  for (int warp = 0; warp < kWarps; warp++) all += warps[warp * kLanes + t];
  global(sums)[std::int64_t(blockIdx.x) * kLanes + t] = all;
}

// Lanes: a thread for each float of gradB {C or 1,1,1}.
__global__ void __launch_bounds__(kThreads)
    binaryLaneTotalKernel(BinaryBackward a, int channels, unsigned total, const float* sums) {
  const unsigned v = threadInGrid();
  const int own = a.operand.oneChannel ? 1 : channels, each = a.operand.oneChannel ? channels : 1;
  if (v >= total) return;
  const int c = int(v / kLanes) % own;
  if (noSecond(a, c)) return;
  const std::int64_t first = std::int64_t(v / kLanes) * each;
  float sum = 0;
  for (int k = 0; k < each; k++) sum += global(sums)[(first + k) * kLanes + v % kLanes];
  global(a.gradB)[v] = sum;
}

// Plain: a block for each float of gradB [C or 1].
__global__ void __launch_bounds__(kThreads) binaryTotalKernel(BinaryBackward a, int channels, const float* sums) {
  const int c = int(blockIdx.x), each = a.operand.oneChannel ? channels : 1;
  const std::int64_t count = std::int64_t((a.batch + kLanes - 1) / kLanes) * each * kLanes;
  double values[1] = {0};
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) {
    const std::int64_t plane = i / kLanes / each * channels + c + i / kLanes % each;
    values[0] += double(global(sums)[plane * kLanes + i % kLanes]);
  }
  double total[1];
  blockSums<1>(values, sharedArray<double>(0, kWarps), total);
  if (threadIdx.x == 0 && !noSecond(a, c)) global(a.gradB)[c] = float(total[0]);
}

__global__ void __launch_bounds__(kThreads) preluForwardKernel(PReluForward a, Planes planes) {
  const unsigned v = threadInGrid(), channel = channelOf(planes, v);
  if (v >= planes.total || isZero(a.state, channel)) return;
  const float slope = global(a.slope)[a.shared ? 0 : channel];
  global(a.output).store4(std::int64_t(v) * 4, map(global(a.input).load4(std::int64_t(v) * 4),
                                                   [&](float x) { return x > 0 ? x : slope * x; }));
}

// A block for each plane; sums[plane] of its part of the slope's gradient.
__global__ void __launch_bounds__(kThreads) preluBackwardKernel(PReluBackward a, Planes planes, double* sums) {
  const unsigned channel = blockIdx.x % planes.channels;
  const int block = int(blockIdx.x / planes.channels);
  float part[1] = {0};
  if (!isZero(a.state, channel)) {
    const float slope = global(a.slope)[a.shared ? 0 : channel];
    const auto input = global(a.input), gradient = global(a.gradOutput);
    const auto result = global(a.gradInput);
    for (unsigned i = threadIdx.x; i < planes.perPlane; i += kThreads) {
      const std::int64_t at = (std::int64_t(blockIdx.x) * planes.perPlane + i) * 4;
      const float4 x = input.load4(at), g = gradient.load4(at);
      const float4 term = map(x, g, [](float xi, float gi) { return xi > 0 ? 0.0f : gi * xi; });
      const int rest = a.batch - block * kLanes - int(i % kPixelVectors) * 4;
      part[0] += sumOf(firstOf(term, rest));
      result.store4(at, map(x, g, [&](float xi, float gi) { return xi > 0 ? gi : slope * gi; }));
    }
  }
  double total[1];
  blockSums<1>(part, sharedArray<double>(0, kWarps), total);
  const bool dead = a.state && global(a.state)[channel] != kLive;
  if (threadIdx.x == 0) global(sums)[blockIdx.x] = dead ? 0.0 : total[0];
}
__global__ void __launch_bounds__(kThreads)
    preluTotalKernel(PReluBackward a, int channels, int planes, const double* sums) {
  const int slope = int(threadInGrid());
  if (slope >= (a.shared ? 1 : channels)) return;
  double sum = 0;
  for (int i = slope; i < planes; i += a.shared ? 1 : channels) sum += global(sums)[i];
  global(a.gradSlope)[slope] = float(sum);
}

void sumPlanes(Stream& stream, const BinaryBackward& a, const Planes& planes) {
  const unsigned count = unsigned(a.shape.channels) * unsigned(blocksOf(a.batch));
  auto* sums = static_cast<float*>(scratch(stream, std::size_t(count) * kLanes * sizeof(float)));
  launch(stream, "binary backward", binaryPlaneSumKernel, dim3(count), dim3(kThreads), kWarps * kLanes * sizeof(float),
         a, planes, sums);
  const unsigned channels = a.operand.oneChannel ? 1 : planes.channels;
  if (a.operand.plain) {
    launch(stream, "binary backward", binaryTotalKernel, dim3(channels), dim3(kThreads), blockSumBytes(1), a,
           a.shape.channels, sums);
    return;
  }
  const unsigned total = channels * unsigned(blocksOf(a.batch)) * kLanes;
  launch(stream, "binary backward", binaryLaneTotalKernel, dim3(blocksFor(total)), dim3(kThreads), 0, a,
         a.shape.channels, total, sums);
}

void sumPositions(Stream& stream, const BinaryBackward& a, const Planes& planes) {
  const unsigned total =
      planes.perPlane * (a.operand.plain ? (a.operand.oneChannel ? 1 : planes.channels) : unsigned(blocksOf(a.batch)));
  auto* kernel = a.operand.plain ? binaryBatchSumKernel : binaryChannelSumKernel;
  launch(stream, "binary backward", kernel, dim3(blocksFor(total)), dim3(kThreads), 0, a, planes, total);
}

}  // namespace

void enqueue(Stream& stream, const BinaryForward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  launch(stream, "binary forward", binaryForwardKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const BinaryBackward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  const bool sameShape = !a.operand.oneChannel && !a.operand.onePosition && !a.operand.plain;
  if (a.gradB && !sameShape) {  // first, because gradA may be gradOutput
    if (a.operand.onePosition) sumPlanes(stream, a, planes);
    else sumPositions(stream, a, planes);
  }
  if (a.gradA || (a.gradB && sameShape))
    launch(stream, "binary backward", binaryGradientKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes,
           sameShape);
}

void enqueue(Stream& stream, const PReluForward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  launch(stream, "prelu forward", preluForwardKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const PReluBackward& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  const int count = a.shape.channels * blocksOf(a.batch);
  auto* sums = static_cast<double*>(scratch(stream, std::size_t(count) * sizeof(double)));
  launch(stream, "prelu backward", preluBackwardKernel, dim3(unsigned(count)), dim3(kThreads), blockSumBytes(1), a,
         planes, sums);
  launch(stream, "prelu backward", preluTotalKernel, dim3(blocksFor(a.shape.channels)), dim3(kThreads), 0, a,
         a.shape.channels, count, sums);
}

}  // namespace selfcompress::cuda
