// Softmax: three passes over a line, of which the second and third find it in the caches.
#include <cmath>

#include "cuda/kernels/lines.cuh"

namespace selfcompress::cuda {
namespace {

// Where the elements of a line lie: floats from one element, one line and one block of images to the next.
struct Strides {
  std::int64_t element, line, block;
  int length;
};
template <class Arguments>
Strides stridesOf(const Arguments& a) {
  const std::int64_t pixels = a.shape.pixels(), block = a.shape.elements() * kLanes;
  if (a.axis == SoftmaxAxis::kChannels) return {pixels * kLanes, kLanes, block, a.shape.channels};
  return {kLanes, std::int64_t(a.shape.width) * kLanes, block, a.shape.width};
}
template <class Arguments>
LineGrid gridFor(const Arguments& a) {
  return lineGrid(a.axis == SoftmaxAxis::kChannels ? a.shape.pixels() : a.shape.channels * a.shape.height);
}

// NaN wins, so that it reaches the whole line.
__device__ inline float larger(float x, float y) { return x > y || x != x ? x : y; }

__global__ void __launch_bounds__(kThreads) softmaxForwardKernel(SoftmaxForward a, LineGrid grid, Strides s) {
  const Shared<float> room = sharedArray<float>(0, kThreads);
  const Cell c = cellOf(grid);
  const std::int64_t first = c.block * s.block + c.line * s.line + c.lane;
  const auto input = global(a.input);
  const auto output = global(a.output);
  float top = -INFINITY, sum = 0;
  if (c.used)
    for (int i = c.part; i < s.length; i += c.parts) top = larger(top, input[first + i * s.element]);
  top = overParts(c, top, room, larger);
  if (c.used)
    for (int i = c.part; i < s.length; i += c.parts) sum += expf(input[first + i * s.element] - top);
  sum = sumOverParts(c, sum, room);
  if (!c.used) return;
  const float scale = 1.0f / sum, shift = logf(sum);
  for (int i = c.part; i < s.length; i += c.parts) {
    const float x = input[first + i * s.element] - top;
    output[first + i * s.element] = a.logarithm ? x - shift : expf(x) * scale;
  }
}

__global__ void __launch_bounds__(kThreads) softmaxBackwardKernel(SoftmaxBackward a, LineGrid grid, Strides s) {
  const Shared<float> room = sharedArray<float>(0, kThreads);
  const Cell c = cellOf(grid);
  const std::int64_t first = c.block * s.block + c.line * s.line + c.lane;
  const auto output = global(a.output), gradient = global(a.gradOutput);
  const auto result = global(a.gradInput);
  float sum = 0;
  if (c.used)
    for (int i = c.part; i < s.length; i += c.parts) {
      const float g = gradient[first + i * s.element];
      if (a.logarithm) sum += g;
      else sum += g * output[first + i * s.element];
    }
  sum = sumOverParts(c, sum, room);
  if (!c.used) return;
  const bool counts = c.block * kLanes + c.lane < a.batch;
  for (int i = c.part; i < s.length; i += c.parts) {
    const float g = gradient[first + i * s.element], y = output[first + i * s.element];
    result[first + i * s.element] = !counts ? 0.0f : a.logarithm ? g - expf(y) * sum : y * (g - sum);
  }
}

}  // namespace

void enqueue(Stream& stream, const SoftmaxForward& a) {
  const LineGrid grid = gridFor(a);
  planesOf(a.shape, a.batch);  // its size
  launch(stream, "softmax forward", softmaxForwardKernel, gridOf(grid, a.batch), dim3(kThreads),
         kThreads * sizeof(float), a, grid, stridesOf(a));
}

void enqueue(Stream& stream, const SoftmaxBackward& a) {
  const LineGrid grid = gridFor(a);
  planesOf(a.shape, a.batch);
  launch(stream, "softmax backward", softmaxBackwardKernel, gridOf(grid, a.batch), dim3(kThreads),
         kThreads * sizeof(float), a, grid, stridesOf(a));
}

}  // namespace selfcompress::cuda
