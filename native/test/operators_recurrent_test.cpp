// LSTM and GRU in whole networks: gradients, backends, removal around them.
#include "test/engine_check.h"
#include "test/operator_cases.h"

using namespace test;

namespace {

NodeDescription position(std::string name, std::string input, int out) {
  return makeNode("linear", std::move(name), {std::move(input)},
                  {{"outFeatures", {double(out)}}, {"perPosition", {1}}});
}

NetworkDescription recurrent(const std::string& kind, int units, const std::map<std::string, FieldValue>& fields) {
  return {Axes::vector(3).withPositions({5}),
          {position("in", "input", 8), simple("silu", "s", {"in"}),
           position("w", "s", (kind == "lstm" ? 4 : 3) * units), node(kind, "x", {"w"}, fields), position("o", "x", 6),
           simple("batchNorm", "n", {"o"}), simple("gelu", "g", {"n"}), linear("out", "g", 4)},
          "out"};
}

// The CUDA backend has no recurrent layers.
const std::vector<OperatorCase>& recurrentCases() {
  static const std::vector<OperatorCase> all{
      {"lstm", recurrent("lstm", 5, {}), 1, false},
      {"lstm, reverse, without a bias", recurrent("lstm", 3, {{"reverse", {1}}, {"bias", {0}}}), 1, false},
      {"gru", recurrent("gru", 5, {}), 1, false},
      {"gru, reset first, reverse", recurrent("gru", 4, {{"resetFirst", {1}}, {"reverse", {1}}}), 1, false},
  };
  return all;
}

}  // namespace

TEST_CASE("recurrent layers in networks: gradients against finite differences") {
  for (const OperatorCase& c : recurrentCases()) checkGradients(c);
}

TEST_CASE("recurrent layers in networks: every backend against the reference") {
  for (const OperatorCase& c : recurrentCases()) checkBackends(c);
}

TEST_CASE("recurrent layers in networks: the engine predicts the same") {
  for (const OperatorCase& c : recurrentCases()) checkEngine(c.name, c.network);
}

TEST_CASE("recurrent layers in networks: removal around them changes nothing") {
  for (const OperatorCase& c : recurrentCases()) checkRemoval(c);
}

TEST_CASE("recurrent layers in networks: sizes, units stay, errors") {
  NetworkOptions options;
  options.batchSize = 7;
  auto network = std::make_unique<Network>(makeReferenceBackend(), recurrent("lstm", 5, {}), options);
  State state = randomState(*network, 3, 4);
  for (int row = 0; row < 20; row += 5) state["w.bitDepth"][std::size_t(row)] = state["w.bias"][std::size_t(row)] = 0;
  state["in.bitDepth"][2] = state["in.bias"][2] = 0;
  network->loadState(state);
  for (const LayerSize& size : network->measure())
    if (network->description().nodes[std::size_t(size.node)].name == "x") {
      CHECK(size.weights == 4 * 5 * 5);  // whatever has died before it
      CHECK(size.bits == 4 * 5 * 5 * 32);
    }
  REQUIRE(Network::prune(network));
  CHECK(network->parameters().find(2, Role::kWeight)->shape() == std::vector<std::int64_t>{20, 7});
  CHECK(network->parameters().find(3, Role::kWeight)->shape() == std::vector<std::int64_t>{20, 5});
  NetworkDescription odd = recurrent("gru", 5, {});
  odd.nodes[2].set("outFeatures", {16});
  CHECK_THROWS_AS(inferShapes(odd, 4), DescriptionError);
}
