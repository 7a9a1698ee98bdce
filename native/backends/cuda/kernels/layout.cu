// Operations that move elements, resizing, biases and sums of channels: a float4 of the result for each thread, every
// result written by one thread. Gradients are gathered: a pixel looks for the outputs that it is part of.
#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

// A float4 of a tensor: four images of one pixel.
struct Place {
  std::int64_t block;
  int channel, y, x, part;
};
__device__ inline Place placeOf(unsigned v, const Shape& s) {
  const unsigned pixel = v / kPixelVectors, plane = pixel / unsigned(s.pixels()),
                 inPlane = pixel % unsigned(s.pixels());
  return {std::int64_t(plane / unsigned(s.channels)), int(plane % unsigned(s.channels)),
          int(inPlane / unsigned(s.width)), int(inPlane % unsigned(s.width)), int(v % kPixelVectors)};
}
__device__ inline std::int64_t offsetOf(const Shape& s, const Place& p, int channel, int y, int x) {
  return (((p.block * s.channels + channel) * s.height + y) * s.width + x) * kLanes + p.part * 4;
}

// What a source has at a place; zeros in a kZero channel.
struct From {
  const float* data;
  Shape shape;
  const std::int32_t* state;
  __device__ float4 at(const Place& p, int channel, int y, int x) const {
    if (isZero(state, unsigned(channel))) return float4{0, 0, 0, 0};
    return global(data).load4(offsetOf(shape, p, channel, y, x));
  }
};
__device__ inline float4 sum(float4 a, float4 b) {
  return map(a, b, [](float x, float y) { return x + y; });
}
__device__ inline float4 addScaled(float4 total, float weight, float4 v) {
  return map(total, v, [=](float t, float x) { return t + weight * x; });
}

// The grid's size is that of the result, rounded up: `total` float4s.
__global__ void __launch_bounds__(kThreads) copyWindowKernel(CopyWindow a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, Shape{a.channels, a.height, a.width});
  const int channel = a.outChannel + p.channel;
  if (isZero(a.targetState, unsigned(channel))) return;
  const From from{a.source, a.input, a.sourceState};
  const std::int64_t to = offsetOf(a.output, p, channel, a.outTop + p.y, a.outLeft + p.x);
  const auto target = global(a.target);
  const float4 x = from.at(p, a.inChannel + p.channel, a.inTop + p.y, a.inLeft + p.x);
  target.store4(to, a.accumulate ? sum(target.load4(to), x) : x);
}

__global__ void __launch_bounds__(kThreads) padForwardKernel(PadForward a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const PadGeometry& g = a.geometry;
  const Place p = placeOf(v, g.output());
  if (isZero(a.outputState, unsigned(p.channel))) return;
  const int row = padSource(g.mode, p.y, g.top, g.input.height), column = padSource(g.mode, p.x, g.left, g.input.width);
  const From from{a.input, g.input, a.inputState};
  global(a.output).store4(std::int64_t(v) * 4, row < 0 || column < 0 ? float4{g.value, g.value, g.value, g.value}
                                                                     : from.at(p, p.channel, row, column));
}

__global__ void __launch_bounds__(kThreads) padBackwardKernel(PadBackward a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const PadGeometry& g = a.geometry;
  const Shape out = g.output();
  const Place p = placeOf(v, g.input);
  if (isZero(a.inputState, unsigned(p.channel))) return;
  const From from{a.gradOutput, out, a.outputState};
  float4 total4{0, 0, 0, 0};
  for (int y = 0; y < out.height; y++) {
    if (padSource(g.mode, y, g.top, g.input.height) != p.y) continue;
    for (int x = 0; x < out.width; x++)
      if (padSource(g.mode, x, g.left, g.input.width) == p.x) total4 = sum(total4, from.at(p, p.channel, y, x));
  }
  global(a.gradInput).store4(std::int64_t(v) * 4, total4);
}

