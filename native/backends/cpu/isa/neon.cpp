// Every kernel, compiled for neon. Nothing of the standard library that is inline or a template may be used in here
// beyond <cmath> and <cstring> primitives: the linker could keep this file's copy for the whole binary.
#include "cpu/kernels.h"
#define SELFCOMPRESS_ISA_NAMESPACE selfcompress::cpu::neon
#include "cpu/kernels/vector_neon.h"
// after the vectors that it is written in
#include "cpu/kernels/all.h"
