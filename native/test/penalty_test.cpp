// The coupled penalty counts each reader of a channel once, whatever the paths to it, and in time that grows with the
// network.
#include "test/networks.h"

using namespace test;

namespace {

// What gamma * Q adds to the gradients of the bit depths, of the layers in both networks, by name.
std::map<std::string, std::vector<float>> penaltyGradients(const NetworkDescription& description, const State& state) {
  NetworkOptions options;
  options.batchSize = 4;
  options.penalty = SizePenalty::kCoupled;
  Network network(makeReferenceBackend(), description, options);
  network.loadState(state);
  const DataSet data = randomData({2, 6, 6}, 4, 3);
  const auto indices = firstIndices(4);
  StepSettings without = settings(1), with = without;
  without.gamma = 0, with.gamma = 64;
  const auto all = network.gradients(data, indices.data(), 4, with),
             rest = network.gradients(data, indices.data(), 4, without);
  std::map<std::string, std::vector<float>> result;
  for (const auto& [name, values] : all) {
    if (!name.ends_with(".bitDepth")) continue;
    for (std::size_t c = 0; c < values.size(); c++) result[name].push_back(values[c] - rest.at(name)[c]);
  }
  return result;
}

// Layer a, `paths` ways from it to layer b, which are added.
NetworkDescription ways(int paths) {
  std::vector<NodeDescription> nodes{conv("a", "input", 5, 3, 1)};
  std::string at = "a";
  for (int p = 1; p < paths; p++) {
    nodes.push_back(simple("silu", "s" + std::to_string(p), {"a"}));
    nodes.push_back(simple("add", "d" + std::to_string(p), {at, "s" + std::to_string(p)}));
    at = "d" + std::to_string(p);
  }
  nodes.push_back(conv("b", at, 4, 3, 1));
  nodes.push_back(linear("out", "b", 3));
  return {Axes::image(2, 6, 6), nodes, "out"};
}

// Residual blocks on one stream, each of two layers.
NetworkDescription stage(int blocks) {
  std::vector<NodeDescription> nodes{conv("stem", "input", 6, 3, 1)};
  std::string stream = "stem";
  for (int i = 0; i < blocks; i++) {
    const std::string n = std::to_string(i);
    nodes.push_back(conv("a" + n, stream, 6, 3, 1));
    nodes.push_back(simple("relu", "r" + n, {"a" + n}));
    nodes.push_back(conv("b" + n, "r" + n, 6, 3, 1));
    nodes.push_back(simple("add", "s" + n, {stream, "b" + n}));
    stream = "s" + n;
  }
  nodes.push_back(linear("out", stream, 3));
  return {Axes::image(2, 6, 6), nodes, "out"};
}

State stateOf(const NetworkDescription& description) {
  NetworkOptions options;
  options.batchSize = 1;
  return randomState(Network(makeReferenceBackend(), description, options), 7, 4);
}

}  // namespace

TEST_CASE("coupled penalty: a reader counts once, whatever the number of ways to it") {
  const State state = stateOf(ways(1));
  const auto expected = penaltyGradients(ways(1), state);
  for (float g : expected.at("a.bitDepth")) CHECK(g > 0);
  for (int paths : {2, 3, 5}) {
    const auto actual = penaltyGradients(ways(paths), state);
    REQUIRE(actual.size() == expected.size());
    for (const auto& [name, values] : expected)
      for (std::size_t c = 0; c < values.size(); c++) {
        CAPTURE(paths);
        CAPTURE(name);
        CAPTURE(c);
        CHECK(actual.at(name)[c] == doctest::Approx(values[c]).epsilon(1e-4));
      }
  }
}

TEST_CASE("coupled penalty: every layer that reads a stream counts, however many blocks it has") {
  for (int blocks : {18, 40}) {
    const NetworkDescription description = stage(blocks);
    const auto gradients = penaltyGradients(description, stateOf(description));
    // The layers that write a stream have one class and the same readers, so their share of the coupling is the same;
    // it grows with the readers.
    const auto fewer = penaltyGradients(stage(2), stateOf(stage(2)));
    CHECK(gradients.size() == std::size_t(2 * blocks + 2));
    for (const auto& [name, values] : gradients)
      for (float g : values) CHECK(std::isfinite(g));
    const double originals = 6 * 2 * 9 + 2 * blocks * 36 * 9 + 3 * 216;
    const double before = 6 * 2 * 9 + 2 * 2 * 36 * 9 + 3 * 216;
    CHECK(gradients.at("stem.bitDepth")[0] * originals > 2 * fewer.at("stem.bitDepth")[0] * before);
  }
}

TEST_CASE("coupled penalty: a stage of a thousand blocks is analysed in one pass") {
  const NetworkDescription description = stage(1000);
  NetworkOptions options;
  options.batchSize = 1, options.penalty = SizePenalty::kCoupled;
  Network network(makeReferenceBackend(), description, options);
  CHECK(network.memory().parameterBytes > 0);
}
