// What every operator of the table has to pass, in a small network around it.
#pragma once

#include "test/finite_differences.h"
#include "test/networks.h"

namespace test {

struct OperatorCase {
  std::string name;
  NetworkDescription network;
  int leastRemoved = 1;    // channels, at least, in one of the trials of `checkRemoval`
  bool everywhere = true;  // false: the CUDA backend does not have it
  bool smooth = true;      // false: has kinks, so that finite differences mean nothing
};

inline bool predictsPositions(const NetworkDescription& network) {
  const Topology topology = inferShapes(network, 1);
  return topology.axes[std::size_t(topology.output)].rank > 0;
}

// Predictions with positions are compared with a label for each of them.
inline NetworkOptions optionsFor(const OperatorCase& c, int batch) {
  NetworkOptions options;
  options.batchSize = batch;
  options.perPosition = predictsPositions(c.network);
  return options;
}

inline NodeDescription node(std::string_view kind, std::string name, std::vector<std::string> inputs,
                            const std::map<std::string, FieldValue>& fields = {}) {
  return makeNode(kind, std::move(name), std::move(inputs), fields);
}

inline DataSet dataFor(const NetworkDescription& network, int count) {
  if (network.input.type == ValueType::kToken) {
    int classes = 4;  // tokens are classes as well, where the next one is predicted
    for (const NodeDescription& n : network.nodes)
      if (n.op->reads == Operator::Reads::kTokens) classes = n.integer("vocabulary");
    DataSet data = randomText(int(network.input.positionCount()), count, classes);
    if (predictsPositions(network)) return data;
    DataSet rows = randomData(network.input.folded(), count, 4);  // a label for each example
    rows.floats.clear(), rows.vocabulary = classes;
    for (int i = 0; i < count; i++)
      rows.tokens.insert(rows.tokens.end(), data.tokensOf(i), data.tokensOf(i) + data.shape.width);
    return rows;
  }
  return randomData(network.input.folded(), count, 4);
}

inline float lossInTraining(Network& network, const DataSet& data, int count) {
  const auto indices = firstIndices(count);
  return float(network.trainStep(data, indices.data(), count, still()).loss);
}

// Gradients of all trained parameters against finite differences, on the reference.
inline void checkGradients(const OperatorCase& c, int batch = 5) {
  CAPTURE(c.name);
  NetworkOptions options = optionsFor(c, batch);
  options.labelSmoothing = 0.1f;
  Network network(makeReferenceBackend(), c.network, options);
  const DataSet data = dataFor(c.network, batch);
  const auto indices = firstIndices(batch);
  const State state = randomState(network, 3, 20);  // 20 bits: rounding is too fine to matter, nothing is clipped
  network.loadState(state);
  StepSettings s = settings(1);
  s.gamma = 0;
  const State gradients = network.gradients(data, indices.data(), batch, s);
  auto loss = [&](const State& at) {
    network.loadState(at);
    return double(lossInTraining(network, data, batch));
  };
  checkParameterGradients(network, state, gradients, 3e-3, 2e-4, loss);
}

// A state in which channels have died: some leave a constant, most leave zeros.
inline State withDeadChannels(const Network& network, std::uint64_t seed, double share, double constants = 0.25) {
  State state = randomState(network, seed, 4);
  Random random(seed + 1);
  for (const Parameter& p : network.parameters().all())
    if (p.role == Role::kBitDepth)
      for (float& b : state[p.name])
        if (random.chance(share)) b = 0;
  for (const Parameter& p : network.parameters().all()) {
    if (p.role != Role::kBias && p.role != Role::kNormBias && p.role != Role::kRunningMean) continue;
    const Parameter* bits = network.parameters().find(p.node, Role::kBitDepth);
    for (std::int64_t i = 0; i < p.count; i++) {
      const bool dead = !bits || state[bits->name][std::size_t(i % bits->count)] <= 0;
      if (dead && !random.chance(constants)) state[p.name][std::size_t(i)] = 0;
    }
  }
  return state;
}

// Evaluation and steps with dead channels on every backend against the reference.
inline void checkBackends(const OperatorCase& c, int batch = 21) {
  CAPTURE(c.name);
  const NetworkOptions options = optionsFor(c, batch);
  const DataSet data = dataFor(c.network, batch);
  const auto indices = firstIndices(batch);
  auto results = [&](std::unique_ptr<Backend> backend, double share) {
    Network network(std::move(backend), c.network, options);
    network.loadState(withDeadChannels(network, 11, share));
    std::vector<float> all = predictAll(network, data, batch);
    StepSettings s = settings(1);
    for (auto& [name, values] : network.gradients(data, indices.data(), batch, s))
      all.insert(all.end(), values.begin(), values.end());
    for (int step = 1; step <= 3; step++)
      all.push_back(float(network.trainStep(data, indices.data(), step == 2 ? 9 : batch, settings(step)).loss));
    return all;
  };
  auto backends = c.everywhere ? testedBackends() : processorBackends();
  for (double share : {0.0, 0.4}) {
    CAPTURE(share);
    const auto expected = results(makeReferenceBackend(), share);
    for (auto& backend : backends) {
      const auto name = backend->name();
      CAPTURE(name);
      CHECK(difference(results(std::move(backend), share), expected) < 2e-3);
    }
    backends = c.everywhere ? testedBackends() : processorBackends();
  }
}

// Random deaths, and the same function after removal: predictions, and the loss in training mode.
inline void checkRemoval(const OperatorCase& c, int trials = 6) {
  CAPTURE(c.name);
  const NetworkOptions options = optionsFor(c, 7);
  const DataSet data = dataFor(c.network, 7);
  int most = 0;
  for (int trial = 0; trial < trials; trial++) {
    CAPTURE(trial);
    auto network = std::make_unique<Network>(makeReferenceBackend(), c.network, options);
    const State state =
        withDeadChannels(*network, 40 + std::uint64_t(trial), trial % 2 ? 0.6 : 0.35, trial % 3 == 2 ? 0.0 : 0.25);
    network->loadState(state);
    const auto before = predictAll(*network, data, 7);
    const float lossBefore = lossInTraining(*network, data, 7);
    network->loadState(state);  // the step has moved running statistics and decayed constants
    const auto removed = Network::prune(network);
    if (!removed) continue;
    int channels = 0;
    for (const auto& layer : removed->layers) channels += layer.removed;
    most = std::max(most, channels);
    CHECK(difference(predictAll(*network, data, 7), before) < 2e-5);
    CHECK(lossInTraining(*network, data, 7) == doctest::Approx(lossBefore).epsilon(2e-5));
  }
  CHECK(most >= c.leastRemoved);
}

}  // namespace test
