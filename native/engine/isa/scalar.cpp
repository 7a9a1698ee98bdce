#include "engine/kernels.h"

namespace selfcompress::engine {
namespace {
#include "engine/isa/vector.h"
constexpr int kTileVectors = 2, kPixels[] = {4, 2};
constexpr int kTileChannels = 3, kImagePixels = 2, kPixelTiles = 2;
constexpr int kTileSums = 8;  // of tileProducts, in registers
constexpr int kMostPoints = 8;
#include "engine/isa/kernels.inc"
#include "engine/isa/winograd.inc"
}  // namespace
const Kernels kScalarKernels{"scalar",     kWidth,   kTileVectors, kTileChannels, kTileSums,    kMostPoints, channelRow,
                             depthwiseRow, imageRow, tileInputs,   tileOutputs,   tileProducts, tileWeights, sums};
}  // namespace selfcompress::engine
