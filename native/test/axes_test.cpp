// Networks over vectors, sequences, images and volumes: layers that see each position by itself are the same for all.
#include "test/operator_cases.h"

using namespace test;

namespace {

NetworkDescription over(const Axes& input) {
  const std::map<std::string, FieldValue> perPosition{{"outFeatures", {6}}, {"perPosition", {1}}};
  return {input,
          {node("linear", "a", {"input"}, perPosition), simple("batchNorm", "n", {"a"}), simple("silu", "s", {"n"}),
           node("linear", "b", {"s"}, perPosition), simple("add", "sum", {"b", "s"}),
           simple("globalAveragePool", "mean", {"sum"}), simple("sigmoid", "gate", {"mean"}),
           simple("multiply", "gated", {"sum", "gate"}), simple("layerNorm", "m", {"gated"}),
           node("linear", "c", {"m"}, perPosition), simple("gelu", "g", {"c"}), linear("out", "g", 4)},
          "out"};
}

std::vector<OperatorCase> axesCases() {
  const Axes vector = Axes::vector(5);
  return {{"vector", over(vector)},
          {"sequence", over(vector.withPositions({7}))},
          {"image", over(vector.withPositions({3, 4}))},
          {"volume", over(vector.withPositions({2, 3, 4}))}};
}

}  // namespace

TEST_CASE("axes: every node keeps those of its input, and a layer of all positions has none") {
  for (const OperatorCase& c : axesCases()) {
    CAPTURE(c.name);
    const Topology topology = inferShapes(c.network, 3);
    for (std::size_t i = 1; i < topology.axes.size() - 1; i++) {
      const std::string& name = c.network.nodes[i - 1].name;
      CAPTURE(name);
      Axes expected = c.network.input.withChannels(6);
      if (name == "mean" || name == "gate")
        for (int& size : expected.positions) size = 1;
      CHECK(topology.axes[i] == expected);
    }
    CHECK(topology.axes.back() == Axes::vector(4));
  }
}

TEST_CASE("axes: gradients against finite differences") {
  for (const OperatorCase& c : axesCases()) checkGradients(c);
}

TEST_CASE("axes: every backend against the reference") {
  for (const OperatorCase& c : axesCases()) checkBackends(c);
}

TEST_CASE("axes: removal changes nothing") {
  for (const OperatorCase& c : axesCases()) checkRemoval(c);
}
