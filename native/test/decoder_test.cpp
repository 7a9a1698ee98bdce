// Networks of tokens one position after another, against the engine that sees the whole window.
#include <doctest/doctest.h>

#include "engine/decoder.h"
#include "model/error.h"
#include "test/engine_check.h"

using namespace selfcompress;
using namespace test;

namespace {

constexpr int kVocabulary = 23;

// Rotary positions, queries in groups, gates, norms of every kind that sees one position.
NetworkDescription rotaryModel(int length) {
  const std::map<std::string, FieldValue> turn{{"headSize", {8.0}}, {"rotated", {8.0}}};
  std::vector<NodeDescription> nodes{embedding("e", 24, kVocabulary), simple("rmsNorm", "n", {"e"}),
                                     positionwise("q", "n", 32), positionwise("k", "n", 16),
                                     positionwise("v", "n", 16)};
  nodes.push_back(makeNode("rotary", "qr", {"q"}, turn)), nodes.push_back(makeNode("rotary", "kr", {"k"}, turn));
  nodes.push_back(
      makeNode("attention", "a", {"qr", "kr", "v"}, {{"heads", {4.0}}, {"keyHeads", {2.0}}, {"causal", {1.0}}}));
  nodes.push_back(positionwise("o", "a", 24)), nodes.push_back(simple("add", "s", {"e", "o"}));
  nodes.push_back(simple("layerNorm", "m", {"s"})), nodes.push_back(positionwise("g", "m", 40));
  nodes.push_back(positionwise("u", "m", 40)), nodes.push_back(simple("silu", "ga", {"g"}));
  nodes.push_back(simple("multiply", "h", {"ga", "u"})), nodes.push_back(positionwise("d", "h", 24));
  nodes.push_back(simple("add", "t", {"s", "d"})), nodes.push_back(simple("relu", "r", {"t"}));
  nodes.push_back(positionwise("head", "r", kVocabulary));
  return {tokens(length), nodes, "head"};
}

NetworkDescription recurrentModel(int length) {
  std::vector<NodeDescription> nodes{embedding("e", 12, kVocabulary), positionwise("x", "e", 4 * 10),
                                     simple("lstm", "l", {"x"}),      positionwise("y", "l", 3 * 9),
                                     simple("gru", "g", {"y"}),       positionwise("head", "g", kVocabulary)};
  return {tokens(length), nodes, "head"};
}

std::vector<float> positionOf(const std::vector<float>& all, int length, int position) {
  std::vector<float> values;
  for (std::size_t c = 0; c < all.size() / std::size_t(length); c++)
    values.push_back(all[c * std::size_t(length) + std::size_t(position)]);
  return values;
}

void checkDecoder(Network& network, Random& random) {
  const model::Bytes file = encodeModelFile(network.description(), network.parameterState(), {});
  const int length = network.description().input.positions[0];
  std::vector<std::int32_t> text;
  for (int i = 0; i < length; i++) text.push_back(random.integer(0, kVocabulary - 1));
  const std::vector<float> window(text.begin(), text.end());
  for (const engine::Kernels* kernels : engine::supportedKernels())
    for (bool keep : {true, false}) {
      CAPTURE(kernels->isa);
      engine::Options options;
      options.keepPanels = keep;
      engine::Decoder decoder(file, options, *kernels), other(file, options, *kernels);
      REQUIRE(decoder.length() == length);
      REQUIRE(decoder.outputs() == kVocabulary);
      std::vector<float> all(std::size_t(length) * kVocabulary), one(kVocabulary), several(kVocabulary);
      engine::Model(file, options, *kernels).predict(window.data(), 1, all.data());
      for (int round = 0; round < 2; round++) {
        for (int i = 0; i < length; i++) {
          CAPTURE(i);
          decoder.next(&text[std::size_t(i)], 1, one.data());
          CHECK(difference(one, positionOf(all, length, i)) < 2e-5);
        }
        CHECK(decoder.position() == length);
        const std::size_t first = std::size_t(random.integer(1, length - 1));
        other.next(text.data(), first, several.data(), enginePool(3));
        other.next(text.data() + first, text.size() - first, several.data(), enginePool(3));
        CHECK(sameBits(one, several));
        decoder.reset(), other.reset();
      }
    }
}

void checkModel(const NetworkDescription& description, std::uint64_t seed) {
  Random random(seed);
  auto network = referenceNetwork(description);
  network->loadState(stateWithDead(*network, random));
  checkDecoder(*network, random);
  if (Network::prune(network)) checkDecoder(*network, random);
}

model::Bytes fileOf(const NetworkDescription& description) {
  auto network = referenceNetwork(description);
  network->loadState(randomState(*network, 1, 6));
  return encodeModelFile(network->description(), network->parameterState(), {});
}

}  // namespace

TEST_CASE("one position after another says what the whole window says") {
  cpu::setThreads(3);
  for (int trial = 0; trial < cases(4); trial++) {
    checkModel(languageModel(kVocabulary, 5 + trial, 16, 2, 2), std::uint64_t(trial) + 1);
    checkModel(rotaryModel(9 + 4 * trial), std::uint64_t(trial) + 10);
    checkModel(recurrentModel(7 + trial), std::uint64_t(trial) + 20);
  }
}

TEST_CASE("a full window, no tokens and unknown ones are refused, and nothing has been seen then") {
  engine::Decoder decoder(fileOf(languageModel(kVocabulary, 6, 16, 2, 1)));
  std::vector<float> result(kVocabulary), again(kVocabulary);
  const std::vector<std::int32_t> text{1, 2, 3, 4, 5, 6, 7}, unknown{1, kVocabulary}, negative{-1};
  CHECK_THROWS_AS(decoder.next(text.data(), 7, result.data()), std::out_of_range);
  CHECK_THROWS_AS(decoder.next(text.data(), 0, result.data()), std::out_of_range);
  CHECK_THROWS_AS(decoder.next(unknown.data(), 2, result.data()), std::out_of_range);
  CHECK_THROWS_AS(decoder.next(negative.data(), 1, result.data()), std::out_of_range);
  CHECK(decoder.position() == 0);
  decoder.next(text.data(), 6, result.data());
  CHECK_THROWS_AS(decoder.next(text.data(), 1, again.data()), std::out_of_range);
}

TEST_CASE("nodes that see the whole window are named, all of them") {
  NetworkDescription network = languageModel(kVocabulary, 6, 16, 2, 1);
  for (NodeDescription& node : network.nodes)
    if (std::string(node.op->kind) == "attention") node.set("causal", FieldValue{0.0});
  network.nodes.push_back(positionwise("x", network.output, 12));
  network.nodes.push_back(makeNode("lstm", "back", {"x"}, {{"reverse", {1.0}}}));
  network.output = "back";
  try {
    engine::Decoder decoder(fileOf(network));
    FAIL("it is made");
  } catch (const model::ModelFileError& error) {
    CHECK(std::string(error.what()).find("attention \"") != std::string::npos);
    CHECK(std::string(error.what()).find("lstm \"back\"") != std::string::npos);
    CHECK(std::string(error.what()).find("linear") == std::string::npos);
  }
  CHECK_THROWS_AS(engine::Decoder(fileOf(richNetwork(true))), model::ModelFileError);
}
