// The engine against the training network's evaluation, on files made from random networks.
#include "engine/model.h"

#include "engine/operator.h"
#include "engine/plan.h"
#include "model/error.h"
#include "test/engine_check.h"
#include "test/random_networks.h"

using namespace test;

namespace {

NodeDescription window(std::string_view kind, std::string name, std::string input, FieldValue kernel, FieldValue stride,
                       FieldValue padding, bool include = true) {
  return makeNode(
      kind, std::move(name), {std::move(input)},
      {{"kernel", kernel}, {"stride", stride}, {"padding", padding}, {"countIncludePad", {double(include)}}});
}

NodeDescription convolution(Random& random, const std::string& name, const std::string& input, int in, int& out,
                            int groups) {
  const FieldValue kernel{double(random.integer(1, 3)), double(random.integer(1, 3))};
  return makeNode("conv2d", name, {input},
                  {{"outChannels", {double(out)}},
                   {"kernel", kernel},
                   {"padding", {double(random.integer(0, 2)), double(random.integer(0, 2))}},
                   {"stride", {double(random.integer(1, 2)), double(random.integer(1, 2))}},
                   {"dilation", {double(random.integer(1, 2)), double(random.integer(1, 2))}},
                   {"groups", {double(groups)}},
                   {"bias", {double(random.integer(0, 1))}},
                   {"compress", {double(random.integer(0, 3) > 0)}}});
  (void)in;
}

// A chain of convolutions of every kind with everything behind them that may be fused.
NetworkDescription randomNetwork(Random& random) {
  int channels = random.integer(1, 5);
  NetworkDescription n{Axes::image(channels, random.integer(9, 17), random.integer(9, 17)), {}, "out"};
  std::string last = "input";
  const int layers = random.integer(1, 3);
  for (int i = 0; i < layers; i++) {
    const std::string id = std::to_string(i);
    int out = random.integer(1, 70), groups = 1;
    switch (random.integer(0, 3)) {
      case 0:
        groups = channels, out = channels;  // depthwise
        break;
      case 1:
        groups = channels % 2 == 0 ? 2 : 1, out = 2 * random.integer(1, 20);
        break;
      default:
        break;
    }
    n.nodes.push_back(convolution(random, "c" + id, last, channels, out, groups));
    last = "c" + id, channels = out;
    for (int k = random.integer(0, 3); k > 0; k--) {
      const char* kinds[] = {"batchNorm", "relu", "relu", "dropout", "batchNorm", "silu", "gelu"};
      const std::string name = "n" + id + "x" + std::to_string(k);
      const std::string kind = kinds[random.integer(0, 6)];
      n.nodes.push_back(kind == "dropout" ? makeNode(kind, name, {last}, {{"probability", {0.5}}})
                                          : simple(kind, name, {last}));
      last = name;
    }
    const bool isMax = random.integer(0, 1);
    const char* pooling = isMax ? "maxPool" : "averagePool";
    if (i == 0 && random.integer(0, 1)) {
      n.nodes.push_back(window(pooling, "p", last, {2, 2}, {2, 1}, {1, 1}, random.integer(0, 1))), last = "p";
    }
    if (random.integer(0, 2) == 0) {
      n.nodes.push_back(simple("relu", "ra" + id, {last}));
      n.nodes.push_back(simple("add", "a" + id, {last, "ra" + id}));
      n.nodes.push_back(simple("relu", "rb" + id, {"a" + id}));
      n.nodes.push_back(simple("concat", "k" + id, {"rb" + id, last, "a" + id}));
      last = "k" + id, channels *= 3;
    }
  }
  if (random.integer(0, 2) == 0) n.nodes.push_back(simple("globalAveragePool", "g", {last})), last = "g";
  if (random.integer(0, 2)) n.nodes.push_back(simple("flatten", "f", {last})), last = "f";
  n.nodes.push_back(linear("out", last, random.integer(1, 40), random.integer(0, 1)));
  return n;
}

void compare(const NetworkDescription& description, Random& random) {
  auto network = referenceNetwork(description);
  network->loadState(stateWithDead(*network, random));
  checkEngineOn(*network, {1, 3, 16, 37}, random);
}

}  // namespace

TEST_CASE("the engine predicts what the training network predicts: a rich network") {
  Random random(1);
  compare(richNetwork(false), random);
  compare(richNetwork(true), random);
}

