#include <immintrin.h>

#include <cstring>

#include "engine/integer/arithmetic.h"
#include "engine/integer/kernels.h"

#define SELFCOMPRESS_INTEGER_AVX512 1
namespace selfcompress::engine::integer {
namespace {
#include "engine/isa/integer_vector.h"
constexpr int kTileVectors = 4, kTilePixels[] = {8, 8, 7, 6};  // at most 24 sums in 32 registers
#include "engine/isa/integer.inc"
}  // namespace
const CodeKernels kAvx512CodeKernels{"avx512",     Element::kCode, kWidth,       kGroup,
                                     kTileVectors, codeRow,        depthwiseRow, pad,
                                     addCodes,     largestCodes,   quantizeCodes};
}  // namespace selfcompress::engine::integer
