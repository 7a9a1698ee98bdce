#include "engine/kernels.h"

namespace selfcompress::engine {
namespace {
#include "engine/isa/vector.h"
constexpr int kTileVectors = 2, kPixels[] = {4, 2};
constexpr int kTileChannels = 3, kImagePixels = 2;
#include "engine/isa/kernels.inc"
}  // namespace
const Kernels kScalarKernels{"scalar", kWidth, kTileVectors, kTileChannels, channelRow, depthwiseRow, imageRow};
}  // namespace selfcompress::engine
