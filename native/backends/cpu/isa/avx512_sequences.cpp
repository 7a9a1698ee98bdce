// The kernels of sequence_kernels.h, compiled for avx512. See avx512.cpp for what may not be used in here.
#include "cpu/sequence_kernels.h"
#define SELFCOMPRESS_ISA_NAMESPACE selfcompress::cpu::avx512
#include "cpu/kernels/vector_avx512.h"
// after the vectors that it is written in
#include "cpu/kernels/all_sequences.h"
