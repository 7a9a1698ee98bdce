// Max and average pooling.
//
// - forward: a thread for each float4 of the result reads its window. Large windows (global pooling) are shared by the
//   eight threads of a warp that have the same four images.
// - backward: a thread for each float4 of dL/dinput looks at the windows that contain its pixel, in row order, so that
//   nothing is scattered and nothing needs an atomic; the winner of a maximum is looked up again. Windows overlap in
//   the L1 cache: DRAM sees input, gradient and mask once and one write.
#include <cmath>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kShared = 32;  // pixels of a window from which on threads share it
constexpr int kSharing = 8;  // threads

struct Window {
  int top, bottom, left, right;  // half-open, clipped to the image
  __device__ int width() const { return right - left; }
  __device__ int area() const { return (bottom - top) * (right - left); }
};
__device__ inline Window windowAt(const PoolGeometry& g, int y, int x) {
  Window w{y * g.strideH - g.padH, 0, x * g.strideW - g.padW, 0};
  w.bottom = w.top + g.kernelHeight < g.input.height ? w.top + g.kernelHeight : g.input.height;
  w.right = w.left + g.kernelWidth < g.input.width ? w.left + g.kernelWidth : g.input.width;
  if (w.top < 0) w.top = 0;
  if (w.left < 0) w.left = 0;
  return w;
}
__device__ inline float averageFactor(const PoolGeometry& g, const Window& w) {
  return 1.0f / float(g.countIncludePad ? g.kernelHeight * g.kernelWidth : w.area());
}
// Whether x takes the place of `best`: larger, or a NaN over a number.
__device__ inline bool beats(float x, float best) { return x > best || (x != x && best == best); }
__device__ inline float winner(float best, float x) { return beats(x, best) ? x : best; }

template <Pool kKind>
__device__ inline float4 combined(float4 a, float4 b) {
  return map(a, b, [](float x, float y) { return kKind == Pool::kMax ? winner(x, y) : x + y; });
}
template <Pool kKind>
__device__ inline float4 neutral() {
  const float v = kKind == Pool::kMax ? -INFINITY : 0.0f;
  return float4{v, v, v, v};
}

// Of one float4 of the result: which plane, pixel and quarter.
struct Place {
  unsigned plane, quarter;
  int y, x;
};
__device__ inline Place placeOf(unsigned v, unsigned perPlane, int width) {
  const unsigned inPlane = v % perPlane, pixel = inPlane / kPixelVectors;
  return {v / perPlane, inPlane % kPixelVectors, int(pixel) / width, int(pixel) % width};
}
__device__ inline std::int64_t inputOffset(const PoolGeometry& g, const Place& p, int y, int x) {
  return (((std::int64_t(p.plane) * g.input.height + y) * g.input.width + x) * kPixelVectors + p.quarter) * 4;
}

// planes: of the output.
template <Pool kKind, bool kShare>
__global__ void __launch_bounds__(kThreads) poolForwardKernel(PoolForward a, Planes planes) {
  const PoolGeometry& g = a.geometry;
  unsigned v = threadInGrid(), part = 0;
  if (kShare) {  // lanes 0..3 are a pixel's quarters, and again for each part
    const unsigned lane = threadIdx.x % 32;
    v = v / 32 * kPixelVectors + lane % kPixelVectors;
    part = lane / kPixelVectors;
  }
  if (v >= planes.total || isZero(a.state, channelOf(planes, v))) return;  // whole warps, where threads share
  const Place p = placeOf(v, planes.perPlane, g.output().width);
  const Window w = windowAt(g, p.y, p.x);
  const auto input = global(a.input);
  float4 result = neutral<kKind>();
  if (kShare) {
    for (int i = int(part); i < w.area(); i += kSharing)
      result = combined<kKind>(result, input.load4(inputOffset(g, p, w.top + i / w.width(), w.left + i % w.width())));
    for (int distance = 16; distance >= kPixelVectors; distance /= 2)
      result = combined<kKind>(result, map(result, [&](float x) { return __shfl_xor_sync(kAllLanes, x, distance); }));
    if (part != 0) return;
  } else {
    for (int r = w.top; r < w.bottom; r++)
      for (int c = w.left; c < w.right; c++) result = combined<kKind>(result, input.load4(inputOffset(g, p, r, c)));
  }
  const float factor = kKind == Pool::kAverage ? averageFactor(g, w) : 1.0f;
  global(a.output).store4(std::int64_t(v) * 4,
                          map(result, [&](float x) { return kKind == Pool::kAverage ? x * factor : x; }));
}