TEST_CASE("the engine predicts what the training network predicts: random networks") {
  Random random(2);
  int tried = 0;
  for (int trial = 0; tried < cases(25); trial++) {
    const NetworkDescription description = randomNetwork(random);
    if (!isNetwork(description)) continue;
    tried++;
    CAPTURE(trial);
    compare(description, random);
  }
}

TEST_CASE("the engine predicts what the training network predicts: convolutions that are taken by tiles") {
  Random random(3);
  for (int trial = 0; trial < cases(30); trial++) {
    const bool fewTiles = trial % 3 == 0;  // threads share their points
    const int least = fewTiles ? 24 : 1, most = fewTiles ? 9 : 19, size = random.integer(0, 1) ? 3 : 5;
    const int in = random.integer(least, 40), padding = fewTiles ? size / 2 : random.integer(0, size + 1);
    const Axes input = Axes::image(in, random.integer(size, most), random.integer(size, most));
    NetworkDescription n{input, {conv("a", "input", random.integer(least, 40), size, padding)}, "a"};
    for (const char* kind : {"relu", "batchNorm", "relu"})
      if (random.integer(0, 1)) {
        const std::string name = "n" + std::to_string(n.nodes.size());
        n.nodes.push_back(simple(kind, name, {n.output})), n.output = name;
      }
    CAPTURE(trial);
    compare(n, random);
  }
}

namespace {

// x = input or a layer of it; y = a layer of x; y + another value of the same axes, with what may come behind.
NetworkDescription networkWithSum(Random& random) {
  const int channels = random.integer(1, 40);
  const bool vector = random.chance(0.2);
  NetworkDescription n{
      vector ? Axes::vector(channels) : Axes::image(channels, random.integer(3, 14), random.integer(3, 14)), {}, "sum"};
  auto layer = [&](const std::string& name, const std::string& input) {
    if (vector) return linear(name, input, channels, random.chance(0.5));
    const int reach = random.integer(0, 2), groups = random.chance(0.25) ? channels : 1;
    return conv(name, input, channels, 2 * reach + 1, reach, true, groups);
  };
  std::string x = "input";
  if (random.chance(0.5)) n.nodes.push_back(layer("x", x)), x = "x";
  const int others = random.integer(0, 3);  // x itself, a layer before or behind, its ReLU
  if (others == 1) n.nodes.push_back(layer("other", x));
  n.nodes.push_back(layer("y", x));
  if (others == 2) n.nodes.push_back(layer("other", x));
  if (others == 3) n.nodes.push_back(simple("relu", "other", {x}));
  std::string y = "y";
  for (const char* kind : {"batchNorm", "dropout", "relu"})
    if (random.chance(0.3)) {
      n.nodes.push_back(std::string_view(kind) == "dropout" ? makeNode(kind, y + "1", {y}, {{"probability", {0.5}}})
                                                            : simple(kind, y + "1", {y}));
      y = n.nodes.back().name;
    }
  const std::string other = others ? "other" : x;
  n.nodes.push_back(simple("add", "sum", random.chance(0.5) ? std::vector{y, other} : std::vector{other, y}));
  for (const char* kind : {"relu", "batchNorm", "relu"})
    if (random.chance(0.4)) n.nodes.push_back(simple(kind, n.output + "1", {n.output})), n.output += "1";
  if (random.chance(0.3))  // the value that is added is read again
    n.nodes.push_back(simple("concat", "both", {n.output, other})), n.output = "both";
  return n;
}

}  // namespace

TEST_CASE("the engine predicts what the training network predicts: sums that a layer takes as it stores its results") {
  Random random(5);
  int taken = 0;
  for (int trial = 0; trial < cases(60); trial++) {
    CAPTURE(trial);
    const NetworkDescription n = networkWithSum(random);
    CAPTURE(textOf(n));
    compare(n, random);
    auto network = referenceNetwork(n);
    const model::Bytes file = encodeModelFile(network->description(), network->parameterState(), {});
    const engine::Plan plan = engine::makePlan(model::ModelReader(file, {}), *engine::supportedKernels()[0], true);
    int layers = 0, steps = int(plan.steps.size());
    for (const NodeDescription& node : n.nodes) layers += node.op->isWeightLayer || node.name == "both";
    taken += steps == layers;
  }
  CHECK(taken > cases(60) / 4);
}

