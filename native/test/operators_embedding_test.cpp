// Tokens, learned positions and losses at every position in whole networks: gradients, backends, removal, errors.
#include "export/model_file.h"
#include "test/engine_check.h"
#include "test/operator_cases.h"

using namespace test;

namespace {

// A parameter beside what a layer has made of numbers.
NetworkDescription withParameter(const char* positions, bool compress = true) {
  return {Axes::vector(3).withPositions({6}),
          {positionwise("in", "input", 7),
           node("parameter", "x", {"in"},
                {{"channels", {7}},
                 {"positions", {std::string(positions) == "one" ? 1.0 : 0.0}},
                 {"compress", {double(compress)}}}),
           simple("add", "a", {"in", "x"}), simple("silu", "s", {"a"}), linear("out", "s", 4)},
          "out"};
}

// A text's class, from the mean of its tokens' rows.
NetworkDescription bagOfTokens() {
  return {tokens(5),
          {embedding("x", 6, 9), simple("gelu", "g", {"x"}), node("globalAveragePool", "mean", {"g"}),
           linear("out", "mean", 4)},
          "out"};
}

NetworkDescription recurrentModel() {
  return {tokens(5),
          {embedding("x", 6, 9), positionwise("w", "x", 20), simple("lstm", "r", {"w"}), positionwise("head", "r", 9)},
          "head"};
}

// The output layer has the weights of the embedding, behind a layer of its own.
NetworkDescription tiedModel(bool compress) {
  NetworkDescription network{tokens(5),
                             {embedding("x", 6, 9), simple("gelu", "g", {"x"}), positionwise("p", "g", 6),
                              simple("silu", "s", {"p"}), node("unembedding", "head", {"s", "x"})},
                             "head"};
  if (!compress) network.nodes[0].set("compress", {0});
  return network;
}

const std::vector<OperatorCase>& cases() {
  static const std::vector<OperatorCase> all{
      {"parameter at every position", withParameter("all")},
      {"parameter, the same everywhere", withParameter("one")},
      {"plain parameter", withParameter("all", false), 0},
      {"bag of tokens", bagOfTokens()},
      {"causal transformer", languageModel(9, 6, 8, 2, 2)},
      {"lstm over tokens", recurrentModel(), 0, false},
      {"tied transformer", languageModel(9, 6, 8, 2, 2, true), 1, false},
      {"tied", tiedModel(true), 1, false},
      {"tied, plain", tiedModel(false), 0, false},
  };
  return all;
}

std::unique_ptr<Network> compiled(const NetworkDescription& network, int batch, bool perPosition = true) {
  NetworkOptions options;
  options.batchSize = batch, options.perPosition = perPosition;
  return std::make_unique<Network>(makeReferenceBackend(), network, options);
}

}  // namespace

TEST_CASE("tokens and parameters: gradients against finite differences") {
  for (const OperatorCase& c : cases()) checkGradients(c);
}

TEST_CASE("tokens and parameters: every backend against the reference") {
  for (const OperatorCase& c : cases()) checkBackends(c);
}

TEST_CASE("tokens and parameters: the engine predicts the same") {
  for (const OperatorCase& c : cases()) checkEngine(c.name, c.network);
}

TEST_CASE("the engine refuses what is no token of the network") {
  auto network = referenceNetwork(bagOfTokens());
  network->loadState(randomState(*network, 1, 4));
  const engine::Model model(encodeModelFile(network->description(), network->parameterState(), {}));
  std::vector<float> words(10, 8.0f), scores(8);
  model.predict(words.data(), 2, scores.data());
  for (float wrong : {9.0f, -1.0f, 0.5f, NAN, INFINITY}) {
    words[7] = wrong;
    CHECK_THROWS_AS(model.predict(words.data(), 2, scores.data()), std::out_of_range);
  }
}

TEST_CASE("tokens and parameters: removal changes nothing") {
  for (const OperatorCase& c : cases()) checkRemoval(c);
}

