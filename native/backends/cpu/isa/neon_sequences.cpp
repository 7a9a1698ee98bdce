// The kernels of sequence_kernels.h, compiled for neon. See avx512.cpp for what may not be used in here.
#include "cpu/sequence_kernels.h"
#define SELFCOMPRESS_ISA_NAMESPACE selfcompress::cpu::neon
#include "cpu/kernels/vector_neon.h"
// after the vectors that it is written in
#include "cpu/kernels/all_sequences.h"
