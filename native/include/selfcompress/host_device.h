// Marks the inline functions of the contracts that CUDA kernels call too: geometry, offsets, random numbers.
#pragma once

#if defined(__CUDACC__)
#define SELFCOMPRESS_HOST_DEVICE __host__ __device__
#else
#define SELFCOMPRESS_HOST_DEVICE
#endif
