// Writes a model file, version 2. The same contents and options give the same bytes, on every machine.
#pragma once

#include <span>

#include "model/codec.h"
#include "model/structure.h"
#include "model/table.h"

namespace selfcompress::model {

struct WriteOptions {
  bool keepNames = true;  // false: nodes come back with their default names
  int alignment = 1;      // payloads begin at multiples of this many bytes: a power of two up to 2^16
  bool codeHead = true;   // structure, metadata and table entropy-coded where that is shorter
};

// "smallest" as an encoding takes the one that gives the fewest bytes for this tensor, the first of the table of codecs
// where several do.
inline constexpr const char* kSmallest = "smallest";

class ModelWriter {
 public:
  ModelWriter(Structure structure, Metadata metadata, WriteOptions options = {});

  // codes[channels][perChannel] with channels = axes[0] (1 where there are fewer than two axes) and an exponent for
  // each channel, or one for all of them. Exponents of channels whose codes are all 0 are not stored.
  void addCodes(int node, const std::string& role, const std::vector<std::int64_t>& axes,
                std::span<const std::int32_t> codes, std::span<const float> exponents,
                const std::string& encoding = kSmallest);
  // element = offset + scale * code
  void addScaled(int node, const std::string& role, const std::vector<std::int64_t>& axes,
                 std::span<const std::int32_t> codes, float scale, float offset,
                 const std::string& encoding = kSmallest);
  // The encodings differ in precision, so there is no smallest one.
  void addFloats(int node, const std::string& role, const std::vector<std::int64_t>& axes,
                 std::span<const float> values, const std::string& encoding = "f32");

  // The bytes of the file; once.
  Bytes finish();

 private:
  void add(int node, const std::string& role, const std::vector<std::int64_t>& axes, std::size_t count, TensorView view,
           Content content, const std::string& encoding);
  Bytes head() const;

  Structure structure_;
  Metadata metadata_;
  WriteOptions options_;
  TensorTable table_;
  std::vector<Bytes> payloads_;
};

// The nearest whole numbers of `bits` bits (1 to 24) for values between their extremes: what addScaled takes.
ScaledTensor quantizeScaled(const RowShape& shape, std::span<const float> values, int bits);

}  // namespace selfcompress::model