__global__ void __launch_bounds__(kThreads) resizeForwardKernel(ResizeForward a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const ResizeGeometry& g = a.geometry;
  const Place p = placeOf(v, g.output());
  if (isZero(a.state, unsigned(p.channel))) return;
  const From from{a.input, g.input, nullptr};
  const ResizeTap row = resizeRow(g, p.y), column = resizeColumn(g, p.x);
  float4 result = from.at(p, p.channel, row.first, column.first);
  if (g.mode == ResizeMode::kLinear) {
    auto between = [](float4 low, float4 high, float weight) {
      return map(low, high, [=](float l, float h) { return l + weight * (h - l); });
    };
    const float4 top = between(result, from.at(p, p.channel, row.first, column.second), column.weight),
                 bottom = between(from.at(p, p.channel, row.second, column.first),
                                  from.at(p, p.channel, row.second, column.second), column.weight);
    result = between(top, bottom, row.weight);
  }
  global(a.output).store4(std::int64_t(v) * 4, result);
}

// The weight that position i has in a tap, and whether it takes part at all.
__device__ inline bool takesPart(const ResizeTap& tap, bool linear, int i, float& weight) {
  weight = 0;
  if (tap.first == i) weight += 1 - tap.weight;
  if (linear && tap.second == i) weight += tap.weight;
  return tap.first == i || (linear && tap.second == i);
}
__global__ void __launch_bounds__(kThreads) resizeBackwardKernel(ResizeBackward a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const ResizeGeometry& g = a.geometry;
  const bool linear = g.mode == ResizeMode::kLinear;
  const Place p = placeOf(v, g.input);
  if (isZero(a.state, unsigned(p.channel))) return;
  const From from{a.gradOutput, g.output(), nullptr};
  float4 total4{0, 0, 0, 0};
  for (int y = 0; y < g.outHeight; y++) {
    float down = 0, right = 0;
    if (!takesPart(resizeRow(g, y), linear, p.y, down)) continue;
    for (int x = 0; x < g.outWidth; x++)
      if (takesPart(resizeColumn(g, x), linear, p.x, right))
        total4 = addScaled(total4, down * right, from.at(p, p.channel, y, x));
  }
  global(a.gradInput).store4(std::int64_t(v) * 4, total4);
}

__global__ void __launch_bounds__(kThreads) gatherChannelsKernel(GatherChannels a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, Shape{a.channels, a.input.height, a.input.width});
  if (isZero(a.outputState, unsigned(p.channel))) return;
  const std::int32_t from = global(a.index)[p.channel];
  const float4 none{0, 0, 0, 0};
  global(a.output).store4(std::int64_t(v) * 4,
                          from < 0 ? none : From{a.source, a.input, a.inputState}.at(p, from, p.y, p.x));
}

__global__ void __launch_bounds__(kThreads) gatherChannelsBackwardKernel(GatherChannelsBackward a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, a.input);
  if (isZero(a.inputState, unsigned(p.channel))) return;
  const From from{a.gradOutput, Shape{a.channels, a.input.height, a.input.width}, a.outputState};
  const auto index = global(a.index);
  float4 total4{0, 0, 0, 0};
  for (int c = 0; c < a.channels; c++) {
    const std::int32_t source = index[c];
    if (source == p.channel) total4 = sum(total4, from.at(p, c, p.y, p.x));
  }
  global(a.gradInput).store4(std::int64_t(v) * 4, total4);
}

__global__ void __launch_bounds__(kThreads) depthToSpaceKernel(DepthToSpace a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, a.deep);
  const DepthPlace d = depthPlace(a, p.channel);
  const int row = p.y * a.size + d.row, column = p.x * a.size + d.column;
  if (isZero(a.targetState, unsigned(a.inverse ? p.channel : d.channel))) return;
  const Shape wide = a.wide();
  if (a.inverse) {
    const From from{a.source, wide, a.sourceState};
    global(a.target).store4(std::int64_t(v) * 4, from.at(p, d.channel, row, column));
  } else {
    const From from{a.source, a.deep, a.sourceState};
    global(a.target).store4(offsetOf(wide, p, d.channel, row, column), from.at(p, p.channel, p.y, p.x));
  }
}

