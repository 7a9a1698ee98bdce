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
      {"lstm, plain", recurrent("lstm", 5, {{"compress", {0}}}), 1, false},
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

TEST_CASE("recurrent layers in networks: errors") {
  NetworkDescription odd = recurrent("gru", 5, {});
  odd.nodes[2].set("outFeatures", {16});
  CHECK_THROWS_AS(inferShapes(odd, 4), DescriptionError);
}

namespace {

// lstm and gru of 5 units behind a layer for their gates.
struct Form {
  std::string kind;
  std::map<std::string, FieldValue> fields;
  int gates() const { return kind == "lstm" ? 4 : 3; }
  NetworkDescription network() const { return recurrent(kind, 5, fields); }
};
const std::vector<Form> kForms{{"lstm", {}}, {"gru", {}}, {"gru", {{"resetFirst", {1}}, {"reverse", {1}}}}};

std::unique_ptr<Network> compiled(const NetworkDescription& description, NetworkOptions options = {}) {
  options.batchSize = 7;
  return std::make_unique<Network>(makeReferenceBackend(), description, options);
}

// Its rows of both weights are dead, and the biases zero.
void killUnit(State& state, int unit) {
  for (const char* layer : {"w", "x"}) {
    const std::string name = layer;
    state[name + ".bitDepth"][std::size_t(10 + unit)] = 0;
    if (state.count(name + ".bias")) state[name + ".bias"][std::size_t(10 + unit)] = 0;
  }
}

std::vector<std::int64_t> shapeOf(const Network& network, int node, Role role) {
  return network.parameters().find(node, role)->shape();
}
LayerSize sizeOf(const Network& network, const std::string& name) {
  for (const LayerSize& size : network.measure())
    if (network.description().nodes[std::size_t(size.node)].name == name) return size;
  return {};
}

}  // namespace

TEST_CASE("a unit whose candidate is zero leaves from all gates, and the function stays") {
  for (const Form& form : kForms) {
    CAPTURE(form.kind);
    auto network = compiled(form.network());
    State state = randomState(*network, 3, 4);
    killUnit(state, 1), killUnit(state, 3);
    network->loadState(state);
    const DataSet data = dataFor(form.network(), 7);
    const std::vector<float> before = predictAll(*network, data, 7);
    const float lossBefore = lossInTraining(*network, data, 7);
    network->loadState(state);
    const LayerSize measured = sizeOf(*network, "x");
    CHECK(measured.weights == form.gates() * 3 * 3);
    CHECK(measured.channels == form.gates() * 3);
    const auto removed = Network::prune(network);
    REQUIRE(removed);
    const std::int64_t rows = 3 * form.gates();
    CHECK(shapeOf(*network, 2, Role::kWeight) == std::vector<std::int64_t>{rows, 8});
    CHECK(shapeOf(*network, 3, Role::kWeight) == std::vector<std::int64_t>{rows, 3});
    CHECK(shapeOf(*network, 3, Role::kBitDepth) == std::vector<std::int64_t>{rows});
    CHECK(shapeOf(*network, 3, Role::kBias) == std::vector<std::int64_t>{rows});
    CHECK(shapeOf(*network, 4, Role::kWeight) == std::vector<std::int64_t>{6, 3});
    for (const auto& layer : removed->layers)
      if (layer.name == "x" || layer.name == "w") {
        CHECK(layer.removed == 2 * form.gates());
        CHECK(std::vector<int>(layer.kept.begin(), layer.kept.begin() + 4) == std::vector<int>{0, 2, 4, 5});
      }
    const State after = network->state();
    for (std::size_t gate = 0; gate < std::size_t(form.gates()); gate++)
      for (std::size_t u = 0; u < 3; u++) {
        const std::size_t row = gate * 5 + 2 * u;
        CHECK(after.at("x.bias")[gate * 3 + u] == state["x.bias"][row]);
        for (std::size_t k = 0; k < 3; k++)
          CHECK(after.at("x.weight")[(gate * 3 + u) * 3 + k] == state["x.weight"][row * 5 + 2 * k]);
      }
    const LayerSize left = sizeOf(*network, "x");
    CHECK(left.weights == measured.weights);
    CHECK(left.bits == measured.bits);
    CHECK(difference(predictAll(*network, data, 7), before) < 2e-5);
    CHECK(lossInTraining(*network, data, 7) == doctest::Approx(lossBefore).epsilon(2e-5));
  }
}

TEST_CASE("a unit stays while anything is left of its candidate") {
  const std::pair<const char*, float> rests[] = {
      {"w.bitDepth", 2.0f}, {"x.bitDepth", 2.0f}, {"w.bias", 0.1f}, {"x.bias", -0.1f}};
  for (const Form& form : kForms)
    for (const auto& [name, value] : rests) {
      CAPTURE(form.kind);
      CAPTURE(name);
      auto network = compiled(form.network());
      State state = randomState(*network, 3, 4);
      killUnit(state, 1), killUnit(state, 3);
      state[name][10 + 3] = value;
      network->loadState(state);
      REQUIRE(Network::prune(network));
      CHECK(shapeOf(*network, 3, Role::kWeight) == std::vector<std::int64_t>{4 * form.gates(), 4});
    }
  auto plain = compiled(recurrent("lstm", 5, {{"compress", {0}}}));
  State state = randomState(*plain, 3, 4);
  state["w.bitDepth"][11] = state["w.bias"][11] = state["x.bias"][11] = 0;
  plain->loadState(state);
  CHECK_FALSE(Network::prune(plain));
  CHECK(sizeOf(*plain, "x").bits == 4 * 5 * 5 * 32);
}

