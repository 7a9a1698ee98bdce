// Files that are not what a writer has written: an error or a sensible model, never anything else.
#include <doctest/doctest.h>

#include "test/model_support.h"

using namespace model_test;

namespace {

// Reads all there is; whatever can be read can be written, and read again.
void readAll(const Bytes& file) {
  try {
    const bool stable = isStable(file);
    CHECK(stable);
  } catch (const ModelFileError&) {
  }
}

}  // namespace

TEST_CASE("every byte changed, with the checksum set right: an error or a model") {
  const int step = std::max(1, 1000 / cases(1000));
  for (const WriteOptions& options : kSampleWays) {
    const Bytes whole = sampleFile(options);
    CHECK_NOTHROW(rewritten(ModelReader(whole)));
    for (std::size_t at = 0; at < whole.size(); at += std::size_t(step))
      for (const int flip : {1, 8, 128, 255}) {
        Bytes file = whole;
        file[at] = std::uint8_t(file[at] ^ flip);
        fixChecksum(file);
        readAll(file);
      }
  }
}

TEST_CASE("every byte changed, with the checksum as it was: an error") {
  const Bytes whole = sampleFile(kSampleWays[0]);
  for (std::size_t at = 0; at < whole.size(); at++) {
    Bytes file = whole;
    file[at] ^= 16;
    CHECK_THROWS_AS(ModelReader{file}, ModelFileError);
  }
}

TEST_CASE("cut off anywhere: an error, even with the right checksum; longer: an error") {
  for (const WriteOptions& options : kSampleWays) {
    const Bytes whole = sampleFile(options);
    for (std::size_t size = 0; size < whole.size(); size++) {
      Bytes file(whole.begin(), whole.begin() + std::ptrdiff_t(size));
      CHECK_THROWS_AS(ModelReader{file}, ModelFileError);
      if (size < kHeaderBytes) continue;
      fixChecksum(file);
      CHECK_THROWS_AS(ModelReader{file}, ModelFileError);
    }
    Bytes longer = whole;
    longer.push_back(0);
    fixChecksum(longer);
    CHECK_THROWS_AS(ModelReader{longer}, ModelFileError);
  }
}

TEST_CASE("random bytes behind a right header: an error or a model") {
  Random random(77);
  for (int i = 0; i < cases(4000); i++) {
    Bytes file(std::size_t(random.integer(10, 120)));
    for (auto& byte : file) byte = std::uint8_t(random.chance(0.5) ? random.integer(0, 8) : random.integer(0, 255));
    std::copy(kMagic, kMagic + 4, file.begin());
    selfcompress::storeLittle(file.data() + 4, kVersion);
    fixChecksum(file);
    readAll(file);
  }
}

namespace {

// A file with a plain head of these bytes and `data` zero bytes behind it.
Bytes handMade(ByteWriter head, std::size_t data = 0) {
  ByteWriter out;
  for (const char c : kMagic) out.byte(std::uint8_t(c));
  out.little(kVersion);
  out.little(std::uint32_t(0));
  out.varint(2 * head.size());
  out.append(head.bytes());
  out.bytes().resize(out.size() + data);
  fixChecksum(out.bytes());
  return out.bytes();
}

void section(ByteWriter& head, std::uint64_t id, ByteWriter payload) {
  head.varint(id);
  head.varint(payload.size());
  head.append(payload.bytes());
}

std::string errorOf(const Bytes& file) {
  try {
    ModelReader reader(file);
    for (std::size_t i = 0; i < reader.tensors().size(); i++) reader.floats(i);
  } catch (const ModelFileError& error) {
    return error.what();
  }
  return "none";
}

// The table with one tensor of these axes and this encoding.
Bytes oneTensor(const std::vector<std::uint64_t>& axes, const std::string& encoding, std::uint64_t length,
                std::size_t data) {
  ByteWriter head, table;
  StringWriter strings(table);
  table.varint(0);
  table.varint(1);
  table.signedVarint(-1);
  strings.word("weight");
  strings.word(encoding);
  table.varint(axes.size());
  for (const auto axis : axes) table.varint(axis);
  table.varint(length);
  section(head, kTensorSection, table);
  return handMade(head, data);
}

}  // namespace

