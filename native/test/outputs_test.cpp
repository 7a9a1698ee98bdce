// Networks with several inputs and outputs, as parts of one tensor each: losses term by term, their gradients, labels
// and targets of a batch, and what removal must leave alone.
#include "export/model_file.h"
#include "test/finite_differences.h"
#include "test/networks.h"
#include "test/operator_cases.h"

using namespace test;

namespace {

// Two inputs of different positions as a vector; outputs: classes, numbers at every position, classes at every
// position.
NetworkDescription severalNetwork() {
  NetworkDescription network{
      Axes::vector(2 * 4 * 4 + 3),
      {node("sliceChannels", "image-elements", {"input"}, {{"first", {0}}, {"count", {32}}}),
       node("reshape", "image", {"image-elements"}, {{"channels", {2}}, {"positions", {4, 4}}}),
       node("sliceChannels", "more", {"input"}, {{"first", {32}}, {"count", {3}}}), conv("c1", "image", 5, 3, 1),
       simple("silu", "s1", {"c1"}), linear("l1", "more", 4), simple("globalAveragePool", "pool", {"s1"}),
       simple("concat", "both", {"pool", "l1"}), linear("l2", "both", 6), simple("silu", "s2", {"l2"}),
       linear("kind", "s2", 4), conv("map", "s1", 2, 1), conv("mask", "s1", 3, 1),
       simple("flatten", "map-flat", {"map"}), simple("flatten", "mask-flat", {"mask"}),
       simple("concat", "outputs", {"kind", "map-flat", "mask-flat"})},
      "outputs"};
  network.inputs = {{"image", Axes::image(2, 4, 4)}, {"more", Axes::vector(3)}};
  network.outputs = {{"kind", Axes::vector(4)}, {"map", Axes::image(2, 4, 4)}, {"mask", Axes::image(3, 4, 4)}};
  return network;
}

OutputLoss lossOf(const char* output, Loss loss, float weight) {
  OutputLoss result;
  result.output = output, result.loss = loss, result.weight = weight;
  return result;
}

NetworkOptions severalOptions(int batch) {
  NetworkOptions options;
  options.batchSize = batch;
  options.outputs = {lossOf("mask", Loss::kCrossEntropy, 0.5f), lossOf("kind", Loss::kCrossEntropy, 2),
                     lossOf("map", Loss::kMeanSquaredError, 1)};
  options.outputs[0].perPosition = true;
  return options;
}

DataSet severalData(int count) {
  Random random(7);
  DataSet data;
  data.shape = {35, 1, 1}, data.count = count, data.classes = 4;
  data.floats = random.reals(count * 35);
  data.mean.assign(35, 0.0f), data.invStd.assign(35, 1.0f);
  data.labelParts = {{1, 4}, {16, 3}};
  data.labelsPerExample = 17;
  for (int i = 0; i < count; i++) {
    data.labels.push_back(random.integer(-1, 3));
    for (int p = 0; p < 16; p++) data.labels.push_back(random.integer(-1, 2));
  }
  data.ignores = true;
  data.features = 32, data.targets = random.reals(count * 32);
  return data;
}

// The same loss from predictions, in double.
struct Terms {
  double kind = 0, map = 0, mask = 0;
  int correct = 0, count = 0;
};
Terms termsOf(const std::vector<float>& predicted, const DataSet& data, int count) {
  Terms terms;
  int kinds = 0, places = 0;
  auto crossEntropy = [&](const float* logits, int classes, int stride, int label, int& counted) {
    if (label < 0) return 0.0;
    double sum = 0;
    int best = 0;
    for (int k = 0; k < classes; k++) {
      sum += std::exp(double(logits[k * stride]));
      if (logits[k * stride] > logits[best * stride]) best = k;
    }
    counted++, terms.count++, terms.correct += best == label;
    return std::log(sum) - double(logits[label * stride]);
  };
  for (int i = 0; i < count; i++) {
    const float* z = predicted.data() + std::ptrdiff_t(i) * (4 + 32 + 48);
    const std::int32_t* labels = data.labelsOf(i);
    terms.kind += crossEntropy(z, 4, 1, labels[0], kinds);
    for (int k = 0; k < 32; k++) {
      const double d = double(z[4 + k]) - double(data.targets[std::size_t(i * 32 + k)]);
      terms.map += d * d / 32 / count;
    }
    for (int p = 0; p < 16; p++) terms.mask += crossEntropy(z + 36 + p, 3, 16, labels[1 + p], places);
  }
  terms.kind /= kinds, terms.mask /= places;
  return terms;
}

}  // namespace

