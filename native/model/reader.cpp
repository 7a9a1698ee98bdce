#include "model/reader.h"

#include <algorithm>
#include <cmath>

#include "base/crc32c.h"
#include "model/format.h"
#include "model/head_coder.h"
#include "model/structure_section.h"

namespace selfcompress::model {

namespace {

std::string described(const TensorEntry& entry) {
  return entry.role + (entry.node < 0 ? "" : " of node " + std::to_string(entry.node));
}

void checkSize(std::size_t received, std::int64_t expected, const char* argument) {
  if (received != std::size_t(expected)) fail(std::to_string(expected) + " elements", argument, received);
}

}  // namespace

ModelReader::ModelReader(ByteSpan bytes, const Limits& limits) : bytes_(bytes) {
  if (bytes.size() < kHeaderBytes || !std::equal(kMagic, kMagic + sizeof(kMagic), bytes.begin()))
    fail("a model of selfcompress (.scnn)", "the file", "other bytes");
  const auto version = loadLittle<std::uint16_t>(bytes.data() + sizeof(kMagic));
  if (version != kVersion)
    fail("version " + std::to_string(kVersion), "the model file", "version " + std::to_string(version));
  if (loadLittle32(bytes.data() + kChecksumAt) != crc32c(bytes.subspan(kHeaderBytes), crc32c(bytes.first(kChecksumAt))))
    fail("an unchanged model file", "the file", "one whose contents do not match their checksum");
  ByteReader in(bytes.subspan(kHeaderBytes), "the model file");
  const std::uint64_t first = in.varint(), length = first / 2;
  if (length > limits.headBytes)
    fail("a head of at most " + std::to_string(limits.headBytes) + " bytes", "the model file", length);
  options_.codeHead = first % 2;
  if (first % 2) {
    const Bytes plain = decodeHead(in.take(in.varint()), length);
    readHead(plain, limits);
  } else {
    readHead(in.take(length), limits);
  }
  placeTensors(kHeaderBytes + in.position());
  for (std::size_t i = 0; i < table_.entries.size(); i++)
    placeOf_.emplace(std::pair(table_.entries[i].node, table_.entries[i].role), int(i));  // the first of several
}

void ModelReader::readHead(ByteSpan head, const Limits& limits) {
  ByteReader sections(head, "the head");
  std::uint64_t last = 0;
  Limits left = limits;
  while (sections.left()) {
    const std::uint64_t id = sections.varint();
    if (id <= last) fail("sections in ascending order", "the head", "section " + std::to_string(id));
    last = id;
    ByteReader in(sections.take(sections.varint()), id == kStructureSection  ? "the structure"
                                                    : id == kMetadataSection ? "the metadata"
                                                                             : "the table of tensors");
    StringReader strings(in, left);
    switch (id) {
      case kStructureSection:
        structure_ = readStructure(in, strings, limits);
        break;
      case kMetadataSection:
        metadata_ = readMetadata(in, strings);
        break;
      case kTensorSection:
        table_ = readTable(in, strings, limits, structure_.nodes.size());
        break;
      default:
        fail("a section that this version knows", "the head", "section " + std::to_string(id));
    }
    left.textBytes = strings.left();
    in.end();
  }
  options_.alignment = table_.alignment;
}

void ModelReader::placeTensors(std::uint64_t start) {
  const std::uint64_t end = place(table_, start);
  if (end != bytes_.size()) fail(std::to_string(end) + " bytes", "the model file", bytes_.size());
  std::uint64_t at = start;
  for (const TensorEntry& entry : table_.entries) {
    if (!findCodec(entry.encoding)) fail("a known encoding", described(entry), "\"" + entry.encoding + "\"");
    for (; at < entry.offset; at++)
      if (bytes_[std::size_t(at)])
        fail("zero bytes", "the gap before " + described(entry), int(bytes_[std::size_t(at)]));
    at = entry.offset + entry.length;
  }
}

int ModelReader::find(int node, const std::string& role) const {
  const auto found = placeOf_.find({node, role});
  return found == placeOf_.end() ? -1 : found->second;
}

const TensorEntry& ModelReader::entry(std::size_t tensor) const {
  if (tensor >= table_.entries.size())
    fail("one of " + std::to_string(table_.entries.size()) + " tensors", "tensor", tensor);
  return table_.entries[tensor];
}

Content ModelReader::content(std::size_t tensor) const { return findCodec(entry(tensor).encoding)->content; }

ByteSpan ModelReader::payload(std::size_t tensor) const {
  const TensorEntry& e = entry(tensor);
  return bytes_.subspan(std::size_t(e.offset), std::size_t(e.length));
}

const Codec& ModelReader::codec(std::size_t tensor, Content content) const {
  const Codec& codec = *findCodec(entry(tensor).encoding);
  if (codec.content != content) fail(nameOf(content), described(entry(tensor)), nameOf(codec.content));
  return codec;
}

void ModelReader::decodeCodes(std::size_t tensor, std::span<std::int32_t> codes, std::span<float> exponents) const {
  const Codec& how = codec(tensor, Content::kCodes);
  TensorTarget target{.shape = shape(tensor), .codes = codes.data(), .exponents = exponents.data()};
  checkSize(codes.size(), target.shape.elements(), "codes");
  checkSize(exponents.size(), target.shape.channels, "exponents");
  how.decode(payload(tensor), target);
}

void ModelReader::decodeScaled(std::size_t tensor, std::span<std::int32_t> codes, float& scale, float& offset) const {
  const Codec& how = codec(tensor, Content::kScaled);
  TensorTarget target{.shape = shape(tensor), .codes = codes.data()};
  checkSize(codes.size(), target.shape.elements(), "codes");
  how.decode(payload(tensor), target);
  scale = target.scale;
  offset = target.offset;
}

void ModelReader::decodeFloats(std::size_t tensor, std::span<float> values) const {
  const RowShape rows = shape(tensor);
  checkSize(values.size(), rows.elements(), "values");
  switch (content(tensor)) {
    case Content::kFloats: {
      TensorTarget target{.shape = rows, .floats = values.data()};
      return codec(tensor, Content::kFloats).decode(payload(tensor), target);
    }
    case Content::kCodes: {
      const CodeTensor from = codes(tensor);
      const auto row = std::size_t(rows.perChannel());
      for (std::size_t c = 0; c < from.exponents.size(); c++) {
        const float scale = std::exp2(from.exponents[c]);
        for (std::size_t i = c * row; i < (c + 1) * row; i++) values[i] = scale * float(from.codes[i]);
      }
      return;
    }
    case Content::kScaled: {
      const ScaledTensor from = scaled(tensor);
      for (std::size_t i = 0; i < values.size(); i++) values[i] = from.offset + from.scale * float(from.codes[i]);
      return;
    }
  }
}

CodeTensor ModelReader::codes(std::size_t tensor) const {
  CodeTensor result{shape(tensor), {}, {}};
  codec(tensor, Content::kCodes);
  result.codes.resize(std::size_t(result.shape.elements()));
  result.exponents.resize(std::size_t(result.shape.channels));
  decodeCodes(tensor, result.codes, result.exponents);
  return result;
}

ScaledTensor ModelReader::scaled(std::size_t tensor) const {
  ScaledTensor result{shape(tensor), {}, 1, 0};
  codec(tensor, Content::kScaled);
  result.codes.resize(std::size_t(result.shape.elements()));
  decodeScaled(tensor, result.codes, result.scale, result.offset);
  return result;
}

std::vector<float> ModelReader::floats(std::size_t tensor) const {
  std::vector<float> values(std::size_t(shape(tensor).elements()));
  decodeFloats(tensor, values);
  return values;
}

}  // namespace selfcompress::model
