#include <immintrin.h>

#include "engine/kernels.h"

#define SELFCOMPRESS_ENGINE_AVX512 1
namespace selfcompress::engine {
namespace {
#include "engine/isa/vector.h"
constexpr int kTileVectors = 4, kPixels[] = {16, 12, 8, 6};  // at most 24 sums in 32 registers
constexpr int kTileChannels = 6, kImagePixels = 4, kPixelTiles = 4;
constexpr int kTileSums = 24;  // of tileProducts, in registers
constexpr int kMostPoints = 8;
#include "engine/isa/kernels.inc"
#include "engine/isa/winograd.inc"
}  // namespace
const Kernels kAvx512Kernels{"avx512",     kWidth,   kTileVectors, kTileChannels, kTileSums,    kMostPoints, channelRow,
                             depthwiseRow, imageRow, tileInputs,   tileOutputs,   tileProducts, tileWeights, sums};
}  // namespace selfcompress::engine
