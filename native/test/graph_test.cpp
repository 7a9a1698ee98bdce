// Shape inference, memory plan, and whole steps of small networks.
#include "program/memory_plan.h"
#include "test/finite_differences.h"
#include "test/networks.h"
#include "test/queued_backend.h"

using namespace test;

namespace {

std::string messageOf(const NetworkDescription& network) {
  try {
    inferShapes(network, 4);
  } catch (const DescriptionError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("memory plan: buffers that live at the same time do not overlap, others share") {
  for (int trial = 0; trial < cases(100); trial++) {
    Random random(1 + std::uint64_t(trial));
    const int buffers = trial ? 40 : 9000, calls = trial ? 30 : 20000, longest = trial ? 30 : 300;
    MemoryPlan plan;
    std::vector<std::array<int, 2>> life;
    std::vector<std::size_t> alive(std::size_t(calls) + 1);
    for (int i = 0; i < buffers; i++) {
      BufferId id = plan.add(std::size_t(random.integer(1, 1000)));
      int first = random.integer(0, calls), last = random.integer(first, std::min(calls, first + longest));
      plan.use(id, last), plan.use(id, first);
      life.push_back({first, last});
      for (int call = first; call <= last; call++) alive[std::size_t(call)] += plan.size(id);
    }
    plan.place(true);
    CHECK(plan.arenaBytes() <= plan.unsharedBytes());
    CHECK(plan.arenaBytes() <= 2 * *std::max_element(alive.begin(), alive.end()));
    bool apart = true;
    for (int a = 0; a < buffers; a++)
      for (int b = 0; b < a; b++) {
        bool together =
            life[std::size_t(a)][0] <= life[std::size_t(b)][1] && life[std::size_t(b)][0] <= life[std::size_t(a)][1];
        bool overlap = plan.offset(a) < plan.offset(b) + plan.size(b) && plan.offset(b) < plan.offset(a) + plan.size(a);
        apart = apart && !(together && overlap);
      }
    CHECK(apart);
    plan.place(false);
    CHECK(plan.arenaBytes() == plan.unsharedBytes());
  }
}

TEST_CASE("shapes: inferred, and errors that name the node") {
  auto topology = inferShapes(richNetwork(false), 4);
  CHECK(topology.shapes[12] == Shape{15, 8, 8});
  CHECK(topology.shapes.back() == Shape{4, 1, 1});
  auto broken = [](auto change) {
    NetworkDescription network = richNetwork(false);
    change(network);
    return messageOf(network);
  };
  using N = NetworkDescription;
  CHECK(broken([](N& n) { n.nodes[0].set("kernel", {11, 3}); }).find("\"c1\".kernel") != std::string::npos);
  CHECK(broken([](N& n) { n.nodes[2].inputs = {"nowhere"}; }).find("\"nowhere\"") != std::string::npos);
  CHECK(broken([](N& n) { n.nodes[2].name = "c1"; }).find("no other node") != std::string::npos);
  CHECK(broken([](N& n) { n.nodes[8].set("groups", {3}); }).find("\"depthwise\".groups") != std::string::npos);
  CHECK(broken([](N& n) { n.nodes[5].inputs = {"r1", "input"}; }).find("one shape") != std::string::npos);
  CHECK(broken([](N& n) { n.nodes[5].inputs = {"r1"}; }).find("2 names") != std::string::npos);
  CHECK(broken([](N& n) { n.output = "input"; }).find("network.output") != std::string::npos);
  CHECK(broken([](N& n) { n.nodes.push_back(simple("flatten", "loose", {"c1"})); }).find("\"loose\"") !=
        std::string::npos);
}

TEST_CASE("gradients of a rich network against finite differences") {
  NetworkDescription description = richNetwork(true);
  NetworkOptions options;
  options.batchSize = 6;
  options.labelSmoothing = 0.1f;
  Network network(makeReferenceBackend(), description, options);
  DataSet data = randomData({2, 8, 8}, 6, 4);
  auto indices = firstIndices(6);
  State state = randomState(network, 3, 20);  // 20 bits: rounding is too fine to matter, nothing is clipped
  network.loadState(state);
  StepSettings s = settings(1);
  s.gamma = 0;
  auto gradients = network.gradients(data, indices.data(), 6, s);
  // The loss itself in training mode, from a step that changes nothing.
  auto loss = [&](const State& at) {
    network.loadState(at);
    StepSettings still = s;
    still.learningRate = still.bitDepthLearningRate = still.exponentLearningRate = 0;
    return network.trainStep(data, indices.data(), 6, still).loss;
  };
  checkParameterGradients(network, state, gradients, 2e-3, 2e-4, loss);
}

TEST_CASE("steps on every backend follow the reference, for full and partial batches") {
  NetworkDescription description = richNetwork(false);
  NetworkOptions options;
  options.batchSize = 37;
  options.optimizer.maxGradientNorm = 0.5f;
  DataSet data = randomData({2, 8, 8}, 37, 4);
  auto indices = firstIndices(37);
  auto train = [&](std::unique_ptr<Backend> backend) {
    Network network(std::move(backend), description, options);
    network.loadState(randomState(network, 3, 4));
    std::vector<float> losses;
    for (int step = 1; step <= 6; step++)
      losses.push_back(float(network.trainStep(data, indices.data(), step % 2 ? 37 : 20, settings(step)).loss));
    losses.push_back(float(network.evaluate(data, indices.data(), 37).loss));
    return losses;
  };
  auto expected = train(makeReferenceBackend());
  for (std::size_t b = 0; b < testedBackends().size(); b++) {
    auto actual = sameForAllThreads([&] { return train(std::move(testedBackends()[b])); });
    for (std::size_t i = 0; i < expected.size(); i++)
      CHECK(actual[i] == doctest::Approx(expected[i]).epsilon(0.02));  // rounding of codes amplifies
  }
}

TEST_CASE("sharing buffers changes nothing but the memory") {
  for (bool coupled : {false, true}) {
    NetworkOptions options;
    options.batchSize = 20;
    options.penalty = coupled ? SizePenalty::kCoupled : SizePenalty::kOwn;
    DataSet data = randomData({2, 8, 8}, 20, 4);
    auto indices = firstIndices(20);
    std::vector<State> states;
    std::vector<MemoryReport> memory;
    for (bool share : {true, false}) {
      options.shareMemory = share;
      Network network(chosenBackend(), richNetwork(false), options);
      network.loadState(randomState(network, 3, 3));
      for (int step = 1; step <= 4; step++) network.trainStep(data, indices.data(), step == 2 ? 9 : 20, settings(step));
      states.push_back(network.state());
      memory.push_back(network.memory());
    }
    CHECK(states[0] == states[1]);
    CHECK(memory[0].activationBytes < memory[1].activationBytes);
  }
}

TEST_CASE("activations that are part of a batch norm give the numbers of those that are not") {
  NetworkOptions options;
  options.batchSize = 20;
  DataSet data = randomData({2, 8, 8}, 20, 4);
  auto indices = firstIndices(20);
  auto backend = chosenBackend();
  const bool bits = backend->readsHostMemory();  // else a product and a sum may be one operation or two
  std::vector<State> states;
  std::vector<std::size_t> bytes;
  for (bool fuse : {true, false}) {
    options.fuseActivations = fuse;
    Network network(chosenBackend(), activatedNetwork(), options);
    State state = randomState(network, 3, 4);
    state["c1.bitDepth"][1] = state["c2.bitDepth"][2] = state["c4.bitDepth"][0] = 0;
    state["n4.bias"][0] = -0.3f;
    network.loadState(state);
    for (int step = 1; step <= 3; step++) network.trainStep(data, indices.data(), step == 2 ? 9 : 20, settings(step));
    states.push_back(network.state());
    states.back()["loss"] = {float(network.evaluate(data, indices.data(), 20).loss)};
    bytes.push_back(network.memory().activationBytesUnshared);
  }
  for (const auto& [name, values] : states[0]) {
    CAPTURE(name);
    CHECK(difference(values, states[1][name]) <= (bits ? 0 : 1e-3));
  }
  CHECK(bytes[0] < bytes[1]);
}

TEST_CASE("convolutions that quantize their weights need no copy of them, and give the same numbers") {
  NetworkOptions options;
  options.batchSize = 20;
  DataSet data = randomData({2, 8, 8}, 20, 4);
  auto indices = firstIndices(20);
  std::vector<State> states;
  std::vector<std::size_t> bytes;
  for (bool within : {true, false}) {
    auto backend = within ? makeReferenceBackend() : std::make_unique<QueuedBackend>(QueuedBackend::Copies::kLate);
    CHECK(backend->quantizesInConvolution() == within);
    Network network(std::move(backend), richNetwork(false), options);
    State state = randomState(network, 3, 4);
    state["c2.bitDepth"][1] = 0;
    network.loadState(state);
    for (int step = 1; step <= 3; step++) network.trainStep(data, indices.data(), step == 2 ? 9 : 20, settings(step));
    states.push_back(network.state());
    bytes.push_back(network.memory().activationBytesUnshared);
  }
  CHECK(states[0] == states[1]);
  CHECK(bytes[0] < bytes[1]);
}

TEST_CASE("dead channels: left alone by the optimizer, skipped everywhere, same result as without them") {
  NetworkDescription description = richNetwork(false);
  NetworkOptions options;
  options.batchSize = 20;
  DataSet data = randomData({2, 8, 8}, 20, 4);
  auto indices = firstIndices(20);
  auto trainedWith = [&](std::unique_ptr<Backend> backend, float bias) {
    Network network(std::move(backend), description, options);
    State state = randomState(network, 3, 4);
    state["c2.bitDepth"][1] = state["c3.bias"][0] = 0;
    state["c2.bias"][1] = state["norm.bias"][1] = bias;
    state["c1.bitDepth"][3] = state["c1.bias"][3] = 0;
    state["depthwise.bitDepth"][2] = 0, state["depthwise.bias"][2] = bias;
    network.loadState(state);
    for (int step = 1; step <= 3; step++) network.trainStep(data, indices.data(), 20, settings(step));
    State after = network.state();
    for (int i = 0; i < 45; i++)
      CHECK(after["c2.weight"][std::size_t(45 + i)] == state["c2.weight"][std::size_t(45 + i)]);
    CHECK(after["c2.bitDepth"][1] == 0);
    CHECK(std::fabs(after["c2.bias"][1]) <= std::fabs(bias));
    std::vector<float> result{float(network.evaluate(data, indices.data(), 20).loss)};
    for (auto& [name, values] : after)
      if (name.find('/') == std::string::npos && name.find("bitDepth") == std::string::npos &&
          name.find("exponent") == std::string::npos)
        result.insert(result.end(), values.begin(), values.end());
    return result;
  };
  for (float bias : {0.0f, 0.2f}) {
    auto expected = trainedWith(makeReferenceBackend(), bias);
    for (auto& backend : testedBackends()) {
      auto name = backend->name();
      CAPTURE(name);
      CHECK(difference(trainedWith(std::move(backend), bias), expected) < 0.03);
    }
  }
}

// A dead channel's plane holds whatever its memory held before: a linear layer behind an image must not read it.
TEST_CASE("a linear layer reads an image with dead channels as if it were flattened first") {
  NetworkOptions options;
  options.batchSize = 20;
  DataSet data = randomData({2, 8, 8}, 20, 4);
  auto indices = firstIndices(20);
  auto trained = [&](std::unique_ptr<Backend> backend, bool flattened) {
    NodeDescription image = conv("c2", "r1", 4, 3, 1);
    image.set("bias", {0});
    NetworkDescription description{
        Axes::image(2, 8, 8), {conv("c1", "input", 24, 3, 1), simple("relu", "r1", {"c1"}), image}, "out"};
    if (flattened) description.nodes.push_back(simple("flatten", "flat", {"c2"}));
    description.nodes.push_back(linear("out", flattened ? "flat" : "c2", 4));
    Network network(std::move(backend), description, options);
    State state = randomState(network, 3, 4);
    state["c2.bitDepth"][1] = 0;
    network.loadState(state);
    for (int step = 1; step <= 3; step++) network.trainStep(data, indices.data(), 20, settings(step));
    return network.state();
  };
  auto name = chosenBackend()->name();
  CAPTURE(name);
  CHECK(trained(chosenBackend(), false) == trained(chosenBackend(), true));
  CHECK(trained(makeReferenceBackend(), false) == trained(makeReferenceBackend(), true));
}

TEST_CASE("evaluation with dead channels equals a direct computation, and predict agrees with evaluate") {
  NetworkOptions options;
  options.batchSize = 7;
  Network network(chosenBackend(), richNetwork(false), options),
      truth(makeReferenceBackend(), richNetwork(false), options);
  State state = randomState(network, 8, 4);
  state["c2.bitDepth"] = {0, 0, 3, 0, 4};
  state["c2.bias"] = {0, 0.5f, 0.1f, 0, 0};
  state["norm.bias"][0] = state["norm.runningMean"][0] = 0;
  network.loadState(state), truth.loadState(state);
  DataSet data = randomData({2, 8, 8}, 16, 4);
  auto indices = firstIndices(16);
  auto a = network.evaluate(data, indices.data(), 16), b = truth.evaluate(data, indices.data(), 16);
  CHECK(a.loss == doctest::Approx(b.loss).epsilon(1e-4));
  CHECK(a.correct == b.correct);
  std::vector<float> images;
  for (float x : data.floats) images.push_back((x - 0.1f) * 1.5f);
  CHECK(difference(network.predict(images.data(), 16), truth.predict(images.data(), 16)) < 1e-4);
}

TEST_CASE("loading a state is all or nothing") {
  NetworkOptions options;
  Network network(chosenBackend(), richNetwork(false), options);
  State before = network.state();
  CHECK_THROWS_AS(network.loadState({{"c1.bias", {1, 1, 1, 1, 1}}, {"c1.nothing", {1}}}), DescriptionError);
  CHECK_THROWS_AS(network.loadState({{"c1.bias", {1, 1, 1, 1, 1}}, {"c2.bias", {1}}}), DescriptionError);
  CHECK(network.state() == before);
}

TEST_CASE("mean squared error and dropout train") {
  NetworkDescription description{
      Axes::image(1, 1, 6),
      {linear("hidden", "input", 32, false), makeNode("dropout", "drop", {"hidden"}, {{"probability", {0.2}}}),
       simple("gelu", "gelu", {"drop"}), linear("out", "gelu", 2, false)},
      "out"};
  NetworkOptions options;
  options.loss = Loss::kMeanSquaredError, options.batchSize = 64;
  DataSet data = randomData({1, 1, 6}, 64, 2);
  data.labels.clear();
  for (int i = 0; i < 64; i++)
    for (int k = 0; k < 2; k++)
      data.targets.push_back(data.floats[std::size_t(i * 6 + k)] * data.floats[std::size_t(i * 6 + 2)]);
  data.features = 2;
  Network network(chosenBackend(), description, options);
  network.loadState(randomState(network, 5, 4));
  auto indices = firstIndices(64);
  checkBatch(network.batchRules(), data, indices.data(), 64);
  double first = network.evaluate(data, indices.data(), 64).loss;
  for (int step = 1; step <= 300; step++) network.trainStep(data, indices.data(), 64, settings(step));
  CHECK(network.evaluate(data, indices.data(), 64).loss < first / 4);
}
