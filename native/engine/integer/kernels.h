// The kernels of integers, one table per instruction set; arithmetic.h is their definition. Plain structs only: the
// texts in isa/ are compiled with flags of their own and may not share inline code with other files.
#pragma once

#include <cstdint>

namespace selfcompress::engine::integer {

// What kernels read instead of codes: an element e with code - zero = e + offset, of one byte or two.
enum class Element {
  kCode,        // uint8: the code; offset -zero
  kShifted,     // int8: code - 128; offset 128 - zero
  kDifference,  // int16: code - zero; offset 0
};

// From sums to codes. Each array has one value per output channel and is padded to a multiple of the vector's width.
struct Rescaling {
  const std::int32_t* start = nullptr;       // what a sum begins with: bias + offset * sum of the weights
  const std::int32_t* multiplier = nullptr;  // 0 behind the last channel
  const std::int32_t* shift = nullptr;       // that of sc_scale - 33
  bool anyShift = false;                     // some of them are below 0: one by one
  std::int32_t zero = 0, low = 0, high = 0;  // of the output
};

// A row of output pixels, vectors along output channels:
//   sum[p][c] = start[c] + sum over r, i of input[p * pixelStep + runs[r] + i] * weight[r * runGroups * group + i][c]
// panel: tiles of up to kernels.tileVectors vectors of output channels, each [runCount *
// runGroups][vectors][width][group].
struct CodeRow {
  const void* input = nullptr;
  std::int64_t pixelStep = 0;  // elements
  const std::int64_t* runs = nullptr;
  int runCount = 0, runGroups = 0;
  const void* panel = nullptr;
  std::uint8_t* output = nullptr;
  std::int64_t outputStep = 0;
  int pixels = 0, channels = 0;
  Rescaling rescaling;
};

// The same with one input channel per output channel. places: a multiple of kernels.group; behind the last one any,
// with weights of zero. panel: [placeCount / group][channels, a multiple of the width][group]. Reads `width` elements
// at once.
struct DepthwiseCodeRow {
  const void* input = nullptr;
  std::int64_t pixelStep = 0;
  const std::int64_t* places = nullptr;
  int placeCount = 0;
  const void* panel = nullptr;
  std::uint8_t* output = nullptr;
  std::int64_t outputStep = 0;
  int pixels = 0, channels = 0;
  Rescaling rescaling;
};

// [height][width][channels] codes to elements in the middle of a padded image; the border is what codes of `zero`
// become.
struct CodePadding {
  const std::uint8_t* input = nullptr;
  int height = 0, width = 0, channels = 0, padHeight = 0, padWidth = 0;  // above, on the left
  int paddedHeight = 0, paddedWidth = 0;                                 // of the result; what does not fit is left out
  std::int32_t zero = 0;
  void* output = nullptr;
};

// Two tensors of one shape, as sc_add with a shift of at most 32.
struct CodeSum {
  const std::uint8_t* a = nullptr;
  const std::uint8_t* b = nullptr;
  std::int64_t count = 0;
  std::int32_t zeroA = 0, zeroB = 0, factorA = 0, factorB = 0, shift = 1, zero = 0, low = 0, high = 0;
  std::uint8_t* output = nullptr;
};

struct CodeKernels {
  const char* isa;
  Element element;
  int width;        // channels of a vector
  int group;        // elements that a lane takes at once
  int tileVectors;  // of CodeRow
  void (*codeRow)(const CodeRow&);
  void (*depthwiseRow)(const DepthwiseCodeRow&);
  void (*pad)(const CodePadding&);
  void (*add)(const CodeSum&);
  // largest[c] = the largest of `rows` x `columns` codes of a channel, rowStep and `channels` apart.
  void (*largest)(const std::uint8_t* codes, int rows, int columns, std::int64_t rowStep, int channels,
                  std::uint8_t* largest);
  // As sc_quantize, `count` times.
  void (*quantize)(const float* values, std::int64_t count, float scale, std::int32_t zero, std::uint8_t* codes);
};

#if SELFCOMPRESS_X86
extern const CodeKernels kAvx2CodeKernels, kAvx512CodeKernels;  // the latter needs VNNI
#elif SELFCOMPRESS_ARM64
extern const CodeKernels kNeonCodeKernels;
#if SELFCOMPRESS_NEON_DOT
extern const CodeKernels kNeonDotCodeKernels;
#endif
#elif defined(__wasm_simd128__)
extern const CodeKernels kWasmCodeKernels;
#endif

}  // namespace selfcompress::engine::integer
