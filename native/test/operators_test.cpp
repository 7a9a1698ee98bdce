// Every operator of the table in a small network of its own: gradients, backends, and the removal of dead channels.
#include <set>

#include "test/engine_check.h"
#include "test/finite_differences.h"

using namespace test;

namespace {

using Fields = std::map<std::string, FieldValue>;

struct Case {
  std::string name;  // kind of the operator, and what is special
  NetworkDescription network;
  bool smooth = true;  // no corners, so that finite differences agree
};

std::string kindOf(const Case& c) { return c.name.substr(0, c.name.find(' ')); }

NodeDescription node(std::string_view kind, std::string name, std::vector<std::string> inputs, Fields fields = {}) {
  return makeNode(kind, std::move(name), std::move(inputs), fields);
}

// Two layers side by side, what is tested (`middle`, whose last node is the output), and a layer that reads it.
NetworkDescription around(std::vector<NodeDescription> middle, Axes input = Axes::image(2, 5, 4)) {
  NetworkDescription network{input, {conv("a", "input", 6, 3, 1), conv("b", "input", 6, 1)}, "out"};
  for (NodeDescription& n : middle) network.nodes.push_back(std::move(n));
  const std::string last = network.nodes.back().name;
  network.nodes.push_back(linear("out", last, 4, false));
  if (std::none_of(network.nodes.begin(), network.nodes.end(), [](const NodeDescription& n) {
        return std::find(n.inputs.begin(), n.inputs.end(), "b") != n.inputs.end();
      }))
    network.nodes.erase(network.nodes.begin() + 1);
  return network;
}

Case unary(const std::string& kind, Fields fields = {}, bool smooth = true, const std::string& note = "") {
  return {kind + note, around({node(kind, "op", {"a"}, fields)}), smooth};
}
// An operator that is only defined above 0.
[[maybe_unused]] Case positive(const std::string& kind) {
  return {kind, around({node("softplus", "up", {"a"}), node("affine", "more", {"up"}, {{"offset", {0.3}}}),
                        node(kind, "op", {"more"})})};
}
NodeDescription squeeze(const std::string& name, const std::string& input) {
  return node("globalAveragePool", name, {input});
}
// An image of one channel.
NodeDescription spatial(const std::string& name, const std::string& input) { return conv(name, input, 1, 1); }

void addArithmetic(std::vector<Case>& all, const std::string& kind) {
  auto add = [&](const std::string& note, std::vector<NodeDescription> before, std::vector<std::string> inputs) {
    before.push_back(node(kind, "op", std::move(inputs)));
    all.push_back({kind + note, around(std::move(before))});
  };
  const bool divides = kind == "divide", commutes = kind == "add" || kind == "multiply";
  auto second = [&](std::vector<NodeDescription> nodes, const std::string& from) {
    // A denominator that is not near 0.
    if (divides) {
      nodes.push_back(node("sigmoid", "gate", {from}));
      nodes.push_back(node("affine", "second", {"gate"}, {{"offset", {0.5}}}));
    } else {
      nodes.push_back(node("sigmoid", "second", {from}));
    }
    return nodes;
  };
  add(" of one shape", second({}, "b"), {"a", "second"});
  add(" of plain layers", {}, {"a", divides ? "a" : "b"});
  add(" over positions", second({squeeze("mean", "b")}, "mean"), {"a", "second"});
  add(" over channels", second({spatial("one", "b")}, "one"), {"a", "second"});
  add(" with a scalar", second({spatial("one", "b"), squeeze("mean", "one")}, "mean"), {"a", "second"});
  if (commutes) add(" the smaller one first", second({squeeze("mean", "b")}, "mean"), {"second", "a"});
  if (kind != "divide") add(" with itself", {}, {"a", "a"});
}

std::vector<Case> operatorCases() {
  std::vector<Case> all{
      {"conv2d", around({conv("op", "a", 5, 3, 1)})},
      {"conv2d in groups", around({conv("op", "a", 4, 3, 0, true, 2)})},
      {"conv2d depthwise", around({conv("op", "a", 6, 3, 1, true, 6)})},
      {"linear", around({linear("op", "a", 5)})},
      {"linear per position", around({node("linear", "op", {"a"}, {{"outFeatures", {5}}, {"perPosition", {1}}})})},
      unary("batchNorm"),
      unary("batchNorm", {{"affine", {0}}}, true, " alone"),
      unary("relu", {}, false),
      unary("gelu"),
      unary("silu"),
      unary("dropout", {{"probability", {0.3}}}, false),
      unary("sigmoid"),
      unary("geluTanh"),
      unary("tanh"),
      unary("hardSigmoid", {}, false),
      unary("hardSigmoid", {{"offset", {0}}}, false, " of no offset"),
      unary("hardSwish", {}, false),
      unary("leakyRelu", {{"slope", {0.2}}}, false),
      unary("clip", {{"low", {0}}, {"high", {6}}}, false),
      unary("clip", {{"low", {0.1}}, {"high", {0.9}}}, false, " above 0"),
      unary("elu", {}, false),
      unary("softplus"),
      unary("exp"),
      positive("log"),
      positive("sqrt"),
      positive("reciprocal"),
      unary("abs", {}, false),
      unary("square"),
      unary("affine", {{"scale", {-1.5}}, {"offset", {0.2}}}),
      unary("prelu", {}, false),
      unary("prelu", {{"shared", {1}}}, false, " with one slope"),
      unary("layerNorm"),
      unary("layerNorm", {{"affine", {0}}}, true, " alone"),
      unary("rmsNorm"),
      unary("instanceNorm"),
      unary("instanceNorm", {{"affine", {1}}}, true, " with a scale"),
      unary("groupNorm", {{"groups", {1}}}),
      unary("groupNorm", {{"groups", {1}}, {"affine", {0}}}, true, " alone"),
      unary("softmax"),
      unary("softmax", {{"axis", {1}}}, true, " over positions"),
      unary("maxPool", {{"kernel", both(2)}}, false),
      unary("averagePool", {{"kernel", both(2)}, {"padding", both(1)}}),
      unary("globalAveragePool"),
      unary("flatten"),
      {"concat", around({node("concat", "op", {"a", "b", "a"})})},
  };
  for (const char* kind : {"add", "multiply", "subtract", "divide"}) addArithmetic(all, kind);
  return all;
}

struct Run {
  NetworkDescription description;
  int batch = 6;
  DataSet data;
  std::vector<std::int32_t> indices;
  explicit Run(const Case& c, int count = 6) : description(c.network), batch(count), indices(firstIndices(count)) {
    data = randomData(description.input.folded(), batch, 4);
  }
  std::unique_ptr<Network> network(std::unique_ptr<Backend> backend) const {
    NetworkOptions options;
    options.batchSize = batch;
    return std::make_unique<Network>(std::move(backend), description, options);
  }
  double loss(Network& network) const { return network.trainStep(data, indices.data(), batch, still()).loss; }
};

// Kills channels at random; their biases are sometimes zero, sometimes not. Scale and shift behind them sometimes too.
void kill(State& state, const Parameters& parameters, Random& random, double share) {
  const bool decayed = random.chance(0.5);
  for (const Parameter& p : parameters.all()) {
    std::vector<float>& values = state[p.name];
    for (float& v : values) {
      if (p.role == Role::kBitDepth && random.chance(share)) v = 0;
      const bool shift = p.role == Role::kBias || p.role == Role::kNormBias || p.role == Role::kNormWeight;
      if (shift && random.chance(decayed ? 0.7 : 0.2)) v = 0;
      if (p.role == Role::kRunningMean && random.chance(0.5)) v = 0;
    }
  }
}

}  // namespace

