// What the tests of the model file share: seeded contents, networks, and writing again what a reader gives.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
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
inline Bytes rewritten(const ModelReader& reader) {
  ModelWriter writer(reader.structure(), reader.metadata(), reader.options());
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

}  // namespace model_test