// In which pixel, counted in row order, each image's maximum of the window is.
__device__ inline int4 winnersOf(const PoolGeometry& g, const Place& p, const Window& w, Global<const float> input) {
  float4 best = input.load4(inputOffset(g, p, w.top, w.left));
  int4 where{0, 0, 0, 0};
  int number = 0;
  auto look = [&](float x, float& most, int& at) {
    if (!beats(x, most)) return;
    most = x;
    at = number;
  };
  for (int r = w.top; r < w.bottom; r++)
    for (int c = w.left; c < w.right; c++, number++) {
      const float4 x = input.load4(inputOffset(g, p, r, c));
      look(x.x, best.x, where.x), look(x.y, best.y, where.y), look(x.z, best.z, where.z), look(x.w, best.w, where.w);
    }
  return where;
}

// First and last window that contains a pixel, along one axis.
__device__ inline int firstWindow(int at, int pad, int kernel, int stride) {
  const int from = at + pad - kernel + 1;
  return from <= 0 ? 0 : (from + stride - 1) / stride;
}
__device__ inline int lastWindow(int at, int pad, int stride, int windows) {
  const int last = (at + pad) / stride;
  return last < windows ? last : windows - 1;
}

// planes: of the input.
template <Pool kKind>
__global__ void __launch_bounds__(kThreads) poolBackwardKernel(PoolBackward a, Planes planes) {
  const PoolGeometry& g = a.geometry;
  const unsigned v = threadInGrid();
  if (v >= planes.total || isZero(a.state, channelOf(planes, v))) return;
  const Place p = placeOf(v, planes.perPlane, g.input.width);
  const Shape out = g.output();
  const auto gradOutput = global(a.gradOutput);
  float4 result{0, 0, 0, 0};
  for (int y = firstWindow(p.y, g.padH, g.kernelHeight, g.strideH); y <= lastWindow(p.y, g.padH, g.strideH, out.height);
       y++)
    for (int x = firstWindow(p.x, g.padW, g.kernelWidth, g.strideW); x <= lastWindow(p.x, g.padW, g.strideW, out.width);
         x++) {
      const Window w = windowAt(g, y, x);
      float4 grad = gradOutput.load4(
          (((std::int64_t(p.plane) * out.height + y) * out.width + x) * kPixelVectors + p.quarter) * 4);
      if (kKind == Pool::kMax) {
        const int4 at = winnersOf(g, p, w, global(a.input));
        const int here = (p.y - w.top) * w.width() + p.x - w.left;
        grad = float4{at.x == here ? grad.x : 0.0f, at.y == here ? grad.y : 0.0f, at.z == here ? grad.z : 0.0f,
                      at.w == here ? grad.w : 0.0f};
      } else {
        const float factor = averageFactor(g, w);
        grad = map(grad, [&](float value) { return value * factor; });
      }
      result = map(result, grad, [](float sum, float term) { return sum + term; });
    }
  const std::int64_t at = std::int64_t(v) * 4;
  if (a.reluInput)
    result = map(result, global(a.reluInput).load4(at), [](float value, float x) { return x > 0 ? value : 0.0f; });
  global(a.gradInput).store4(at, result);
}

}  // namespace

void enqueue(Stream& stream, const PoolForward& a) {
  const Planes planes = planesOf(a.geometry.output(), a.batch);
  planesOf(a.geometry.input, a.batch);  // its size
  const bool share = a.geometry.kernelHeight * a.geometry.kernelWidth >= kShared, max = a.kind == Pool::kMax;
  auto* kernel = share ? max ? poolForwardKernel<Pool::kMax, true> : poolForwardKernel<Pool::kAverage, true>
                 : max ? poolForwardKernel<Pool::kMax, false>
                       : poolForwardKernel<Pool::kAverage, false>;
  launch(stream, "pool forward", kernel, dim3(blocksFor(std::int64_t(planes.total) * (share ? kSharing : 1))),
         dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const PoolBackward& a) {
  const Planes planes = planesOf(a.geometry.input, a.batch);
  auto* kernel = a.kind == Pool::kMax ? poolBackwardKernel<Pool::kMax> : poolBackwardKernel<Pool::kAverage>;
  launch(stream, "pool backward", kernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

}  // namespace selfcompress::cuda