TEST_CASE("several outputs: the loss is the weighted sum of what each prediction says, whatever the batch") {
  const int count = 37;
  const DataSet data = severalData(count);
  const auto indices = firstIndices(count);
  for (int batch : {5, 16, 20, 37})
    for (auto& backend : testedBackends()) {
      const std::string name = backend->name();
      CAPTURE(name);
      CAPTURE(batch);
      Network network(std::move(backend), severalNetwork(), severalOptions(batch));
      network.loadState(randomState(network, 3, 4));
      const auto predicted = network.predict(data.floats.data(), count);
      const Terms all = termsOf(predicted, data, count);
      const EvaluationResult result = network.evaluate(data, indices.data(), count);
      REQUIRE(result.outputs.size() == 3);
      CHECK(result.outputs[0].loss == doctest::Approx(all.kind).epsilon(1e-4));
      CHECK(result.outputs[1].loss == doctest::Approx(all.map).epsilon(1e-4));
      CHECK(result.outputs[2].loss == doctest::Approx(all.mask).epsilon(1e-4));
      CHECK(result.loss == doctest::Approx(2 * all.kind + all.map + 0.5 * all.mask).epsilon(1e-4));
      CHECK(result.count == all.count);
      CHECK(result.correct == all.correct);
      const Terms first = termsOf(predicted, data, batch);
      const StepResult step = network.trainStep(data, indices.data(), batch, still());
      CHECK(step.loss == doctest::Approx(2 * first.kind + first.map + 0.5 * first.mask).epsilon(1e-4));
      CHECK(step.weight == batch);
      CHECK(step.count == first.count);
    }
}

TEST_CASE("several outputs: gradients are those of the sum, and agree on every backend") {
  const int count = 5;
  const DataSet data = severalData(count);
  const auto indices = firstIndices(count);
  auto gradientsOf = [&](std::unique_ptr<Backend> backend, const NetworkOptions& options) {
    Network network(std::move(backend), severalNetwork(), options);
    network.loadState(randomState(network, 3, 6));
    StepSettings s = settings(1);
    s.gamma = 0;
    return network.gradients(data, indices.data(), count, s);
  };
  const auto whole = gradientsOf(makeReferenceBackend(), severalOptions(count));
  for (auto& backend : testedBackends()) {
    const std::string name = backend->name();
    CAPTURE(name);
    for (const auto& [parameter, values] : gradientsOf(std::move(backend), severalOptions(count))) {
      CAPTURE(parameter);
      CHECK(difference(values, whole.at(parameter), 1e-3) < 1e-3);
    }
  }
  // Each output alone, added up.
  std::map<std::string, std::vector<float>> sum;
  for (int k = 0; k < 3; k++) {
    NetworkOptions options = severalOptions(count);
    for (int other = 0; other < 3; other++)
      if (other != k) options.outputs[std::size_t(other)].weight = 0;
    for (const auto& [parameter, values] : gradientsOf(makeReferenceBackend(), options)) {
      auto& total = sum[parameter];
      total.resize(values.size());
      for (std::size_t i = 0; i < values.size(); i++) total[i] += values[i];
    }
  }
  for (const auto& [parameter, values] : whole) {
    CAPTURE(parameter);
    CHECK(difference(sum.at(parameter), values, 1e-3) < 1e-4);
  }
  // And of numbers against finite differences of the loss: biases have no quantizer.
  Network network(makeReferenceBackend(), severalNetwork(), severalOptions(count));
  const State state = randomState(network, 3, 6);
  for (const char* parameter : {"c1.bias", "l1.bias", "l2.bias", "kind.bias", "map.bias", "mask.bias"})
    for (std::size_t i = 0; i < state.at(parameter).size(); i++) {
      auto lossAt = [&](float shift) {
        State moved = state;
        moved[parameter][i] += shift;
        network.loadState(moved);
        return network.trainStep(data, indices.data(), count, still()).loss;
      };
      const double slope = (lossAt(0.01f) - lossAt(-0.01f)) / 0.02;
      CAPTURE(parameter);
      CHECK(double(whole.at(parameter)[i]) == doctest::Approx(slope).epsilon(0.02).scale(0.05));
    }
}

