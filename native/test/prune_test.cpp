// Removal from random networks over all operators of the table: the function stays, and what trains goes on to live.
#include <set>

#include "test/random_networks.h"

using namespace test;

TEST_CASE("random networks over all operators keep their function through removal") {
  const int batch = 8;
  const auto indices = firstIndices(batch);
  int removals = 0, all = cases(400);
  std::set<std::string> kinds;
  for (int trial = 0; trial < all; trial++) {
    Random random{firstSeed(400) + std::uint64_t(trial)};
    const NetworkDescription description = RandomNetwork(random).build(random.integer(4, 20));
    CAPTURE(trial);
    CAPTURE(textOf(description));
    NetworkOptions options;
    options.batchSize = batch;
    auto network = std::make_unique<Network>(makeReferenceBackend(), description, options);
    const DataSet data = dataFor(description, batch);
    State state = randomState(*network, std::uint64_t(trial), 6);
    kill(state, network->parameters(), random);
    network->loadState(state);
    const auto predicted = predictAll(*network, data, batch);
    const double loss = network->trainStep(data, indices.data(), batch, still()).loss;
    network->loadState(state);  // running statistics have moved
    if (!finite(predicted) || !std::isfinite(loss)) continue;
    int rounds = 0;
    while (rounds < 4 && Network::prune(network)) {
      rounds++;
      CHECK(difference(predictAll(*network, data, batch), predicted, 1e-2) < 1e-4);
      const State now = network->state();
      CHECK(network->trainStep(data, indices.data(), batch, still()).loss == doctest::Approx(loss).epsilon(1e-4));
      network->loadState(now);
    }
    CHECK(rounds < 4);
    if (!rounds) continue;
    removals++;
    for (const NodeDescription& n : description.nodes) kinds.insert(n.op->kind);
  }
  CHECK(removals > all / 3);
  for (const Operator* op : operators()) {
    CAPTURE(std::string(op->kind));
    if (all == 400) CHECK(kinds.count(op->kind));
  }
}

// Whether some channel of what the last layer reads is not a constant.
bool something(const Network& network) {
  const NetworkDescription& description = network.description();
  std::vector<bool> compresses(description.nodes.size(), false);
  for (const Parameter& p : network.parameters().all())
    if (p.role == Role::kBitDepth) compresses[std::size_t(p.node)] = true;
  const ChannelAnalysis channels(description, network.topology(), compresses);
  const auto constants =
      channelValues(description, network.topology(), channels, network.parameters(), network.parameterState())
          .constants;
  const auto& read = constants[std::size_t(network.topology().inputs.back()[0])];
  return std::any_of(read.begin(), read.end(), [](const MaybeConstant& c) { return !c; });
}

TEST_CASE("a training step that would kill everything leaves the last layer of a random network something to read") {
  const int batch = 8;
  const auto indices = firstIndices(batch);
  for (int trial = 0; trial < cases(150); trial++) {
    Random random{firstSeed(150) + std::uint64_t(trial) + 1000};
    const NetworkDescription description = RandomNetwork(random).build(random.integer(4, 14));
    CAPTURE(trial);
    CAPTURE(textOf(description));
    NetworkOptions options;
    options.batchSize = batch;
    options.deadDecay = 0.5f;
    auto network = std::make_unique<Network>(makeReferenceBackend(), description, options);
    const DataSet data = dataFor(description, batch);
    network->loadState(randomState(*network, std::uint64_t(trial), 4));
    StepSettings s = settings(1);
    s.gamma = 1e4f, s.learningRate = 0, s.exponentLearningRate = 0, s.bitDepthLearningRate = 10;
    network->trainStep(data, indices.data(), batch, s);
    s.bitDepthLearningRate = 0;
    for (int step = 2; step < 60; step++) s.step = step, network->trainStep(data, indices.data(), batch, s);
    CHECK(something(*network));
    Network::prune(network);
    CHECK(something(*network));
  }
}

TEST_CASE("a sum whose constant is no number any more is no sum, and stays") {
  NetworkDescription description{Axes::image(1, 4, 4), {conv("conv", "input", 3, 1)}, "out"};
  std::string last = "conv";
  for (int k = 0; k < 12; k++) {  // 1e30 to the power of 12 is none
    const std::string name = "affine" + std::to_string(k);
    description.nodes.push_back(makeNode("affine", name, {last}, {{"scale", {1e30}}, {"offset", {1e30}}}));
    last = name;
  }
  description.nodes.push_back(linear("out", last, 2, false));
  auto network = std::make_unique<Network>(makeReferenceBackend(), description, NetworkOptions{});
  CHECK_FALSE(Network::prune(network));
}