TEST_CASE("dimensions of a language model's stream, heads, head dimensions and hidden units leave") {
  const NetworkDescription description = languageModel(11, 5, 8, 2, 2);
  auto network = compiled(description, 7);
  State state = randomState(*network, 5, 5);
  auto zero = [&](const std::string& name, std::initializer_list<int> channels) {
    for (int c : channels) state.at(name)[std::size_t(c)] = 0;
  };
  // Dimension 3 of the stream: everything that adds to it is dead, and what norms make of a zero is one.
  for (const char* layer : {"embedding", "positions", "b0project", "b0back", "b1project", "b1back"}) {
    zero(std::string(layer) + ".bitDepth", {3});
    if (state.count(std::string(layer) + ".bias")) zero(std::string(layer) + ".bias", {3});
  }
  for (const char* norm : {"b0norm1", "b0norm2", "b1norm1", "b1norm2", "norm"})
    zero(std::string(norm) + ".weight", {3}), zero(std::string(norm) + ".bias", {3});
  for (const char* part : {"v.bitDepth", "v.bias"}) zero(std::string("b0") + part, {0, 1, 2, 3});  // the first head
  for (const char* part : {"q.bitDepth", "q.bias"}) zero(std::string("b1") + part, {2, 6});  // a dimension of both
  zero("b1hidden.bitDepth", {1, 9}), zero("b1hidden.bias", {1, 9});
  network->loadState(state);
  const DataSet data = randomText(5, 7, 11);
  const std::vector<float> before = predictAll(*network, data, 7);
  const float lossBefore = lossInTraining(*network, data, 7);
  network->loadState(state);
  const auto removed = Network::prune(network);
  REQUIRE(removed);
  std::map<std::string, int> counts;
  for (const auto& layer : removed->layers) counts[layer.name] = layer.removed;
  CHECK(counts["embedding"] == 1);
  CHECK(counts["positions"] == 1);
  CHECK(counts["b0project"] == 1);
  CHECK(counts["b1back"] == 1);
  CHECK(counts["b0v"] == 4);
  CHECK(counts["b0q"] == 4);
  CHECK(counts["b1q"] == 2);
  CHECK(counts["b1k"] == 2);
  CHECK(counts["b1hidden"] == 2);
  CHECK(counts["head"] == 0);
  CHECK(network->parameters().find(0, Role::kWeight)->shape() == std::vector<std::int64_t>{7, 11});
  CHECK(difference(predictAll(*network, data, 7), before) < 2e-5);
  CHECK(lossInTraining(*network, data, 7) == doctest::Approx(lossBefore).epsilon(2e-5));
}

TEST_CASE("shared weights are one tensor, and a dimension leaves from both places at once") {
  const NetworkDescription description = languageModel(11, 5, 8, 2, 1, true);
  auto network = compiled(description, 7);
  for (const Parameter& p : network->parameters().all()) CHECK(p.name.rfind("head", 0) == std::string::npos);
  State state = randomState(*network, 5, 5);
  // What the last norm makes of dimension 3 nobody reads: its scale and shift may be anything.
  for (const char* layer : {"embedding", "positions", "b0project", "b0back"}) {
    state.at(std::string(layer) + ".bitDepth")[3] = 0;
    if (state.count(std::string(layer) + ".bias")) state.at(std::string(layer) + ".bias")[3] = 0;
  }
  for (const char* norm : {"b0norm1", "b0norm2"})
    for (const char* part : {".weight", ".bias"}) state.at(std::string(norm) + part)[3] = 0;
  state.at("embedding.bitDepth")[6] = 0;  // dead in both places, and still in the stream
  network->loadState(state);
  const DataSet data = randomText(5, 7, 11);
  const std::vector<float> before = predictAll(*network, data, 7);
  const float lossBefore = lossInTraining(*network, data, 7);
  network->loadState(state);
  REQUIRE(Network::prune(network));
  CHECK(network->parameters().find(0, Role::kWeight)->shape() == std::vector<std::int64_t>{7, 11});
  CHECK(network->parameters().find(1, Role::kWeight)->shape() == std::vector<std::int64_t>{7, 5});
  CHECK(difference(predictAll(*network, data, 7), before) < 2e-5);
  CHECK(lossInTraining(*network, data, 7) == doctest::Approx(lossBefore).epsilon(2e-5));
  std::int64_t weights = 0, measured = 0;  // counted once
  for (const Parameter& p : network->parameters().all()) weights += p.role == Role::kWeight ? p.count : 0;
  for (const LayerSize& size : network->measure()) measured += size.weights;
  CHECK(measured <= weights);
  CHECK(measured > weights - 12 * 11);  // but for what the dead dimension 6 would be
}

