// WebAssembly with vectors of 128 bits; compiled by scripts/build/wasm.mjs alone.
#include <wasm_simd128.h>

#include "engine/kernels.h"

#define SELFCOMPRESS_ENGINE_WASM 1
namespace selfcompress::engine {
namespace {
#include "engine/isa/vector.h"
constexpr int kTileVectors = 2, kPixels[] = {4, 4};
constexpr int kTileChannels = 4, kImagePixels = 2, kPixelTiles = 1;  // imagePixel is left out for its bytes
constexpr int kTileSums = 8;    // of tileProducts: processors below have 16 registers
constexpr int kMostPoints = 6;  // larger tiles would be a tenth of what browsers load
#include "engine/isa/kernels.inc"
#include "engine/isa/winograd.inc"
}  // namespace
const Kernels kWasmKernels{"wasm",       kWidth,   kTileVectors, kTileChannels, kTileSums,    kMostPoints, channelRow,
                           depthwiseRow, imageRow, tileInputs,   tileOutputs,   tileProducts, tileWeights, sums};
}  // namespace selfcompress::engine
