// The kernels of the engine, one table per instruction set. Plain structs only: the texts in isa/ are compiled with
// flags of their own and may not share inline code with other files.
#pragma once

#include <cstdint>

namespace selfcompress::engine {

// Such as channels to whole vectors of the kernels.
constexpr std::int64_t roundUp(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// What is done to a sum before it is stored: + bias, + another value's element of the same place, ReLU, * scale +
// shift, ReLU. Each array has one value per output channel and is padded with zeros to a multiple of 16; nullptr: not
// done. ReLU leaves NaN as it is.
struct EpilogueView {
  std::int64_t other = 0;  // floats from where the sum is stored to the other value's element; 0: there is none
  const float* bias = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool relu = false, lastRelu = false;
};

// A row of output pixels of one image, vectors along output channels:
//   output[p * outputStep + c] = sum over r, i of input[p * pixelStep + runs[r] + i] * weight[r * runLength + i][c]
// panel: tiles of up to kernels.tileVectors vectors of output channels, each [runCount * runLength][vectors][width].
struct ChannelRow {
  const float* input = nullptr;
  std::int64_t pixelStep = 0;
  const std::int64_t* runs = nullptr;
  int runCount = 0, runLength = 0;
  const float* panel = nullptr;
  float* output = nullptr;
  std::int64_t outputStep = 0;
  int pixels = 0, channels = 0;
  int firstTile = 0, lastTile = 0;  // tiles [first, last)
  bool accumulate = false;          // sums begin with what output holds
  EpilogueView epilogue;
};

// The same with one input channel per output channel: weight [places][channels].
struct DepthwiseRow {
  const float* input = nullptr;
  std::int64_t pixelStep = 0;
  const std::int64_t* places = nullptr;
  int placeCount = 0;
  const float* weight = nullptr;
  float* output = nullptr;
  std::int64_t outputStep = 0;
  int pixels = 0, channels = 0;
  EpilogueView epilogue;
};

// A row of output pixels of 16 images, vectors along images:
//   output[c * channelStep + p * images + n] = sum over k of input[p * pixelStep + places[k] + n] * weight[k][c]
// panel: tiles of up to kernels.tileChannels output channels, each [placeCount][channels of the tile].
struct ImageRow {
  const float* input = nullptr;
  std::int64_t pixelStep = 0;
  const std::int64_t* places = nullptr;
  int placeCount = 0;
  const float* panel = nullptr;
  float* output = nullptr;
  std::int64_t channelStep = 0;
  int pixels = 0, channels = 0;
  int images = 16;
  bool accumulate = false;  // sums begin with what output holds
  EpilogueView epilogue;
};

// Winograd's form of a convolution (isa/winograd.inc): a tile of points x points inputs gives outputs x outputs, points
// = outputs - 1 + size of the kernel: 6 = 4 - 1 + 3, 8 = 6 - 1 + 3 or 8 = 4 - 1 + 5. Tiles lie in rows from left to
// right; a task has `count` of them. A place of a plane has `lanes` floats: one channel of 16 images, or all channels
// of one.
struct TileRange {
  int points = 6, outputs = 4;
  int first = 0, count = 0, across = 1;  // across: tiles of a row
  int lanes = 16;
};

// Inputs to their points: to[point * pointStride + tile * (lanes rounded up to vectors) + lane]. The last vector of a
// place reads beyond its lanes, and what it finds there comes out beyond them.
struct TileInputs {
  TileRange tiles;
  const float* plane = nullptr;  // [height][width][lanes]
  int height = 0, width = 0, padH = 0, padW = 0;
  float* to = nullptr;
  std::int64_t pointStride = 0;
};

// Points, as above, to outputs.
struct TileOutputs {
  TileRange tiles;
  const float* from = nullptr;
  std::int64_t pointStride = 0;
  float* plane = nullptr;  // [height][width][lanes]
  int height = 0, width = 0;
  bool channels = false;  // lanes are channels, else images of the one with which the epilogue's arrays begin
  int firstLane = 0, lastLane = 16;
  EpilogueView epilogue;
};

// At one point: target[o][tile][image] = sum over k of source[k][tile][image] * weight[k][o]. weight: blocks of
// kernels.tileSums / group output channels, each [terms][channels of the block]; group: tiles at a time, 1 to 4.
struct TileProducts {
  const float* source = nullptr;
  const float* weight = nullptr;
  float* target = nullptr;
  std::int64_t stride = 0;  // floats of a channel in source and target
  int terms = 0, outputs = 0, count = 0, group = 1;
};

// Kernels of one input channel and some output channels to their points: to[point * pointStride + output].
struct TileWeights {
  int points = 6, size = 3;
  const float* rows = nullptr;  // the kernel of output o begins at rows + o * rowStride
  std::int64_t rowStride = 0;
  int outputs = 0;
  float* to = nullptr;
  std::int64_t pointStride = 0;
};

// output[i] = a[i] + b[i], then ReLU.
struct Sums {
  const float *a = nullptr, *b = nullptr;
  float* output = nullptr;
  std::int64_t count = 0;
  bool relu = false;
};

struct Kernels {
  const char* isa;
  int width;         // floats of a vector
  int tileVectors;   // of ChannelRow
  int tileChannels;  // of ImageRow
  int tileSums;      // of TileProducts
  int mostPoints;    // of TileRange: 8, or 6
  void (*channelRow)(const ChannelRow&);
  void (*depthwiseRow)(const DepthwiseRow&);
  void (*imageRow)(const ImageRow&);
  void (*tileInputs)(const TileInputs&);
  void (*tileOutputs)(const TileOutputs&);
  void (*tileProducts)(const TileProducts&);
  void (*tileWeights)(const TileWeights&);
  void (*sums)(const Sums&);
};

extern const Kernels kScalarKernels;
#if SELFCOMPRESS_X86
extern const Kernels kAvx2Kernels, kAvx512Kernels;
#elif defined(__wasm_simd128__)
extern const Kernels kWasmKernels;
#endif

}  // namespace selfcompress::engine
