#include <immintrin.h>

#include <cstring>

#include "engine/integer/arithmetic.h"
#include "engine/integer/kernels.h"

#define SELFCOMPRESS_INTEGER_AVX2 1
namespace selfcompress::engine::integer {
namespace {
#include "engine/isa/integer_vector.h"
constexpr int kTileVectors = 2, kTilePixels[] = {8, 5};  // at most 10 sums in 16 registers
#include "engine/isa/integer.inc"
}  // namespace
const CodeKernels kAvx2CodeKernels{"avx2",       Element::kDifference, kWidth, kGroup,   kTileVectors,
                                   codeRow,      depthwiseRow,         pad,    addCodes, largestCodes,
                                   quantizeCodes};
}  // namespace selfcompress::engine::integer
