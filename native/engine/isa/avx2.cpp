#include <immintrin.h>

#include "engine/kernels.h"

#define SELFCOMPRESS_ENGINE_AVX2 1
namespace selfcompress::engine {
namespace {
#include "engine/isa/vector.h"
constexpr int kTileVectors = 2, kPixels[] = {10, 6};  // at most 12 sums in 16 registers
constexpr int kTileChannels = 4, kImagePixels = 3, kPixelTiles = 3;
constexpr int kTileSums = 12;  // of tileProducts, in registers
constexpr int kMostPoints = 8;
#include "engine/isa/kernels.inc"
#include "engine/isa/winograd.inc"
}  // namespace
const Kernels kAvx2Kernels{"avx2",       kWidth,   kTileVectors, kTileChannels, kTileSums,    kMostPoints, channelRow,
                           depthwiseRow, imageRow, tileInputs,   tileOutputs,   tileProducts, tileWeights, sums};
}  // namespace selfcompress::engine
