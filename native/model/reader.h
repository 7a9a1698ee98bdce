// Reads a model file, version 2, from bytes that stay where they are: a mapped file, for one.
#pragma once

#include <map>

#include "model/codec.h"
#include "model/structure.h"
#include "model/table.h"
#include "model/writer.h"

namespace selfcompress::model {

class ModelReader {
 public:
  // Checks the checksum and everything but the payloads. `bytes` must outlive the reader.
  explicit ModelReader(ByteSpan bytes, const Limits& limits = {});

  const Structure& structure() const { return structure_; }
  const Metadata& metadata() const { return metadata_; }
  const std::vector<TensorEntry>& tensors() const { return table_.entries; }
  // With these, what a writer gets from this reader gives the same bytes again.
  const WriteOptions& options() const { return options_; }

  // Index of a tensor; -1 where there is none.
  int find(int node, const std::string& role) const;
  Content content(std::size_t tensor) const;
  RowShape shape(std::size_t tensor) const { return rowShape(entry(tensor).axes); }
  ByteSpan payload(std::size_t tensor) const;

  // Into the caller's memory: codes[channels][perChannel], exponents[channels].
  void decodeCodes(std::size_t tensor, std::span<std::int32_t> codes, std::span<float> exponents) const;
  void decodeScaled(std::size_t tensor, std::span<std::int32_t> codes, float& scale, float& offset) const;
  // Any content, as floats: codes times two to their exponent, scaled codes with scale and offset.
  void decodeFloats(std::size_t tensor, std::span<float> values) const;

  CodeTensor codes(std::size_t tensor) const;
  ScaledTensor scaled(std::size_t tensor) const;
  std::vector<float> floats(std::size_t tensor) const;

 private:
  const TensorEntry& entry(std::size_t tensor) const;
  const Codec& codec(std::size_t tensor, Content content) const;
  void readHead(ByteSpan head, const Limits& limits);
  void placeTensors(std::uint64_t start);

  ByteSpan bytes_;
  Structure structure_;
  Metadata metadata_;
  TensorTable table_;
  std::map<std::pair<int, std::string>, int> placeOf_;  // in the table, by node and role
  WriteOptions options_;
};

}  // namespace selfcompress::model