TEST_CASE("what a file asks for is checked against what is there, and refused by name") {
  CHECK(errorOf(oneTensor({4}, "packed", 1, 1)) == "none");
  CHECK(errorOf(oneTensor({4}, "zip", 1, 1)) == "Expected a known encoding for weight but received \"zip\"");
  const std::uint64_t big = std::uint64_t(1) << 28;
  CHECK(errorOf(oneTensor({big}, "range", 1, 1)).find("a byte for every 65536 elements") != std::string::npos);
  for (const auto& axes : std::vector<std::vector<std::uint64_t>>{{big + 1},
                                                                  {1 << 15, 1 << 14},
                                                                  {~std::uint64_t(0)},
                                                                  {big, big, big, big, big},
                                                                  {std::uint64_t(1) << 32, std::uint64_t(1) << 32}})
    CHECK(errorOf(oneTensor(axes, "f32", 100, 100)).find("at most 268435456 elements") != std::string::npos);
  CHECK(errorOf(oneTensor({4, 0}, "range", 1, 1)).find("axes of at least 1") != std::string::npos);
  CHECK(errorOf(oneTensor({1, 1, 1, 1, 1, 1, 1, 1, 1}, "range", 1, 1)).find("at most 8 axes") != std::string::npos);
  CHECK(errorOf(oneTensor({4}, "f32", 15, 15)) == "Expected 16 bytes for a tensor of floats but received 15");
  CHECK(errorOf(oneTensor({4}, "range", 2, 1)).find("the model file") != std::string::npos);
  CHECK(errorOf(oneTensor({4}, "range", std::uint64_t(1) << 63, 1)).find("lengths below 2^62") != std::string::npos);
  ByteWriter unknown;
  section(unknown, 9, {});
  CHECK(errorOf(handMade(unknown)).find("section 9") != std::string::npos);
  ByteWriter nodes, structure;
  for (const int value : {0, 22, 0}) structure.varint(std::uint64_t(value));  // no flags, "float", no axes
  structure.varint(1 << 20);
  section(nodes, kStructureSection, structure);
  CHECK(errorOf(handMade(nodes)).find("at most 65536 nodes") != std::string::npos);
}

TEST_CASE("a few bytes cannot ask for much memory") {
  // Each reference to a long string makes a copy of it.
  ByteWriter head, metadata;
  metadata.varint(1 << 16);
  for (int i = 0; i < 1 << 16; i++) {
    if (i == 0) metadata.varint(0), metadata.text(std::string(100000, 'x'));
    else metadata.varint(1);
    metadata.byte(1);
  }
  section(head, kMetadataSection, metadata);
  CHECK(errorOf(handMade(head)).find("limits.textBytes") != std::string::npos);
  // Ordinals take no bytes of their own.
  ByteWriter head2, ordinals;
  ordinals.varint(1);
  ordinals.varint(2);
  ordinals.byte(12);
  ordinals.varint(std::uint64_t(1) << 60);
  section(head2, kMetadataSection, ordinals);
  CHECK(errorOf(handMade(head2)).find("limits.textBytes") != std::string::npos);
}

TEST_CASE("zeros cost next to nothing, but not less than a byte for 65536 of them") {
  for (const char* encoding : {"range", "packed"}) {
    const std::vector<std::int32_t> zeros(1 << 20);
    ModelWriter writer({}, {});
    writer.addCodes(-1, "w", {1024, 1024}, zeros, std::vector<float>{1}, encoding);
    const Bytes file = writer.finish();
    CHECK(file.size() < 150);
    CHECK(ModelReader(file).codes(0).codes == zeros);
    CHECK(rewritten(ModelReader(file)) == file);
  }
}
