// The kernels of bf16 products, compiled for AVX-512 with its bf16 instructions. See avx512.cpp for what may not be
// used in here.
#include <math.h>

#include "cpu/kernels.h"
#define SELFCOMPRESS_ISA_NAMESPACE selfcompress::cpu::avx512bf16
#include "cpu/kernels/vector_avx512.h"
// after the vectors that they are written in
#include "cpu/kernels/pairs_avx512bf16.h"
#include "cpu/kernels/vector_math.h"

#include "cpu/kernels/register_tile.h"
// after the pairs
#include "cpu/kernels/products.h"
#include "cpu/kernels/quantize.h"
#include "cpu/kernels/winograd.h"

#include "cpu/kernels/winograd_filters.h"
#include "cpu/kernels/winograd_input.h"
#include "cpu/kernels/winograd_weight.h"

namespace selfcompress::cpu::avx512bf16 {

const PairKernels pairKernels = {productsPairs,     winogradInputPairs,  winogradGradPairs,
                                 winogradPackPairs, transposeLanesPairs, copyVectorsPairs};

}  // namespace selfcompress::cpu::avx512bf16
