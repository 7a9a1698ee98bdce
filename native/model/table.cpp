#include "model/table.h"

#include <bit>

namespace selfcompress::model {

namespace {
constexpr std::uint64_t kMaxAlignmentLog = 16;
}

void writeTable(ByteWriter& out, StringWriter& strings, const TensorTable& table) {
  out.varint(std::uint64_t(std::countr_zero(unsigned(table.alignment))));
  out.varint(table.entries.size());
  std::int64_t node = 0;
  for (const TensorEntry& entry : table.entries) {
    out.signedVarint(entry.node - node);
    node = entry.node;
    strings.word(entry.role);
    strings.word(entry.encoding);
    out.varint(entry.axes.size());
    for (const std::int64_t axis : entry.axes) out.varint(std::uint64_t(axis));
    out.varint(entry.length);
  }
}

TensorTable readTable(ByteReader& in, StringReader& strings, const Limits& limits, std::size_t nodes) {
  TensorTable table;
  const std::uint64_t log = in.varint();
  if (log > kMaxAlignmentLog) fail("an alignment of at most 2^16", in.what(), "2^" + std::to_string(log));
  table.alignment = 1 << log;
  const std::size_t count = in.count("tensors", limits.tensors, 5);
  std::int64_t node = 0;
  std::uint64_t weights = 0;
  for (std::size_t i = 0; i < count; i++) {
    TensorEntry entry;
    const std::int64_t step = in.signedVarint();
    if (step < -node - 1 || step >= std::int64_t(nodes) - node)
      fail("one of the " + std::to_string(nodes) + " nodes", in.what(), "a step of " + std::to_string(step));
    node += step;
    entry.node = int(node);
    entry.role = strings.word();
    entry.encoding = strings.word();
    entry.axes.resize(in.count("axes", kMaxRank));
    for (std::int64_t& axis : entry.axes) {
      const std::uint64_t size = in.varint();
      if (size > limits.weights) fail("at most " + std::to_string(limits.weights) + " elements", "an axis", size);
      axis = std::int64_t(size);
    }
    const auto elements = std::uint64_t(checkedElements(entry.axes, limits.weights, "the axes of a tensor"));
    weights += elements;
    if (weights > limits.weights) fail("at most " + std::to_string(limits.weights) + " elements", in.what(), weights);
    entry.length = in.varint();
    if (entry.length < (elements + kElementsPerByte - 1) / kElementsPerByte)
      fail("a byte for every " + std::to_string(kElementsPerByte) + " elements", in.what(), entry.length);
    table.entries.push_back(std::move(entry));
  }
  return table;
}

std::uint64_t place(TensorTable& table, std::uint64_t start) {
  const auto mask = std::uint64_t(table.alignment) - 1;
  for (TensorEntry& entry : table.entries) {
    if (entry.length >> 62 || start >> 62) fail("lengths below 2^62", "the table of tensors", entry.length);
    entry.offset = (start + mask) & ~mask;
    start = entry.offset + entry.length;
  }
  return start;
}

}  // namespace selfcompress::model