TEST_CASE("steps bring a dying unit to zero: biases of candidates decay, those of gates stay, and all its rows end") {
  NetworkOptions options;
  options.deadDecay = 0.5f;
  auto network = compiled(recurrent("lstm", 5, {}), options);
  State state = randomState(*network, 3, 4);
  killUnit(state, 2);
  state["w.bias"][12] = 0.2f, state["x.bias"][12] = -0.3f;
  state["w.bitDepth"][6] = 0;   // a gate of unit 1
  state["x.bitDepth"][13] = 0;  // half of a candidate
  network->loadState(state);
  const DataSet data = dataFor(recurrent("lstm", 5, {}), 7);
  const auto indices = firstIndices(7);
  StepSettings s = settings(1);
  s.gamma = s.bitDepthLearningRate = 0;
  CHECK_FALSE(Network::prune(network));
  for (; s.step < 40; s.step++) network->trainStep(data, indices.data(), 7, s);
  const State now = network->state();
  for (const char* bias : {"w.bias", "x.bias"}) CHECK(now.at(bias)[12] == 0);
  CHECK(now.at("w.bias")[6] == state["w.bias"][6]);
  CHECK(now.at("x.bias")[13] == state["x.bias"][13]);  // the row of its input lives
  for (const char* layer : {"w", "x"})
    for (std::size_t row = 0; row < 20; row++)
      CHECK((now.at(std::string(layer) + ".bitDepth")[row] == 0) ==
            (row % 5 == 2 || (row == 6 && *layer == 'w') || (row == 13 && *layer == 'x')));
  // The size counts the same before and after.
  s.learningRate = s.exponentLearningRate = 0;
  const double bits = network->trainStep(data, indices.data(), 7, s).bitsPerWeight;
  REQUIRE(Network::prune(network));
  CHECK(shapeOf(*network, 3, Role::kWeight) == std::vector<std::int64_t>{16, 4});
  CHECK(network->trainStep(data, indices.data(), 7, s).bitsPerWeight == doctest::Approx(bits).epsilon(1e-6));
}

TEST_CASE("the recurrent weights are quantized in forward, and their gradients come straight through") {
  for (const Form& form : kForms) {
    CAPTURE(form.kind);
    auto network = compiled(form.network());
    Form plainForm = form;
    plainForm.fields["compress"] = {0};
    auto plain = compiled(plainForm.network());
    State state = randomState(*network, 5, 3);
    for (std::size_t row : {4, 7}) state["x.bitDepth"][row] = 0;
    for (float& e : state["x.exponent"]) e -= 1;  // so that some are clipped
    State quantized = state;
    quantized["x.weight"] = quantizedWeights(network->parameters(), 3, state["x.weight"], state);
    for (const char* name : {"x.bitDepth", "x.exponent"}) quantized.erase(name);
    for (auto it = quantized.begin(); it != quantized.end();)
      it = plain->parameters().tensor(it->first).count < 0 ? quantized.erase(it) : std::next(it);
    network->loadState(state), plain->loadState(quantized);
    const DataSet data = dataFor(form.network(), 7);
    const auto indices = firstIndices(7);
    CHECK(difference(predictAll(*network, data, 7), predictAll(*plain, data, 7)) < 1e-6);
    StepSettings s = settings(1);
    s.gamma = 0;
    const State actual = network->gradients(data, indices.data(), 7, s),
                expected = plain->gradients(data, indices.data(), 7, s);
    for (const auto& [name, values] : expected)
      if (name != "x.weight") CHECK(difference(actual.at(name), values) < 1e-5);
    const auto rows = std::size_t(form.gates()) * 5;
    std::vector<float> weight(rows * 5), bits(rows), exponent(rows);
    makeReferenceBackend()->run(QuantizeBackward{int(rows), 5, state["x.weight"].data(), state["x.bitDepth"].data(),
                                                 state["x.exponent"].data(), expected.at("x.weight").data(), nullptr,
                                                 weight.data(), bits.data(), exponent.data()});
    CHECK(difference(actual.at("x.weight"), weight) < 1e-5);
    CHECK(difference(actual.at("x.bitDepth"), bits) < 1e-5);
    CHECK(difference(actual.at("x.exponent"), exponent) < 1e-5);
    CHECK(*std::max_element(bits.begin(), bits.end()) > 0);
  }
}

