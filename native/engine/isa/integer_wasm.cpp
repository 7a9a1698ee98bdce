// WebAssembly with vectors of 128 bits; compiled by scripts/build/wasm.mjs alone.
#include <wasm_simd128.h>

#include <cstring>

#include "engine/integer/arithmetic.h"
#include "engine/integer/kernels.h"

#define SELFCOMPRESS_INTEGER_WASM 1
namespace selfcompress::engine::integer {
namespace {
#include "engine/isa/integer_vector.h"
constexpr int kTileVectors = 2, kTilePixels[] = {4, 4};  // processors below have 16 registers
#include "engine/isa/integer.inc"
}  // namespace
const CodeKernels kWasmCodeKernels{"wasm",       Element::kDifference, kWidth, kGroup,   kTileVectors,
                                   codeRow,      depthwiseRow,         pad,    addCodes, largestCodes,
                                   quantizeCodes};
}  // namespace selfcompress::engine::integer
