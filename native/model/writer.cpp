#include "model/writer.h"

#include <bit>
#include <cmath>

#include "base/crc32c.h"
#include "model/format.h"
#include "model/head_coder.h"
#include "model/structure_section.h"

namespace selfcompress::model {

namespace {

// Nothing in a model that is in memory can exceed these.
constexpr std::uint64_t kMostElements = std::uint64_t(1) << 40;

void writeSection(ByteWriter& out, Section id, ByteWriter& payload) {
  out.varint(id);
  out.varint(payload.size());
  out.append(payload.bytes());
}

Bytes encodeTensor(const TensorView& view, Content content, const std::string& encoding, std::string& chosen) {
  if (encoding != kSmallest) {
    const Codec* codec = findCodec(encoding);
    if (!codec || codec->content != content)
      fail("an encoding of " + std::string(nameOf(content)), "encoding", "\"" + encoding + "\"");
    chosen = encoding;
    return codec->encode(view);
  }
  Bytes best;
  for (const Codec* codec : codecs()) {
    if (codec->content != content || !codec->automatic) continue;
    Bytes bytes = codec->encode(view);
    if (!chosen.empty() && bytes.size() >= best.size()) continue;
    best = std::move(bytes);
    chosen = codec->name;
  }
  if (chosen.empty()) fail("the name of an encoding", "encoding of " + std::string(nameOf(content)), "\"smallest\"");
  return best;
}

}  // namespace

ModelWriter::ModelWriter(Structure structure, Metadata metadata, WriteOptions options)
    : structure_(std::move(structure)), metadata_(std::move(metadata)), options_(options) {
  const int alignment = options_.alignment;
  if (alignment < 1 || alignment > 1 << 16 || !std::has_single_bit(unsigned(alignment)))
    fail("a power of two up to 65536", "alignment", alignment);
  table_.alignment = alignment;
}

void ModelWriter::add(int node, const std::string& role, const std::vector<std::int64_t>& axes, std::size_t count,
                      TensorView view, Content content, const std::string& encoding) {
  if (node < -1 || node >= int(structure_.nodes.size())) fail("one of the nodes or -1", "node", node);
  const auto elements = checkedElements(axes, kMostElements, "axes");
  if (count != std::size_t(elements)) fail(std::to_string(elements) + " elements", role, count);
  TensorEntry entry{node, role, axes, "", 0, 0};
  view.shape = rowShape(axes);
  Bytes payload = encodeTensor(view, content, encoding, entry.encoding);
  const std::size_t least = (count + kElementsPerByte - 1) / kElementsPerByte;
  if (payload.size() < least) payload.resize(least);
  entry.length = payload.size();
  table_.entries.push_back(std::move(entry));
  payloads_.push_back(std::move(payload));
}

void ModelWriter::addCodes(int node, const std::string& role, const std::vector<std::int64_t>& axes,
                           std::span<const std::int32_t> codes, std::span<const float> exponents,
                           const std::string& encoding) {
  checkedElements(axes, kMostElements, "axes");
  const auto channels = std::size_t(rowShape(axes).channels);
  if (exponents.size() != channels && exponents.size() != 1)
    fail("one exponent, or one for each of " + std::to_string(channels) + " channels", "exponents of " + role,
         exponents.size());
  std::vector<float> each(exponents.begin(), exponents.end());
  each.resize(channels, exponents[0]);
  TensorView view;
  view.codes = codes.data();
  view.exponents = each.data();
  add(node, role, axes, codes.size(), view, Content::kCodes, encoding);
}

void ModelWriter::addScaled(int node, const std::string& role, const std::vector<std::int64_t>& axes,
                            std::span<const std::int32_t> codes, float scale, float offset,
                            const std::string& encoding) {
  TensorView view;
  view.codes = codes.data();
  view.scale = scale;
  view.offset = offset;
  add(node, role, axes, codes.size(), view, Content::kScaled, encoding);
}

void ModelWriter::addFloats(int node, const std::string& role, const std::vector<std::int64_t>& axes,
                            std::span<const float> values, const std::string& encoding) {
  TensorView view;
  view.floats = values.data();
  add(node, role, axes, values.size(), view, Content::kFloats, encoding);
}

Bytes ModelWriter::head() const {
  ByteWriter out, structure, metadata, tensors;
  StringWriter inStructure(structure);
  writeStructure(structure, inStructure, structure_, options_.keepNames);
  writeSection(out, kStructureSection, structure);
  if (!metadata_.empty()) {
    StringWriter strings(metadata);
    writeMetadata(metadata, strings, metadata_);
    writeSection(out, kMetadataSection, metadata);
  }
  if (!table_.entries.empty()) {
    StringWriter strings(tensors);
    writeTable(tensors, strings, table_);
    writeSection(out, kTensorSection, tensors);
  }
  return std::move(out.bytes());
}

Bytes ModelWriter::finish() {
  ByteWriter out;
  for (const char c : kMagic) out.byte(std::uint8_t(c));
  out.little(kVersion);
  out.little(std::uint32_t(0));
  const Bytes plain = head();
  Bytes coded;
  if (options_.codeHead) coded = encodeHead(plain);
  if (options_.codeHead && coded.size() < plain.size()) {
    out.varint(2 * plain.size() + 1);
    out.varint(coded.size());
    out.append(coded);
  } else {
    out.varint(2 * plain.size());
    out.append(plain);
  }
  Bytes& bytes = out.bytes();
  bytes.resize(std::size_t(place(table_, bytes.size())));
  for (std::size_t i = 0; i < payloads_.size(); i++)
    std::copy(payloads_[i].begin(), payloads_[i].end(), bytes.begin() + std::ptrdiff_t(table_.entries[i].offset));
  const ByteSpan all(bytes);
  storeLittle(bytes.data() + kChecksumAt, crc32c(all.subspan(kHeaderBytes), crc32c(all.first(kChecksumAt))));
  return std::move(bytes);
}

ScaledTensor quantizeScaled(const RowShape& shape, std::span<const float> values, int bits) {
  if (bits < 1 || bits > 24) fail("1 to 24", "bits", bits);
  if (values.size() != std::size_t(shape.elements())) fail(std::to_string(shape.elements()), "values", values.size());
  float low = values[0], high = values[0];
  double mean = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) fail("finite numbers", "values", "others");
    low = std::min(low, value);
    high = std::max(high, value);
    mean += double(value) / double(values.size());
  }
  ScaledTensor result{shape, std::vector<std::int32_t>(values.size()), 1, low};
  const auto scale = float((double(high) - double(low)) / double((1 << bits) - 1));
  if (!(scale > 0)) return result;
  result.scale = scale;
  // Code 0 stands for what is nearest to the mean, since codes near 0 are the cheap ones.
  const auto zero = std::int32_t(std::nearbyint((mean - double(low)) / double(scale)));
  result.offset = float(double(low) + double(zero) * double(scale));
  for (std::size_t i = 0; i < values.size(); i++)
    result.codes[i] = std::int32_t(std::nearbyint((double(values[i]) - double(low)) / double(scale))) - zero;
  return result;
}

}  // namespace selfcompress::model
