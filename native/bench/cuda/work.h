// What an operation has to do, whatever does it: bytes that cross the memory's bus and floating-point operations, with
// the channels that are live at the moment.
//
// Bytes are those of the CUDA kernels (native/backends/cuda/kernels/): a tensor that a kernel reads several times
// within a block or through overlapping windows counts once; what a second kernel of the same operation reads again is
// `again`, because it may still be in the L2 cache. Workspaces of convolutions are left out.
#pragma once

#include <string>

#include "selfcompress/backend.h"

namespace selfcompress::bench {

struct Work {
  std::string what;   // "64 -> 64, 3x3, 32x32"
  double bytes = 0;   // read and written
  double again = 0;   // of these, read for the second time
  double flops = 0;   // a multiply-add counts two
  double padded = 0;  // flops of a convolution, with its sides rounded up to those of tensor-core tiles; else 0
};

#define SELFCOMPRESS_WORK(Operation) Work workOf(const Operation&);
SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_WORK)
#undef SELFCOMPRESS_WORK

}  // namespace selfcompress::bench