TEST_CASE("weights that cannot be shared are refused") {
  auto fails = [](std::vector<NodeDescription> nodes, const char* text) {
    const std::string output = nodes.back().name;
    CHECK_THROWS_WITH_AS(inferShapes({tokens(5), std::move(nodes), output}, 1), doctest::Contains(text),
                         DescriptionError);
  };
  const NodeDescription table = embedding("x", 6, 9), wide = positionwise("p", "x", 7),
                        same = positionwise("p", "x", 6);
  fails({table, wide, node("unembedding", "u", {"p", "x"})}, "6 channels, as the embedding has dimensions,");
  fails({table, same, node("unembedding", "u", {"x", "p"})}, "an embedding as the second input");
  fails({table, embedding("y", 6, 9), node("unembedding", "u", {"y", "x"})}, "another reader of its values");
  fails({table, node("unembedding", "u", {"x", "x"}), positionwise("p", "u", 6), node("unembedding", "v", {"p", "x"})},
        "at most one node");
  fails({table, same, node("unembedding", "u", {"p", "x"}), positionwise("q", "u", 6),
         node("unembedding", "v", {"q", "x"})},
        "at most one node that takes its weights");
}

TEST_CASE("the size of a table counts its rows, whatever its input has") {
  for (const OperatorCase& c : {cases()[0], cases()[3]}) {
    CAPTURE(c.name);
    auto network = compiled(c.network, 4, false);
    network->loadState(randomState(*network, 3, 4));
    double weights = 0;
    for (const Parameter& p : network->parameters().all())
      if (p.role == Role::kWeight) weights += double(p.count);
    std::int64_t measured = 0;
    for (const LayerSize& size : network->measure()) measured += size.weights;
    CHECK(double(measured) == weights);
  }
}

TEST_CASE("a language model goes through its file") {
  auto network = compiled(languageModel(9, 6, 8, 2, 1), 4);
  network->loadState(randomState(*network, 3, 5));
  const DataSet data = randomText(6, 4, 9);
  const std::vector<float> before = predictAll(*network, data, 4);
  const model::Bytes bytes = encodeModelFile(network->description(), network->parameterState(), {});
  const DecodedModel decoded = decodeModelFile(bytes);
  CHECK(decoded.network.input == network->description().input);
  auto again = compiled(decoded.network, 4);
  again->loadState(decoded.state);
  CHECK(difference(predictAll(*again, data, 4), before) < 2e-5);
}

TEST_CASE("labels that do not count, weights of classes, and examples of rows") {
  const NetworkDescription description = languageModel(9, 6, 8, 2, 1);
  NetworkOptions options;
  options.batchSize = 4, options.perPosition = true, options.classWeights = {1, 2, 1, 0.5f, 1, 3, 1, 1, 0};
  Network network(makeReferenceBackend(), description, options);
  network.loadState(randomState(network, 3, 5));
  const DataSet windows = randomText(6, 4, 9);
  DataSet rows = windows;
  rows.windows = false, rows.tokens.clear();
  for (int i = 0; i < 4; i++) {
    rows.tokens.insert(rows.tokens.end(), windows.tokensOf(i), windows.tokensOf(i) + 6);
    rows.labels.insert(rows.labels.end(), windows.labelsOf(i), windows.labelsOf(i) + 6);
  }
  const auto indices = firstIndices(4);
  const EvaluationResult a = network.evaluate(windows, indices.data(), 4),
                         b = network.evaluate(rows, indices.data(), 4);
  CHECK(a.loss == b.loss);
  CHECK(b.count == 24);
  // By hand, over the positions that are left.
  rows.ignores = true;
  for (std::size_t i = 0; i < rows.labels.size(); i += 3) rows.labels[i] = kIgnoredLabel;
  const std::vector<float> logits = predictAll(network, rows, 4);
  double sum = 0, weights = 0;
  for (std::size_t n = 0; n < 4; n++)
    for (std::size_t p = 0; p < 6; p++) {
      const int label = rows.labels[n * 6 + p];
      if (label == kIgnoredLabel) continue;
      double all = 0;
      for (std::size_t k = 0; k < 9; k++) all += std::exp(double(logits[(n * 9 + k) * 6 + p]));
      const double weight = double(options.classWeights[std::size_t(label)]);
      sum += weight * (std::log(all) - double(logits[(n * 9 + std::size_t(label)) * 6 + p])), weights += weight;
    }
  const EvaluationResult c = network.evaluate(rows, indices.data(), 4);
  CHECK(c.count == 16);
  CHECK(c.loss == doctest::Approx(sum / weights).epsilon(1e-5));
  CHECK(lossInTraining(network, rows, 4) == doctest::Approx(sum / weights).epsilon(1e-5));
}