TEST_CASE("several inputs and outputs: removal keeps their axes and the function") {
  const int count = 9;
  const DataSet data = severalData(count);
  const auto indices = firstIndices(count);
  int removed = 0;
  for (std::uint64_t seed = 1; seed <= 20; seed++) {
    auto network = std::make_unique<Network>(makeReferenceBackend(), severalNetwork(), severalOptions(count));
    State state = randomState(*network, seed, 6);
    Random random(seed);
    for (const char* layer : {"c1", "l1", "l2", "kind", "map", "mask"})
      for (std::size_t c = 0; c < state[std::string(layer) + ".bitDepth"].size(); c++)
        if (random.chance(0.4)) {
          state[std::string(layer) + ".bitDepth"][c] = 0;
          if (random.chance(0.5)) state[std::string(layer) + ".bias"][c] = 0;
        }
    network->loadState(state);
    const auto predicted = network->predict(data.floats.data(), count);
    const double loss = network->evaluate(data, indices.data(), count).loss;
    for (int round = 0; round < 4 && Network::prune(network); round++) removed++;
    CAPTURE(seed);
    CHECK(network->description().inputs == severalNetwork().inputs);
    CHECK(network->description().outputs == severalNetwork().outputs);
    CHECK(network->topology().axes[0] == severalNetwork().input);
    CHECK(difference(network->predict(data.floats.data(), count), predicted, 1e-2) < 1e-4);
    CHECK(network->evaluate(data, indices.data(), count).loss == doctest::Approx(loss).epsilon(1e-4));
    const model::Bytes file = encodeModelFile(network->description(), network->parameterState(), {});
    const DecodedModel decoded = decodeModelFile(file, {});
    CHECK(decoded.network.inputs == severalNetwork().inputs);
    CHECK(decoded.network.outputs == severalNetwork().outputs);
    CHECK(decoded.metadata.empty());
  }
  CHECK(removed > 10);
}

TEST_CASE("several inputs and outputs: what does not make up the whole, and losses of something else, are errors") {
  auto fails = [](auto change, const char* expected) {
    NetworkDescription network = severalNetwork();
    NetworkOptions options = severalOptions(4);
    change(network, options);
    CHECK_THROWS_WITH_AS(Network(makeReferenceBackend(), network, options), doctest::Contains(expected),
                         DescriptionError);
  };
  using N = NetworkDescription&;
  using O = NetworkOptions&;
  fails([](N n, O) { n.inputs[1].axes.channels = 2; }, "network.inputs");
  fails([](N n, O) { n.inputs.pop_back(); }, "network.inputs");
  fails([](N n, O) { n.inputs[0].name = "more"; }, "network.inputs[1].name");
  fails([](N n, O) { n.outputs[0].name = ""; }, "network.outputs[0].name");
  fails([](N n, O) { n.outputs[2].axes.positions[0] = 5; }, "network.outputs");
  fails([](N n, O) { n.outputs.clear(); }, "options.loss.outputs");
  fails([](N, O o) { o.outputs.pop_back(); }, "options.loss.outputs");
  fails([](N, O o) { o.outputs[0].output = "another"; }, "options.loss.outputs");
  fails([](N, O o) { o.outputs[1].classWeights = {1, 2}; }, "options.loss.outputs[\"kind\"].classWeights");
  const auto indices = firstIndices(4);
  Network network(makeReferenceBackend(), severalNetwork(), severalOptions(4));
  auto refuses = [&](auto change) {
    DataSet data = severalData(4);
    change(data);
    CHECK_THROWS_AS(checkBatch(network.batchRules(), data, indices.data(), 4), DescriptionError);
  };
  checkBatch(network.batchRules(), severalData(4), indices.data(), 4);
  refuses([](DataSet& d) { d.labelParts = {}; });
  refuses([](DataSet& d) { d.labelParts = {{16, 3}, {1, 4}}; });
  refuses([](DataSet& d) { d.labelParts = {{1, 5}, {16, 3}}; });
  refuses([](DataSet& d) { d.features = 31; });
  refuses([](DataSet& d) { d.targets.clear(); });
  refuses([](DataSet& d) { d.labels.clear(), d.labelParts.clear(); });
}