TEST_CASE("penalties of recurrent weights: a row costs its units, a candidate what its unit frees") {
  for (const Form& form : kForms)
    for (SizePenalty penalty : {SizePenalty::kOwn, SizePenalty::kCoupled}) {
      CAPTURE(form.kind);
      NetworkOptions options;
      options.penalty = penalty, options.originalWeights = 1000;
      auto network = compiled(form.network(), options);
      State state = randomState(*network, 3, 4);
      killUnit(state, 1);
      const std::size_t rows = std::size_t(form.gates()) * 5;
      for (std::size_t row = 1; row < rows; row += 5) state["w.bitDepth"][row] = state["x.bitDepth"][row] = 0;
      network->loadState(state);
      const DataSet data = dataFor(form.network(), 7);
      const auto indices = firstIndices(7);
      StepSettings without = settings(1), with = without;
      without.gamma = 0, with.gamma = 64;
      const State all = network->gradients(data, indices.data(), 7, with),
                  rest = network->gradients(data, indices.data(), 7, without);
      auto sum = [&](const char* name) {
        double bits = 0;
        for (float b : state[name]) bits += double(b);
        return bits;
      };
      // The columns of the recurrence and of "o".
      const double freed = penalty == SizePenalty::kOwn ? 0 : sum("x.bitDepth") + sum("o.bitDepth");
      for (const auto& [name, inputs] : {std::pair{"w.bitDepth", 8.0}, std::pair{"x.bitDepth", 4.0}})
        for (std::size_t row = 0; row < rows; row++) {
          CAPTURE(name);
          CAPTURE(row);
          const double expected = row % 5 == 1 ? 0 : inputs + (row / 5 == 2 ? freed : 0);
          CHECK(double(all.at(name)[row] - rest.at(name)[row]) == doctest::Approx(expected * 0.064).epsilon(1e-3));
        }
    }
}

TEST_CASE("recurrent layers under every penalty: backends agree over steps in which units die") {
  for (const Form& form : kForms)
    for (SizePenalty penalty : {SizePenalty::kOwn, SizePenalty::kCoupled, SizePenalty::kRate}) {
      CAPTURE(form.kind);
      CAPTURE(int(penalty));
      const DataSet data = dataFor(form.network(), 21);
      const auto indices = firstIndices(21);
      auto run = [&](std::unique_ptr<Backend> backend) {
        NetworkOptions options;
        options.batchSize = 21, options.penalty = penalty;
        Network network(std::move(backend), form.network(), options);
        State state = randomState(network, 3, 4);
        killUnit(state, 0), killUnit(state, 3);
        network.loadState(state);
        std::vector<float> all;
        for (int step = 1; step <= 4; step++) {
          const StepResult result = network.trainStep(data, indices.data(), step == 2 ? 9 : 21, settings(step));
          all.push_back(float(result.loss)), all.push_back(float(result.bitsPerWeight));
        }
        return all;
      };
      const auto expected = run(makeReferenceBackend());
      for (auto& backend : processorBackends()) CHECK(difference(run(std::move(backend)), expected) < 2e-3);
    }
}

TEST_CASE("a step that would kill every unit leaves one") {
  for (const Form& form : kForms) {
    CAPTURE(form.kind);
    NetworkOptions options;
    options.deadDecay = 0.5f;
    auto network = compiled(form.network(), options);
    network->loadState(randomState(*network, 3, 4));
    const DataSet data = dataFor(form.network(), 7);
    const auto indices = firstIndices(7);
    StepSettings s = settings(1);
    s.gamma = 1e4f, s.learningRate = s.exponentLearningRate = 0, s.bitDepthLearningRate = 10;
    network->trainStep(data, indices.data(), 7, s);
    for (s.step = 2; s.step < 50; s.step++) network->trainStep(data, indices.data(), 7, s);
    REQUIRE(Network::prune(network));
    CHECK(shapeOf(*network, 3, Role::kWeight) == std::vector<std::int64_t>{form.gates(), 1});
    CHECK(network->state().at("w.bitDepth")[2] >= 1);
  }
}

TEST_CASE("a recurrent layer goes through its file in codes, before and after units leave") {
  for (const Form& form : kForms) {
    auto network = compiled(form.network());
    State state = randomState(*network, 3, 4);
    killUnit(state, 1);
    network->loadState(state);
    const DataSet data = dataFor(form.network(), 7);
    std::size_t bytes = 0;
    for (int round = 0; round < 2; round++) {
      const std::vector<float> before = predictAll(*network, data, 7);
      const model::Bytes file = encodeModelFile(network->description(), network->parameterState(), {});
      const DecodedModel decoded = decodeModelFile(file);
      CHECK(decoded.state.at("x.bitDepth").size() == std::size_t(form.gates() * (round ? 4 : 5)));
      auto again = compiled(decoded.network);
      again->loadState(decoded.state);
      CHECK(difference(predictAll(*again, data, 7), before) < 2e-5);
      Random random(3);
      checkEngineOn(*network, {1, 5, 16}, random);
      if (!round) REQUIRE(Network::prune(network));
      else CHECK(file.size() < bytes);
      bytes = file.size();
    }
  }
}