TEST_CASE("tokens: what does not fit is refused") {
  auto fails = [](NetworkDescription network, const char* text) {
    CHECK_THROWS_WITH_AS(inferShapes(network, 1), doctest::Contains(text), DescriptionError);
  };
  fails({tokens(5), {linear("out", "input", 4)}, "out"}, "but received tokens");
  fails({Axes::vector(1), {embedding("x", 4, 4)}, "x"}, "but received numbers");
  NetworkDescription wide = bagOfTokens();
  wide.input.channels = 2;
  fails(wide, "1 channel of tokens");
  auto network = compiled(languageModel(9, 6, 8, 2, 1), 4);
  const std::int32_t index[] = {0};
  auto refuses = [&](const DataSet& data, const char* text) {
    CHECK_THROWS_WITH_AS(checkBatch(network->batchRules(), data, index, 1), doctest::Contains(text), DescriptionError);
  };
  refuses(randomText(6, 4, 10), "vocabulary of at most 9");
  refuses(randomText(5, 4, 9), "6 tokens for an example");
  refuses(randomData({1, 1, 6}, 4, 4), "6 tokens for an example");
  DataSet whole = dataFor(bagOfTokens(), 4);
  whole.shape = {1, 1, 6};
  refuses(whole, "a label for each of 6 positions");
  NetworkOptions options;
  options.classWeights = {1, 2};
  CHECK_THROWS_WITH_AS(Network(makeReferenceBackend(), bagOfTokens(), options), doctest::Contains("4 classes"),
                       DescriptionError);
}

TEST_CASE("group norm: groups that lose channels count those that they had, and a group without any is gone") {
  const NetworkDescription description{Axes::image(2, 4, 3),
                                       {conv("c", "input", 6, 3, 1), node("groupNorm", "x", {"c"}, {{"groups", {3}}}),
                                        simple("gelu", "g", {"x"}), linear("out", "g", 4)},
                                       "out"};
  checkGradients({"group norm", description});
  checkBackends({"group norm", description});
  auto network = compiled(description, 7, false);
  State state = randomState(*network, 5, 5);
  for (std::size_t c : {1, 4, 5})
    for (const char* name : {"c.bitDepth", "c.bias", "x.weight", "x.bias"}) state.at(name)[c] = 0;
  network->loadState(state);
  const DataSet data = dataFor(description, 7);
  const std::vector<float> before = predictAll(*network, data, 7);
  const float lossBefore = lossInTraining(*network, data, 7);
  network->loadState(state);
  REQUIRE(Network::prune(network));
  const NodeDescription& norm = network->description().nodes[1];
  CHECK(norm.integer("groups") == 2);
  CHECK(norm.integer("divisor") == 2);
  CHECK(norm.list("sizes") == std::vector<int>{1, 2});
  CHECK(difference(predictAll(*network, data, 7), before) < 2e-5);
  CHECK(lossInTraining(*network, data, 7) == doctest::Approx(lossBefore).epsilon(2e-5));
  // What is left loses channels again.
  State smaller = network->state();
  for (const char* name : {"c.bitDepth", "c.bias", "x.weight", "x.bias"}) smaller.at(name)[0] = 0;
  network->loadState(smaller);
  const std::vector<float> again = predictAll(*network, data, 7);
  REQUIRE(Network::prune(network));
  CHECK(network->description().nodes[1].integer("groups") == 1);
  CHECK(network->description().nodes[1].integer("divisor") == 2);
  CHECK(difference(predictAll(*network, data, 7), again) < 2e-5);
  auto fails = [&](const std::map<std::string, FieldValue>& fields, const char* text) {
    NetworkDescription wrong = description;
    wrong.nodes[1] = node("groupNorm", "x", {"c"}, fields);
    CHECK_THROWS_WITH_AS(inferShapes(wrong, 1), doctest::Contains(text), DescriptionError);
  };
  fails({{"groups", {4}}}, "a divisor of the 6 channels");
  fails({{"groups", {2}}, {"sizes", {2, 3}}}, "2 sizes that make 6 channels");
  fails({{"groups", {2}}, {"sizes", {1, 5}}, {"divisor", {4}}}, "at least the 5 channels of a group");
}

TEST_CASE("a layer of which only the axes are used stays as it is") {
  NetworkDescription network = withParameter("all");
  network.nodes[2] = simple("gelu", "a", {"x"});
  auto compiledNetwork = compiled(network, 4, false);
  compiledNetwork->loadState(randomState(*compiledNetwork, 3, 5));
  const DataSet data = dataFor(network, 4);
  const auto indices = firstIndices(4);
  for (const auto& [name, values] : compiledNetwork->gradients(data, indices.data(), 4, settings(1)))
    if (name.rfind("in.", 0) == 0)
      for (float g : values) CHECK(g == 0);
}
