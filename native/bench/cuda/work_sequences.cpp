// The work of attention, recurrent layers, rearranging and resizing (work.h), with all channels live.
#include "bench/cuda/work.h"

namespace selfcompress::bench {
namespace {

constexpr double kFloat = sizeof(float);

std::string text(Shape s) {
  return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width);
}
double bytesOf(Shape shape, int batch) { return double(laneElements(shape, batch)) * kFloat; }
Work of(Shape shape, double bytes, double flops = 0) { return {text(shape), bytes, 0, flops, 0}; }

// Multiply-adds of one product of all heads, times two.
double productFlops(const AttentionGeometry& g, const AttentionHeads& h, const std::int32_t* size, int batch) {
  double channels = 0;
  for (int head = 0; head < h.queryHeads; head++) channels += size[head / (h.queryHeads / h.keyHeads)];
  return 2 * channels * g.queries * g.keys * blocksOf(batch) * kLanes;
}
double attentionBytes(const AttentionGeometry& g, int batch) {
  return bytesOf(g.query(), batch) + bytesOf(g.key(), batch) + bytesOf(g.value(), batch);
}

}  // namespace

Work workOf(const AttentionForward& a) {
  const double flops = productFlops(a.geometry, a.heads, a.heads.headSize, a.batch) +
                       productFlops(a.geometry, a.heads, a.heads.valueSize, a.batch);
  return of(a.geometry.query(), attentionBytes(a.geometry, a.batch) + bytesOf(a.geometry.output(), a.batch), flops);
}
Work workOf(const AttentionBackward& a) {
  // Scores and their gradients are computed twice, once for the queries and once for the keys.
  const double flops = 4 * productFlops(a.geometry, a.heads, a.heads.headSize, a.batch) +
                       3 * productFlops(a.geometry, a.heads, a.heads.valueSize, a.batch);
  return of(a.geometry.query(), 2 * attentionBytes(a.geometry, a.batch) + bytesOf(a.geometry.output(), a.batch), flops);
}
Work workOf(const Rotary& a) {
  const double x = bytesOf(a.shape, a.batch);
  return of(a.shape, 2 * x, 3 * x / kFloat);
}

Work workOf(const CopyWindow& a) {
  const double x = bytesOf({a.channels, a.height, a.width}, a.batch);
  return of(a.input, (a.accumulate ? 3 : 2) * x);
}
Work workOf(const PadForward& a) {
  return of(a.geometry.input, bytesOf(a.geometry.input, a.batch) + bytesOf(a.geometry.output(), a.batch));
}
Work workOf(const PadBackward& a) {
  return of(a.geometry.input, bytesOf(a.geometry.input, a.batch) + bytesOf(a.geometry.output(), a.batch));
}
Work workOf(const ResizeForward& a) {
  const double y = bytesOf(a.geometry.output(), a.batch);
  return of(a.geometry.input, bytesOf(a.geometry.input, a.batch) + y, 6 * y / kFloat);
}
Work workOf(const ResizeBackward& a) {
  const double y = bytesOf(a.geometry.output(), a.batch);
  return of(a.geometry.input, bytesOf(a.geometry.input, a.batch) + y, 8 * y / kFloat);
}
Work workOf(const GatherChannels& a) {
  return of(a.input, 2 * bytesOf({a.channels, a.input.height, a.input.width}, a.batch));
}
Work workOf(const GatherChannelsBackward& a) {
  return of(a.input, bytesOf(a.input, a.batch) + bytesOf({a.channels, a.input.height, a.input.width}, a.batch));
}
Work workOf(const DepthToSpace& a) { return of(a.deep, 2 * bytesOf(a.deep, a.batch)); }
Work workOf(const Transpose& a) { return of(a.input, 2 * bytesOf(a.input, a.batch)); }
Work workOf(const ChannelSum& a) {
  const double x = bytesOf(a.input, a.batch);
  return of(a.input, x + x / a.input.channels, x / kFloat);
}
Work workOf(const ChannelSumBackward& a) {
  const double x = bytesOf(a.input, a.batch);
  return of(a.input, x + x / a.input.channels, x / kFloat);
}
Work workOf(const StateJoin& a) {
  return of({a.channels, 1, 1}, double(a.channels) * (2.0 * a.perChannel + 1) * kFloat);
}

Work workOf(const ChannelBias& a) {
  const double x = bytesOf(a.shape, a.batch);
  return of(a.shape, 2 * x, x / kFloat);
}
Work workOf(const ChannelBiasGradient& a) {
  const double x = bytesOf(a.shape, a.batch);
  return of(a.shape, x, x / kFloat);
}
Work workOf(const PermuteWeights& a) {
  const double count = double(a.groups) * a.rows * a.columns * a.taps;
  return of({a.groups * a.rows, a.columns, a.taps}, 2 * count * kFloat);
}

Work workOf(const RecurrentForward& a) {
  const RecurrentGeometry& g = a.geometry;
  const double x = bytesOf(g.input(), a.batch), y = bytesOf(g.output(), a.batch);
  return of(g.input(), x + y + (a.saved ? bytesOf(g.saved(), a.batch) : 0), 2 * x / kFloat * g.units);
}
Work workOf(const RecurrentBackward& a) {
  const RecurrentGeometry& g = a.geometry;
  const double x = bytesOf(g.input(), a.batch), y = bytesOf(g.output(), a.batch);
  return of(g.input(), x + 2 * y + bytesOf(g.saved(), a.batch), 4 * x / kFloat * g.units);
}

}  // namespace selfcompress::bench