TEST_CASE("there is a case for every operator") {
  std::set<std::string> kinds;
  for (const Case& c : operatorCases()) kinds.insert(kindOf(c));
  // In operators_layout_test, operators_attention_test, operators_recurrent_test, operators_embedding_test:
  for (const char* kind :
       {"gatherChannels", "channelShuffle",  "padChannels", "sliceChannels", "slicePositions", "pad",
        "pixelShuffle",   "pixelUnshuffle",  "reshape",     "meanChannels",  "meanPositions",  "globalMaxPool",
        "resize",         "convTranspose2d", "attention",   "rotary",        "lstm",           "gru",
        "embedding",      "parameter",       "unembedding"})
    kinds.insert(kind);
  for (const Operator* op : operators()) {
    CAPTURE(op->kind);
    CHECK(kinds.count(op->kind));
  }
}

TEST_CASE("gradients of every operator against finite differences") {
  for (const Case& c : operatorCases()) {
    if (!c.smooth) continue;
    CAPTURE(c.name);
    const Run run(c);
    auto network = run.network(makeReferenceBackend());
    const State state = randomState(*network, 3, 20);  // 20 bits: rounding is too fine to matter, nothing is clipped
    network->loadState(state);
    auto gradients = network->gradients(run.data, run.indices.data(), run.batch, still());
    checkParameterGradients(*network, state, gradients, 5e-3, 3e-4, [&](const State& moved) {
      network->loadState(moved);
      return run.loss(*network);
    });
  }
}

