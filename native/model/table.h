// The table of tensors as bytes (docs/model-file.md, "Tensors").
#pragma once

#include "model/tensor.h"
#include "model/values.h"

namespace selfcompress::model {

struct TensorTable {
  int alignment = 1;  // every payload begins at a multiple of this many bytes of the file: a power of two
  std::vector<TensorEntry> entries;  // offsets ascend without gaps but for alignment
};

void writeTable(ByteWriter& out, StringWriter& strings, const TensorTable& table);
// Offsets are left 0: place() gives them.
TensorTable readTable(ByteReader& in, StringReader& strings, const Limits& limits, std::size_t nodes);

// Gives the payloads their offsets, the first at or after `start`; returns the end of the last one.
std::uint64_t place(TensorTable& table, std::uint64_t start);

}  // namespace selfcompress::model
