// The kernels of the engine, one table per instruction set. Plain structs only: the texts in isa/ are compiled with
// flags of their own and may not share inline code with other files.
#pragma once

#include <cstdint>

namespace selfcompress::engine {

// What is done to a sum before it is stored: + bias, ReLU, * scale + shift, ReLU. Each array has one value per output
// channel and is padded with zeros to a multiple of 16; nullptr: not done. ReLU leaves NaN as it is.
struct EpilogueView {
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
//   output[c * channelStep + p * 16 + n] = sum over k of input[p * pixelStep + places[k] + n] * weight[k][c]
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
  EpilogueView epilogue;
};

struct Kernels {
  const char* isa;
  int width;         // floats of a vector
  int tileVectors;   // of ChannelRow
  int tileChannels;  // of ImageRow
  void (*channelRow)(const ChannelRow&);
  void (*depthwiseRow)(const DepthwiseRow&);
  void (*imageRow)(const ImageRow&);
};

extern const Kernels kScalarKernels;
#if SELFCOMPRESS_X86
extern const Kernels kAvx2Kernels, kAvx512Kernels;
#endif

}  // namespace selfcompress::engine
