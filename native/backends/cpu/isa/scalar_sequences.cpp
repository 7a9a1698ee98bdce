// The kernels of sequence_kernels.h, compiled for scalar. See avx512.cpp for what may not be used in here.
#include "cpu/sequence_kernels.h"
#define SELFCOMPRESS_ISA_NAMESPACE selfcompress::cpu::scalar
#include "cpu/kernels/vector_scalar.h"
// after the vectors that it is written in
#include "cpu/kernels/all_sequences.h"