TEST_CASE("one image takes wide convolutions by tiles, where weights stay unpacked, and narrow ones directly") {
  for (const int channels : {2, 32}) {
    auto network = referenceNetwork({Axes::image(channels, 16, 16), {conv("a", "input", channels, 3, 1)}, "a"});
    network->loadState(randomState(*network, 1, 4.0f));
    const model::Bytes file = encodeModelFile(network->description(), network->parameterState(), {});
    for (const engine::Kernels* kernels : engine::supportedKernels())
      for (const bool keep : {true, false}) {
        CAPTURE(kernels->isa);
        CAPTURE(channels);
        CAPTURE(keep);
        engine::Options options;
        options.keepPanels = keep;
        const engine::Model model(file, options, *kernels);
        std::vector<float> image(std::size_t(model.input().elements())), scores(std::size_t(model.output().elements()));
        model.predict(image.data(), 1, scores.data());
        const int padded = (channels + kernels->width - 1) / kernels->width * kernels->width;
        const std::size_t ofPoints = std::size_t(36 * channels * padded) * sizeof(float);
        CHECK((model.memory().panelBytes >= ofPoints) == (keep && channels == 32));
      }
  }
}

TEST_CASE(
    "the engine predicts what the training network predicts: sums of many terms, of which some are unpacked at a "
    "time") {
  Random random(4);
  for (int trial = 0; trial < cases(20); trial++) {
    const int width = random.integer(1, 3), height = random.integer(1, 3), in = random.integer(1, 200);
    NetworkDescription vectors{Axes::image(in, height, width),
                               {linear("a", "input", random.integer(1, 150)), linear("b", "a", random.integer(1, 80))},
                               "b"};
    // More places than terms of a block; groups.
    const int size = random.integer(11, 14), groups = random.integer(1, 3);
    NetworkDescription images{Axes::image(groups * random.integer(1, 2), size + random.integer(0, 3), size),
                              {conv("a", "input", groups * random.integer(1, 20), size, 1, true, groups),
                               conv("b", "a", random.integer(1, 30), 1), simple("relu", "c", {"b"})},
                              "c"};
    CAPTURE(trial);
    compare(vectors, random);
    compare(images, random);
  }
}

TEST_CASE("the engine predicts what the training network predicts: sums that threads share") {
  Random random(5);
  for (const bool withRelu : {false, true}) {
    NetworkDescription n{Axes::image(2, 31, 37),
                         {conv("a", "input", 3, 1), conv("b", "input", 3, 3, 1), simple("add", "c", {"a", "b"})},
                         "c"};
    if (withRelu) n.nodes.push_back(simple("relu", "d", {"c"})), n.output = "d";
    n.nodes.push_back(simple("globalAveragePool", "e", {n.output})), n.nodes.push_back(linear("f", "e", 5));
    n.output = "f";
    compare(n, random);
  }
}

TEST_CASE("kernels for sums: every instruction set and length, NaN and infinities") {
  Random random(6);
  for (const engine::Kernels* kernels : engine::supportedKernels())
    for (int count = 0; count < 70; count++)
      for (const bool relu : {false, true}) {
        std::vector<float> a = random.reals(count), b = random.reals(count), made(std::size_t(count) + 1, 77.0f);
        for (std::size_t i = 0; i < a.size(); i++)
          if (random.integer(0, 9) == 0) a[i] = random.integer(0, 1) ? NAN : -INFINITY;
        kernels->sums({a.data(), b.data(), made.data(), count, relu});
        CAPTURE(kernels->isa);
        CAPTURE(count);
        for (std::size_t i = 0; i < a.size(); i++) {
          const float sum = a[i] + b[i], expected = relu && sum < 0 ? 0.0f : sum;
          CHECK((made[i] == expected || (std::isnan(made[i]) && std::isnan(expected))));
        }
        CHECK(made.back() == 77.0f);
      }
}

// Whole networks with each of them: operators_test and its neighbours call checkEngine for their cases.
TEST_CASE("the engine runs every kind of the table of operators, and no other") {
  std::vector<std::string> missing, unknown;
  for (const Operator* op : operators())
    if (!engine::findEngineOperator(op->kind)) missing.push_back(op->kind);
  for (const engine::EngineOperator* entry : engine::engineOperators())
    if (!findOperator(entry->kind)) unknown.push_back(entry->kind);
  CHECK(missing == std::vector<std::string>{});
  CHECK(unknown == std::vector<std::string>{});
}

TEST_CASE("a network that needs too much memory is refused before it is had") {
  NetworkOptions options;
  Network network(makeReferenceBackend(), richNetwork(false), options);
  network.loadState(randomState(network, 1, 3));
  const model::Bytes file = encodeModelFile(network.description(), network.parameterState(), {});
  engine::Options small;
  small.activationBytes = 1000;
  CHECK_THROWS_AS(engine::Model(file, small), model::ModelFileError);
}