TEST_CASE("every operator on every backend gives the reference's gradients and predictions, dead channels or not") {
  for (const Case& c : operatorCases())
    for (double share : {0.0, 0.4}) {
      CAPTURE(c.name);
      CAPTURE(share);
      const Run run(c, 21);
      auto compute = [&](std::unique_ptr<Backend> backend) {
        auto network = run.network(std::move(backend));
        State state = randomState(*network, 5, 6);
        Random random(6);
        kill(state, network->parameters(), random, share);
        network->loadState(state);
        std::vector<std::vector<float>> results;
        for (auto& [name, values] : network->gradients(run.data, run.indices.data(), run.batch, still()))
          results.push_back(values);
        results.push_back({float(run.loss(*network))});
        results.push_back(network->predict(run.data.floats.data(), std::size_t(run.batch)));
        return results;
      };
      const auto expected = compute(makeReferenceBackend());
      for (auto& backend : testedBackends()) {
        CAPTURE(backend->name());
        const auto actual = compute(std::move(backend));
        for (std::size_t i = 0; i < expected.size(); i++) {
          CAPTURE(i);
          CHECK(difference(actual[i], expected[i], 1e-2) < 1e-3);
        }
      }
    }
}

TEST_CASE("the engine predicts what every operator's network predicts") {
  for (const Case& c : operatorCases()) checkEngine(c.name, c.network);
}

TEST_CASE("removal keeps the function of every operator, in evaluation and in training") {
  for (const Case& c : operatorCases()) {
    CAPTURE(c.name);
    int removals = 0;
    for (int trial = 0; trial < cases(24); trial++) {
      CAPTURE(trial);
      const Run run(c);
      auto network = run.network(makeReferenceBackend());
      State state = randomState(*network, std::uint64_t(trial) + 7, 6);
      Random random{std::uint64_t(trial) + 100};
      kill(state, network->parameters(), random, 0.5);
      network->loadState(state);
      const auto predicted = network->predict(run.data.floats.data(), std::size_t(run.batch));
      const double loss = kindOf(c) == "dropout" ? 0 : run.loss(*network);
      network->loadState(state);  // running statistics have moved
      const std::optional<Removed> removed = Network::prune(network);
      if (!removed) continue;
      removals++;
      CHECK(difference(network->predict(run.data.floats.data(), std::size_t(run.batch)), predicted, 1e-2) < 2e-5);
      if (loss) CHECK(run.loss(*network) == doctest::Approx(loss).epsilon(1e-5));
    }
    // Channels that stay, dead or not: of a softmax and of a denominator.
    const std::set<std::string> pinning{"softmax", "divide of one shape", "divide of plain layers",
                                        "divide over positions"};
    const bool pins = pinning.count(c.name) > 0;
    CHECK((removals > 0) == !pins);
  }
}

TEST_CASE("losses of every element: the gradient of the bias of the last layer against its formula, on every backend") {
  for (Loss loss : {Loss::kMeanSquaredError, Loss::kBinaryCrossEntropy, Loss::kAbsolute, Loss::kHuber}) {
    CAPTURE(int(loss));
    NetworkOptions options;
    options.batchSize = 21, options.loss = loss, options.huberDelta = 0.3f;
    DataSet data = randomData({3, 1, 1}, 21, 4);
    Random random(12);
    data.features = 4, data.targets = random.reals(21 * 4, 0, 1);
    const auto indices = firstIndices(21);
    auto backends = testedBackends();
    backends.push_back(makeReferenceBackend());
    for (auto& backend : backends) {
      CAPTURE(backend->name());
      Network network(std::move(backend), {Axes::vector(3), {linear("out", "input", 4, false)}, "out"}, options);
      network.loadState(randomState(network, 3, 8));
      std::vector<float> normalised;
      for (float v : data.floats) normalised.push_back((v - data.mean[0]) * data.invStd[0]);
      const auto z = network.predict(normalised.data(), 21);
      double expected = 0;
      std::vector<float> slopes(4);
      for (std::size_t i = 0; i < z.size(); i++) {
        const double t = double(data.targets[i]), x = double(z[i]), d = x - t, delta = double(options.huberDelta);
        double value = d * d, slope = 2 * d;
        if (loss == Loss::kBinaryCrossEntropy)
          value = std::log1p(std::exp(x)) - x * t, slope = 1 / (1 + std::exp(-x)) - t;
        if (loss == Loss::kAbsolute) value = std::fabs(d), slope = d > 0 ? 1 : -1;
        if (loss == Loss::kHuber && std::fabs(d) > delta)
          value = delta * (std::fabs(d) - delta / 2), slope = d > 0 ? delta : -delta;
        else if (loss == Loss::kHuber) value = d * d / 2, slope = d;
        expected += value / double(z.size()), slopes[i % 4] += float(slope / double(z.size()));
      }
      CHECK(difference(network.gradients(data, indices.data(), 21, still())["out.bias"], slopes, 1e-2) < 1e-5);
      CHECK(network.evaluate(data, indices.data(), 21).loss == doctest::Approx(expected).epsilon(1e-5));
    }
  }
}