__global__ void __launch_bounds__(kThreads) transposeKernel(Transpose a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, Shape{a.input.pixels(), 1, a.input.channels});
  if (isZero(a.targetState, unsigned(p.channel))) return;
  const From from{a.source, Shape{a.input.channels, 1, a.input.pixels()}, a.sourceState};
  global(a.target).store4(std::int64_t(v) * 4, from.at(p, p.x, 0, p.channel));
}

__global__ void __launch_bounds__(kThreads) channelSumKernel(ChannelSum a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, Shape{1, a.input.height, a.input.width});
  const From from{a.source, a.input, a.inputState};
  float4 total4{0, 0, 0, 0};
  for (int c = 0; c < a.input.channels; c++) total4 = sum(total4, from.at(p, c, p.y, p.x));
  global(a.output).store4(std::int64_t(v) * 4, map(total4, [&](float x) { return a.factor * x; }));
}
__global__ void __launch_bounds__(kThreads) channelSumBackwardKernel(ChannelSumBackward a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, a.input);
  if (isZero(a.inputState, unsigned(p.channel))) return;
  const From from{a.gradOutput, Shape{1, a.input.height, a.input.width}, nullptr};
  global(a.gradInput).store4(std::int64_t(v) * 4, map(from.at(p, 0, p.y, p.x), [&](float x) { return a.factor * x; }));
}

__global__ void __launch_bounds__(kThreads) stateJoinKernel(StateJoin a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  bool live = false, constant = false;
  for (int i = 0; i < a.perChannel; i++) {
    const std::int32_t from = global(a.index)[std::int64_t(c) * a.perChannel + i];
    if (from < 0) continue;
    const std::int32_t state = global(a.input)[from];
    live = live || state == kLive;
    constant = constant || state == kConstant;
  }
  global(a.output)[c] = live || (constant && a.mixed) ? kLive : constant ? kConstant : kZero;
}

__global__ void __launch_bounds__(kThreads) channelBiasKernel(ChannelBias a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const Place p = placeOf(v, a.shape);
  const std::int32_t state = a.state ? global(a.state)[p.channel] : std::int32_t(kLive);
  if (state == kZero) return;
  const float bias = global(a.bias)[p.channel];
  const auto data = global(a.data);
  const float4 none{0, 0, 0, 0}, x = state == kConstant ? none : data.load4(std::int64_t(v) * 4);
  data.store4(std::int64_t(v) * 4, map(x, [&](float value) { return a.relu ? relu(value + bias) : value + bias; }));
}

// A block for each channel.
__global__ void __launch_bounds__(kThreads) channelBiasGradientKernel(ChannelBiasGradient a, int blocks) {
  const int channel = int(blockIdx.x), perPlane = a.shape.pixels() * kPixelVectors;
  const bool live = !a.state || global(a.state)[channel] == kLive;
  float values[1] = {0};
  for (std::int64_t i = threadIdx.x; live && i < std::int64_t(blocks) * perPlane; i += kThreads) {
    const std::int64_t block = i / perPlane;
    const int inPlane = int(i % perPlane), images = a.batch - int(block) * kLanes - inPlane % kPixelVectors * 4;
    values[0] += sumOf(
        firstOf(global(a.gradOutput).load4(((block * a.shape.channels + channel) * perPlane + inPlane) * 4), images));
  }
  double sums[1];
  blockSums<1>(values, sharedArray<double>(0, kWarps), sums);
  if (threadIdx.x == 0) global(a.gradBias)[channel] = float(sums[0]);
}

