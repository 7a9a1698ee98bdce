// What the tests of the model file share: seeded contents, networks, and writing again what a reader gives.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "base/crc32c.h"
#include "model/format.h"
#include "model/reader.h"
#include "model/writer.h"

namespace model_test {

using namespace selfcompress::model;

struct Random {
  std::mt19937_64 engine;
  explicit Random(std::uint64_t seed) : engine(seed) {}
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + std::int64_t(engine() % (std::uint64_t(high - low) + 1));
  }
  bool chance(double p) { return double(engine() >> 11) * 0x1p-53 < p; }
  double real() { return double(engine() >> 11) * 0x1p-53; }
};

inline std::size_t product(const std::vector<std::int64_t>& axes) {
  std::size_t count = 1;
  for (const auto axis : axes) count *= std::size_t(axis);
  return count;
}

// Two's complement codes of `depth` bits, all as likely.
inline std::vector<std::int32_t> uniformCodes(Random& random, std::size_t count, int depth) {
  std::vector<std::int32_t> codes(count);
  if (depth)
    for (auto& code : codes)
      code = std::int32_t(std::int64_t(random.engine() & ((1ull << depth) - 1)) - (1ll << (depth - 1)));
  return codes;
}

// Rounded Laplace numbers of mean magnitude `spread`.
inline std::int32_t laplace(Random& random, double spread) {
  const double magnitude = -std::log(1 - random.real()) * spread;
  return std::int32_t(random.chance(0.5) ? std::lround(magnitude) : -std::lround(magnitude));
}

// Bits of the codes at the entropy of their frequencies.
inline double orderZeroBits(const std::vector<std::int32_t>& codes) {
  std::map<std::int32_t, double> counts;
  for (const auto code : codes) counts[code]++;
  double bits = 0;
  for (const auto& [code, n] : counts) bits -= n * std::log2(n / double(codes.size()));
  return bits;
}

// Writes again everything that the reader gives.
inline Bytes rewritten(const ModelReader& reader, const WriteOptions& options) {
  ModelWriter writer(reader.structure(), reader.metadata(), options);
  for (std::size_t i = 0; i < reader.tensors().size(); i++) {
    const TensorEntry& entry = reader.tensors()[i];
    switch (reader.content(i)) {
      case Content::kCodes: {
        const CodeTensor t = reader.codes(i);
        writer.addCodes(entry.node, entry.role, entry.axes, t.codes, t.exponents, entry.encoding);
        break;
      }
      case Content::kScaled: {
        const ScaledTensor t = reader.scaled(i);
        writer.addScaled(entry.node, entry.role, entry.axes, t.codes, t.scale, t.offset, entry.encoding);
        break;
      }
      case Content::kFloats:
        writer.addFloats(entry.node, entry.role, entry.axes, reader.floats(i), entry.encoding);
    }
  }
  return writer.finish();
}
inline Bytes rewritten(const ModelReader& reader) { return rewritten(reader, reader.options()); }

inline void fixChecksum(Bytes& file) {
  const selfcompress::model::ByteSpan all(file);
  selfcompress::storeLittle(
      file.data() + kChecksumAt,
      selfcompress::crc32c(all.subspan(kHeaderBytes), selfcompress::crc32c(all.first(kChecksumAt))));
}

inline Node node(const std::string& kind, Fields fields = {}) { return {kind, "", {}, std::move(fields)}; }
using Pair = std::vector<double>;

// A chain of nodes, each reading the one before it.
inline Structure chain(std::vector<std::int64_t> inputAxes, std::vector<Node> nodes) {
  Structure s{std::move(inputAxes), "float", std::move(nodes), 0};
  for (std::size_t i = 0; i < s.nodes.size(); i++) s.nodes[i].inputs = {int(i)};
  s.output = int(s.nodes.size());
  return s;
}

inline Structure leNet5(std::int64_t a, std::int64_t b, std::int64_t c) {
  return chain(
      {1, 28, 28},
      {node("conv2d", {{"outChannels", a}, {"kernel", Pair{5, 5}}}), node("relu"),
       node("maxPool", {{"kernel", Pair{2, 2}}}), node("conv2d", {{"outChannels", b}, {"kernel", Pair{5, 5}}}),
       node("relu"), node("maxPool", {{"kernel", Pair{2, 2}}}), node("flatten"), node("linear", {{"outFeatures", c}}),
       node("relu"), node("linear", {{"outFeatures", std::int64_t(10)}})});
}

// A small file with every codec.
inline Bytes sampleFile(const WriteOptions& options) {
  Random random(9);
  Structure structure = leNet5(3, 4, 5);
  structure.nodes[2].name = "first pool";
  structure.nodes[4].inputs = {4, 2};
  structure.output = 9;
  ModelWriter writer(structure,
                     {{"task", std::string("classification")},
                      {"labels", std::vector<std::string>{"0", "1", "2"}},
                      {"mean", std::vector<double>{0.5, 0.1307, 1e-40}},
                      {"mine", 0.1}},
                     options);
  std::vector<std::int32_t> codes(3 * 25);
  for (auto& code : codes) code = laplace(random, 1.5);
  std::vector<float> values(24);
  for (auto& v : values) v = float(random.real());
  for (const char* encoding : {"packed", "range", "range-fast"}) {
    writer.addCodes(0, "weight", {3, 1, 5, 5}, codes, std::vector<float>{-1, -2, -2.3f}, encoding);
    writer.addCodes(-1, "flat", {75}, codes, std::vector<float>{-4}, encoding);
  }
  for (const char* encoding : {"f32", "f16", "bf16"}) writer.addFloats(3, encoding, {4, 6}, values, encoding);
  const ScaledTensor scaled = quantizeScaled({4, 6, 1}, values, 5);
  writer.addScaled(4, "scale", {4, 6}, scaled.codes, scaled.scale, scaled.offset);
  return writer.finish();
}

// Decodes everything in a file, writes again what can be decoded, and tells whether that is read and written as the
// same bytes once more. Fails where the file or one of its tensors does.
inline bool isStable(const Bytes& file, const Limits& limits = {}) {
  const ModelReader reader(file, limits);
  for (std::size_t i = 0; i < reader.tensors().size(); i++) {
    try {
      reader.floats(i);
    } catch (const ModelFileError&) {
    }
  }
  const Bytes again = rewritten(reader);
  return rewritten(ModelReader(again, limits)) == again;
}

inline const WriteOptions kSampleWays[] = {{true, 1, true}, {true, 8, false}, {false, 1, false}};

// Of `all` random cases in a whole run: SELFCOMPRESS_TEST_SHARE=0.05 takes a twentieth, for emulators.
inline int cases(int all) {
  const char* share = std::getenv("SELFCOMPRESS_TEST_SHARE");
  return share ? std::max(2, int(all * std::atof(share))) : all;
}

}  // namespace model_test
