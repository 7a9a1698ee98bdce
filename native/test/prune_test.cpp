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

namespace {

// A random network of this description without what can go, after `change` of its state. Its function has stayed.
std::unique_ptr<Network> pruned(const NetworkDescription& description, void (*change)(State&)) {
  const int batch = 8;
  NetworkOptions options;
  options.batchSize = batch;
  auto network = std::make_unique<Network>(makeReferenceBackend(), description, options);
  State state = randomState(*network, 3, 6);
  change(state);
  network->loadState(state);
  const DataSet data = dataFor(description, batch);
  const auto predicted = predictAll(*network, data, batch);
  const float loss = lossInTraining(*network, data, batch);
  network->loadState(state);
  Network::prune(network);
  CHECK(difference(predictAll(*network, data, batch), predicted, 1e-2) < 1e-4);
  CHECK(lossInTraining(*network, data, batch) == doctest::Approx(loss).epsilon(1e-4));
  return network;
}
int channelsOf(const Network& network, const std::string& name) {
  for (std::size_t i = 0; i < network.description().nodes.size(); i++)
    if (network.description().nodes[i].name == name) return network.topology().axes[i + 1].channels;
  return -1;
}
NodeDescription average(std::string input) { return simple("globalAveragePool", "average", {std::move(input)}); }

}  // namespace

TEST_CASE("a kernel that reaches into padding takes a constant over where all positions read it by the same weights") {
  auto left = [](int height, int width, NodeDescription second, void (*change)(State&), const char* of) {
    const NetworkDescription description{
        Axes::image(2, height, width),
        {conv("first", "input", 3, 1), std::move(second), average("second"), linear("out", "average", 4, false)},
        "out"};
    return channelsOf(*pruned(description, change), of);
  };
  auto kernel = [](const char* kind, std::array<double, 2> size, std::array<double, 2> padding) {
    return node(kind, "second", {"first"},
                {{"outChannels", {3}}, {"kernel", {size[0], size[1]}}, {"padding", {padding[0], padding[1]}}});
  };
  auto one = [](State& s) { s["first.bitDepth"][1] = 0; };  // its bias is what it is then
  auto all = [](State& s) { s["first.bitDepth"].assign(3, 0); };
  for (const char* kind : {"conv2d", "convTranspose2d"}) {
    CAPTURE(std::string(kind));
    CHECK(left(1, 1, kernel(kind, {3, 3}, {1, 1}), one, "first") == 2);
    CHECK(left(1, 1, kernel(kind, {3, 3}, {1, 1}), all, "second") == 1);
    CHECK(left(2, 1, kernel(kind, {3, 3}, {1, 1}), one, "first") == 3);
    CHECK(left(2, 1, kernel(kind, {3, 3}, {1, 1}), all, "second") == 3);
  }
  CHECK(left(1, 5, kernel("conv2d", {3, 2}, {1, 0}), one, "first") == 2);
  CHECK(left(1, 1, conv("second", "first", 3, 3, 1, true, 3), all, "second") == 1);
}

TEST_CASE("a zero among channels whose mean is zero comes out of a norm as its shift, and leaves") {
  auto left = [](std::vector<NodeDescription> nodes) {
    nodes.insert(nodes.begin(), conv("first", "input", 4, 3));
    nodes.push_back(average("norm")), nodes.push_back(linear("out", "average", 4, false));
    const NetworkDescription description{Axes::image(2, 5, 5), std::move(nodes), "out"};
    return channelsOf(*pruned(description, [](State& s) { s["first.bitDepth"][2] = s["first.bias"][2] = 0; }), "first");
  };
  auto scaled = [](double scale, double offset) {
    return node("affine", "scaled", {"instances"}, {{"scale", {scale}}, {"offset", {offset}}});
  };
  const NodeDescription instances = simple("instanceNorm", "instances", {"first"}),
                        groups = node("groupNorm", "norm", {"scaled"}, {{"groups", {2}}});
  CHECK(left({instances, scaled(2, 0), groups}) == 3);
  CHECK(left({instances, scaled(2, 0.5), groups}) == 4);
  const NodeDescription pairs = simple("concat", "pairs", {"first", "scaled"}),
                        norm = simple("layerNorm", "norm", {"pairs"});
  auto negative = [](double scale) { return node("affine", "scaled", {"first"}, {{"scale", {scale}}}); };
  CHECK(left({negative(-1), pairs, norm}) == 3);
  CHECK(left({negative(-2), pairs, norm}) == 4);
}

TEST_CASE("channels that a shuffle leaves in their places cancel against themselves") {
  auto left = [](const char* kind) {
    const NetworkDescription description{
        Axes::image(2, 4, 4),
        {conv("first", "input", 4, 3), node("channelShuffle", "shuffled", {"first"}, {{"groups", {2}}}),
         simple(kind, "both", {"first", "shuffled"}), average("both"), linear("out", "average", 4, false)},
        "out"};
    return channelsOf(*pruned(description, [](State&) {}), "first");
  };
  CHECK(left("subtract") == 2);
  CHECK(left("add") == 4);
}

TEST_CASE("queries that are the same at every position find the same everywhere, which compares nothing as keys") {
  auto left = [](double causal) {
    std::vector<NodeDescription> nodes;
    for (const char* part : {"q1", "k1", "v1"}) nodes.push_back(positionwise(part, "input", 4));
    nodes.push_back(node("attention", "a1", {"q1", "k1", "v1"}, {{"heads", {1}}, {"causal", {causal}}}));
    nodes.push_back(positionwise("q2", "input", 4));
    nodes.push_back(positionwise("k2", "a1", 4));
    nodes.push_back(positionwise("v2", "input", 4));
    nodes.push_back(node("attention", "a2", {"q2", "k2", "v2"}, {{"heads", {2}}}));
    nodes.push_back(average("a2")), nodes.push_back(linear("out", "average", 4, false));
    return channelsOf(
        *pruned({Axes::vector(3).withPositions({6}), nodes, "out"}, [](State& s) { s["q1.bitDepth"].assign(4, 0); }),
        "k2");
  };
  CHECK(left(0) == 1);
  CHECK(left(1) == 4);
}

TEST_CASE("what a group keeps of dead channels is what another tensor needs of them") {
  auto left = [](std::vector<double> index) {
    const NetworkDescription description{
        Axes::image(2, 4, 4),
        {conv("first", "input", 6, 1), conv("grouped", "first", 4, 1, 0, true, 2),
         node("softmax", "shares", {"grouped"}, {{"axis", {0}}}),
         node("gatherChannels", "gathered", {"first"}, {{"index", index}}),
         simple("concat", "both", {"shares", "gathered"}), average("both"), linear("out", "average", 4, false)},
        "out"};
    return channelsOf(
        *pruned(description, [](State& s) { s["first.bitDepth"].assign(6, 0), s["first.bias"].assign(6, 0); }),
        "first");
  };
  CHECK(left({0}) == 2);
  CHECK(left({1, 4}) == 2);
  CHECK(left({4, 0, 1}) == 2);
}
