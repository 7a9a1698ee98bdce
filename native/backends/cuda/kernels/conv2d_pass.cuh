// Forward convolution and data gradient as one kind of pass, a matrix product of
//
//     target[m, n] = sum_k A[m, k] * B[k, n]
//
// m: live channels of the target tensor; n: its pixels of all images, 16 lanes each; k: live channels of the source
// tensor times taps of the kernel. The weight gradient (conv2d_weight.cuh) uses the same description of k.
//
//     forward         source = input,        target = output
//     data gradient   source = gradOutput,   target = gradInput
//
// Nothing is unfolded in memory. A table has one Row for each k: where the row's values are, relative to the pixel of
// the source that a pixel of the target starts from. Only live channels have rows, so dead ones cost nothing.
//
// The data gradient of a convolution with strides is one pass for each residue of the pixel's position: input rows
// y = q * stride + residue - pad meet only the taps i with (i * dilation) % stride == residue, at the output rows
// q - (i * dilation - residue) / stride. Such a pair of residues is a `class`; each is a convolution without stride
// over every stride-th pixel, nothing is multiplied with zeros and nothing is added atomically. All other passes have
// one class. A (group, class) is a `region`: it has its own rows and its own packed weights.
//
// Pixels are numbered over all blocks of images ("vectors": 16 lanes, 64 bytes), so tiles have a tail only at the end
// of the batch, however small the images are.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels.h"
#include "cuda/ptx.h"

