// A program as rows to be printed, costed or compared: what `selfcompress inspect --plan` shows. Nothing is inferred a
// second time: every figure is read from the operations themselves and from the memory plan they were compiled with.
#pragma once

#include "program/program.h"

namespace selfcompress {

struct OperationRow {
  const char* operation = "";  // as in SELFCOMPRESS_OPERATIONS
  Mark section = Mark::kStates;
  int node = -1;      // of the network, or -1
  std::string shape;  // "3x32x32 -> 16x32x32, 3x3"; of elements that are not images: their number
  std::vector<const char*>
      epilogues;  // what it does on the way: quantizer, ReLU and its like, ReLU mask, moments, accumulate
  std::vector<BufferId> buffers;   // that it reads or writes, each once
  std::vector<const char*> batch;  // what it reads of the batch
  // Of a batch of the size that the program was compiled for, all channels live; 0: not a product.
  std::int64_t multiplyAdds = 0;
};

struct BufferRow {
  std::size_t bytes = 0, offset = 0;  // in the arena
  // The first and the last operation that touch it, or -1: none. The number of operations: it is kept to the end.
  int first = -1, last = -1;
};

struct ProgramRows {
  std::vector<OperationRow> operations;
  std::vector<BufferRow> buffers;
  std::size_t arenaBytes = 0, unsharedBytes = 0;
  std::int64_t multiplyAdds = 0;
};

ProgramRows rowsOf(const Program&, int batch);

// Of all weights with all positions; the same for the convolution and for the two halves of its backward.
std::int64_t multiplyAddsOf(const Conv2dGeometry&, int batch);

}  // namespace selfcompress