__global__ void __launch_bounds__(kThreads) permuteWeightsKernel(PermuteWeights a, unsigned total) {
  const unsigned v = threadInGrid();
  if (v >= total) return;
  const unsigned tap = v % unsigned(a.taps), at = v / unsigned(a.taps), row = at % unsigned(a.rows),
                 column = at / unsigned(a.rows) % unsigned(a.columns),
                 group = at / unsigned(a.rows) / unsigned(a.columns);
  const float value = global(a.source)[((std::int64_t(group) * a.rows + row) * a.columns + column) * a.taps + tap];
  global(a.target)[v] = value;
}

// A thread for each float4 of `shape`.
template <class Operation>
void launchFor(Stream& stream, const char* name, void (*kernel)(Operation, unsigned), const Operation& a, Shape shape,
               int batch) {
  const Planes planes = planesOf(shape, batch);
  if (planes.total) launch(stream, name, kernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes.total);
}

}  // namespace

void enqueue(Stream& stream, const CopyWindow& a) {
  launchFor(stream, "copy window", copyWindowKernel, a, {a.channels, a.height, a.width}, a.batch);
}
void enqueue(Stream& stream, const PadForward& a) {
  launchFor(stream, "padding forward", padForwardKernel, a, a.geometry.output(), a.batch);
}
void enqueue(Stream& stream, const PadBackward& a) {
  launchFor(stream, "padding backward", padBackwardKernel, a, a.geometry.input, a.batch);
}
void enqueue(Stream& stream, const ResizeForward& a) {
  launchFor(stream, "resize forward", resizeForwardKernel, a, a.geometry.output(), a.batch);
}
void enqueue(Stream& stream, const ResizeBackward& a) {
  launchFor(stream, "resize backward", resizeBackwardKernel, a, a.geometry.input, a.batch);
}
void enqueue(Stream& stream, const GatherChannels& a) {
  launchFor(stream, "gather channels", gatherChannelsKernel, a, {a.channels, a.input.height, a.input.width}, a.batch);
}
void enqueue(Stream& stream, const GatherChannelsBackward& a) {
  launchFor(stream, "gather channels backward", gatherChannelsBackwardKernel, a, a.input, a.batch);
}
void enqueue(Stream& stream, const DepthToSpace& a) {
  launchFor(stream, "depth to space", depthToSpaceKernel, a, a.deep, a.batch);
}
void enqueue(Stream& stream, const Transpose& a) {
  launchFor(stream, "transpose", transposeKernel, a, {a.input.pixels(), 1, a.input.channels}, a.batch);
}
void enqueue(Stream& stream, const ChannelSum& a) {
  launchFor(stream, "channel sum", channelSumKernel, a, {1, a.input.height, a.input.width}, a.batch);
}
void enqueue(Stream& stream, const ChannelSumBackward& a) {
  launchFor(stream, "channel sum backward", channelSumBackwardKernel, a, a.input, a.batch);
}
void enqueue(Stream& stream, const StateJoin& a) {
  launch(stream, "state join", stateJoinKernel, dim3(blocksFor(a.channels)), dim3(kThreads), 0, a);
}
void enqueue(Stream& stream, const ChannelBias& a) {
  launchFor(stream, "channel bias", channelBiasKernel, a, a.shape, a.batch);
}
void enqueue(Stream& stream, const ChannelBiasGradient& a) {
  launch(stream, "channel bias gradient", channelBiasGradientKernel, dim3(unsigned(a.shape.channels)), dim3(kThreads),
         blockSumBytes(1), a, blocksOf(a.batch));
}
void enqueue(Stream& stream, const PermuteWeights& a) {
  const std::int64_t count = std::int64_t(a.groups) * a.rows * a.columns * a.taps;
  launch(stream, "permute weights", permuteWeightsKernel, dim3(blocksFor(count)), dim3(kThreads), 0, a,
         unsigned(count));
}

}  // namespace selfcompress::cuda