namespace selfcompress::cuda::conv {

inline constexpr int kTileVectors = 8;                      // of a block's tile
inline constexpr int kTileColumns = kTileVectors * kLanes;  // n of a tile
inline constexpr int kRowUnit = 32;       // rows of a table and of packed weights are padded to a multiple
inline constexpr int kChannelUnit = 32;   // and so are channels of packed weights
inline constexpr int kNowhere = 1 << 29;  // a coordinate that is outside every image, also with an offset added

struct alignas(16) Row {
  int source;  // (channel * height + dy) * width + dx in the source tensor, in vectors
  int dy, dx;  // kNowhere: padding of the table
  int weight;  // (channel, tap)'s part of the index into the weights
};

// What is alive in a region; written by the device.
struct alignas(16) Header {
  int rows;         // of the table
  int targets;      // live target channels of the group
  int firstTarget;  // where they start in the list
  int unused;
};

struct Channels {
  const std::int32_t* index = nullptr;  // ascending, or nullptr: all
  const std::int32_t* count = nullptr;
  int total = 0, perGroup = 0;
};

struct Pass {
  Conv2dGeometry geometry;
  bool gradient = false;
  Channels source, target;
  int sourceHeight = 0, sourceWidth = 0, targetHeight = 0, targetWidth = 0;
  int blocks = 0;                         // of images
  int classesH = 1, classesW = 1;         // residues of rows and of columns
  int periodH = 1, periodW = 1;           // taps of one class are so far apart
  int tableRows = 0, packedChannels = 0;  // of a region, padded
  int splits = 1;                         // of k, over blocks of the grid
  const float* values = nullptr;          // the source tensor
  const float* weight = nullptr;
  float* result = nullptr;  // the target tensor
  const float* bias = nullptr;
  const float* mask = nullptr;
  bool relu = false, accumulate = false;
  Header* headers = nullptr;        // [region]
  Row* table = nullptr;             // [region][tableRows]
  std::uint32_t* packed = nullptr;  // [region][packedChannels * tableRows], conv2d_pack.cu
  float* partial = nullptr;         // [split][group][packedChannels][vectors][kLanes] if splits > 1
};

// ---- live channels of a group ----

struct Segment {
  int first, count;  // places in the list
};

__device__ inline int lowerBound(const std::int32_t* index, int count, int channel) {
  Global<const std::int32_t> list = global(index);
  int low = 0;
  while (count > 0) {
    int half = count / 2;
    bool before = list[low + half] < channel;
    low = before ? low + half + 1 : low;
    count = before ? count - half - 1 : half;
  }
  return low;
}
__device__ inline Segment liveInGroup(const Channels& c, int group) {
  int from = group * c.perGroup;
  if (!c.index) return {from, c.perGroup};
  int count = global(c.count)[0];
  if (c.perGroup == c.total) return {0, count};
  int first = lowerBound(c.index, count, from);
  return {first, lowerBound(c.index, count, from + c.perGroup) - first};
}
__device__ inline int channelAt(const Channels& c, int place) { return c.index ? int(global(c.index)[place]) : place; }
__device__ inline bool isLive(const Channels& c, int channel) {
  if (!c.index) return true;
  int count = global(c.count)[0], place = lowerBound(c.index, count, channel);
  return place < count && channelAt(c, place) == channel;
}

// ---- pixels and taps of a class, along one axis ----

// The q-th pixel of the target, 0 <= q < count, is at q * targetStep + targetBase and starts from the source's pixel
// q * sourceStep + sourceBase.
struct Axis {
  int count, targetStep, targetBase, sourceStep, sourceBase;
};
// Taps first, first + period, ...; count of them.
struct Taps {
  int first, period, count, residue, stride, dilation;
  bool gradient;
  // Where tap number e meets the source, from the pixel's start.
  __device__ int displacement(int e) const {
    int tap = first + e * period;
    return gradient ? -((tap * dilation - residue) / stride) : tap * dilation;
  }
};

__device__ inline Axis makeAxis(bool gradient, int residue, int extent, int stride, int pad) {
  if (!gradient) return {extent, 1, 0, stride, -pad};
  int first = pad > residue ? (pad - residue + stride - 1) / stride : 0;
  int reach = extent - 1 + pad - residue;  // of the last q, times stride
  int count = reach < 0 ? 0 : reach / stride - first + 1;
  return {count > 0 ? count : 0, stride, first * stride + residue - pad, 1, first};
}
__device__ inline Taps makeTaps(bool gradient, int residue, int kernel, int stride, int dilation, int period) {
  Taps t{0, period, kernel, residue, stride, dilation, gradient};
  if (!gradient) return t;
  while (t.first < period && t.first * dilation % stride != residue) t.first++;
  t.count = t.first < period && t.first < kernel ? (kernel - t.first + period - 1) / period : 0;
  return t;
}

struct Region {
  int group, residueH, residueW;
};
__device__ inline Region regionOf(const Pass& p, int region) {
  int classes = p.classesH * p.classesW, c = region % classes;
  return {region / classes, c / p.classesW, c % p.classesW};
}
__device__ inline Axis rowsOf(const Pass& p, const Region& r) {
  return makeAxis(p.gradient, r.residueH, p.targetHeight, p.geometry.strideH, p.geometry.padH);
}
__device__ inline Axis columnsOf(const Pass& p, const Region& r) {
  return makeAxis(p.gradient, r.residueW, p.targetWidth, p.geometry.strideW, p.geometry.padW);
}
__device__ inline Taps tapsH(const Pass& p, const Region& r) {
  const Conv2dGeometry& g = p.geometry;
  return makeTaps(p.gradient, r.residueH, g.kernelHeight, g.strideH, g.dilationH, p.periodH);
}
__device__ inline Taps tapsW(const Pass& p, const Region& r) {
  const Conv2dGeometry& g = p.geometry;
  return makeTaps(p.gradient, r.residueW, g.kernelWidth, g.strideW, g.dilationW, p.periodW);
}

// The part of a weight's index that belongs to a channel of the source and a tap, and to a channel of the target.
__device__ inline int sourceWeight(const Pass& p, int channel, int tap) {
  int area = p.geometry.kernelHeight * p.geometry.kernelWidth, in = p.geometry.inPerGroup();
  return (p.gradient ? channel * in : channel % in) * area + tap;
}
__device__ inline std::int64_t targetWeight(const Pass& p, int channel) {
  int area = p.geometry.kernelHeight * p.geometry.kernelWidth, in = p.geometry.inPerGroup();
  return std::int64_t(p.gradient ? channel % in : channel * in) * area;
}

__device__ inline Row makeRow(const Pass& p, const Segment& live, const Taps& h, const Taps& w, int k) {
  int taps = h.count * w.count;
  if (k >= live.count * taps) return {0, kNowhere, kNowhere, 0};
  int channel = channelAt(p.source, live.first + k / taps), eh = k % taps / w.count, ew = k % taps % w.count;
  int dy = h.displacement(eh), dx = w.displacement(ew);
  int tap = (h.first + eh * h.period) * p.geometry.kernelWidth + w.first + ew * w.period;
  return {(channel * p.sourceHeight + dy) * p.sourceWidth + dx, dy, dx, sourceWeight(p, channel, tap)};
}

// ---- one vector of the target ----

struct Pixel {
  int block, qy, qx;
};
__device__ inline Pixel pixelOf(const Axis& rows, const Axis& columns, int vector) {
  int pixels = rows.count * columns.count, block = vector / pixels, pixel = vector - block * pixels;
  int qy = pixel / columns.count;
  return {block, qy, pixel - qy * columns.count};
}
// Where a vector of the target starts from.
struct Start {
  std::int64_t source;  // the vector in the source tensor's channel 0; may be outside the image
  int y, x;             // in the source image; kNowhere beyond the last vector
};
__device__ inline Start startOf(const Pass& p, const Axis& rows, const Axis& columns, int vector) {
  if (vector >= p.blocks * rows.count * columns.count) return {0, kNowhere, kNowhere};
  Pixel at = pixelOf(rows, columns, vector);
  int y = at.qy * rows.sourceStep + rows.sourceBase, x = at.qx * columns.sourceStep + columns.sourceBase;
  return {(std::int64_t(at.block) * p.source.total * p.sourceHeight + y) * p.sourceWidth + x, y, x};
}
// The vector in the target tensor's channel 0, or -1 beyond the last vector.
__device__ inline std::int64_t targetOf(const Pass& p, const Axis& rows, const Axis& columns, int vector) {
  if (vector >= p.blocks * rows.count * columns.count) return -1;
  Pixel at = pixelOf(rows, columns, vector);
  int y = at.qy * rows.targetStep + rows.targetBase, x = at.qx * columns.targetStep + columns.targetBase;
  return (std::int64_t(at.block) * p.target.total * p.targetHeight + y) * p.targetWidth + x;
}
__device__ inline bool meets(const Pass& p, const Start& at, const Row& row) {
  return unsigned(at.y + row.dy) < unsigned(p.sourceHeight) && unsigned(at.x + row.dx) < unsigned(p.sourceWidth);
}

// Four lanes of one pixel of a target channel, through bias, ReLU, mask and accumulation. A NaN stays one.
__device__ inline void storeQuad(const Pass& p, std::int64_t vector, int lane, int channel, float bias, float4 v) {
  std::int64_t at = (vector + std::int64_t(channel) * p.targetHeight * p.targetWidth) * kLanes + lane;
  v.x += bias, v.y += bias, v.z += bias, v.w += bias;
  if (p.relu) v = {v.x < 0 ? 0 : v.x, v.y < 0 ? 0 : v.y, v.z < 0 ? 0 : v.z, v.w < 0 ? 0 : v.w};
  if (p.mask) {
    float4 m = global(p.mask).load4(at);
    v = {m.x > 0 ? v.x : 0, m.y > 0 ? v.y : 0, m.z > 0 ? v.z : 0, m.w > 0 ? v.w : 0};
  }
  if (p.accumulate) {
    float4 old = global(p.result).load4(at);
    v = {old.x + v.x, old.y + v.y, old.z + v.z, old.w + v.w};
  }
  global(p.result).store4(at, v);
}

// ---- grids ----

inline int regions(const Pass& p) { return p.geometry.groups * p.classesH * p.classesW; }
inline int vectorTiles(const Pass& p) {  // of the largest class
  int rows = (p.targetHeight + p.classesH - 1) / p.classesH, columns = (p.targetWidth + p.classesW - 1) / p.classesW;
  return (p.blocks * rows * columns + kTileVectors - 1) / kTileVectors;
}
inline dim3 passGrid(const Pass& p, int channelTiles) {
  return dim3(unsigned(vectorTiles(p)) * unsigned(channelTiles), unsigned(regions(p)), unsigned(p.splits));
}

// ---- the parts, one file each; all only queue launches ----

enum class Packing { kNone, kColumns, kTf32, kBfloat16 };  // conv2d_pack.cu
void pack(Stream&, const char* operation, const Pass&, Packing);
void passFloat32(Stream&, const char* operation, const Pass&);
void passTensorCores(Stream&, const char* operation, const Pass&, Precision);
void passDirect(Stream&, const char* operation, const Pass&);
void finishSplits(Stream&, const char* operation, const Pass&);
void fillConstant(Stream&, const char* operation, const Conv2dForward&);

struct WeightPass;
void weightFloat32(Stream&, const WeightPass&);
void weightTensorCores(Stream&, const WeightPass&, Precision);
void weightDirect(Stream&, const WeightPass&);
void finishWeightGradient(Stream&, const WeightPass&);

}  // namespace selfcompress::cuda::conv
