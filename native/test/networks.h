// Networks, data and states that the tests of whole steps use.
#pragma once

#include "ops/table.h"
#include "test/support.h"
#include "train/network.h"

namespace test {

inline FieldValue both(double v) { return {v, v}; }

inline NodeDescription conv(std::string name, std::string input, int outChannels, int kernel, int padding = 0,
                            bool compress = true, int groups = 1) {
  return makeNode("conv2d", std::move(name), {std::move(input)},
                  {{"outChannels", {double(outChannels)}},
                   {"kernel", both(kernel)},
                   {"padding", both(padding)},
                   {"compress", {double(compress)}},
                   {"groups", {double(groups)}}});
}
inline NodeDescription simple(std::string_view kind, std::string name, std::vector<std::string> inputs) {
  return makeNode(kind, std::move(name), std::move(inputs));
}
inline NodeDescription linear(std::string name, std::string input, int out, bool compress = true) {
  return makeNode("linear", std::move(name), {std::move(input)},
                  {{"outFeatures", {double(out)}}, {"compress", {double(compress)}}});
}
inline NodeDescription pool(std::string_view kind, std::string name, std::string input) {
  return makeNode(kind, std::move(name), {std::move(input)}, {{"kernel", both(2)}});
}

// Everything at once: residual addition, concatenation, depthwise convolution, tensors with several readers, every
// norm, activation and pooling, a ReLU that cannot be fused.
inline NetworkDescription richNetwork(bool smooth) {
  const char* relu = smooth ? "silu" : "relu";
  return {Axes::image(2, 8, 8),
          {conv("c1", "input", 5, 3, 1), simple(relu, "r1", {"c1"}), conv("c2", "r1", 5, 3, 1),
           simple("batchNorm", "norm", {"c2"}), simple(relu, "r2", {"norm"}), simple("add", "add", {"r1", "r2"}),
           simple("gelu", "g", {"add"}), makeNode("batchNorm", "norm2", {"add"}, {{"affine", {0}}}),
           conv("depthwise", "norm2", 5, 3, 1, true, 5), simple(relu, "r3", {"depthwise"}), simple("silu", "s", {"r3"}),
           simple("concat", "cat", {"g", "s", "add"}), pool(smooth ? "averagePool" : "maxPool", "pool", "cat"),
           conv("c3", "pool", 6, 3, 0, false), simple(relu, "r4", {"c3"}),
           simple("globalAveragePool", "global", {"r4"}), simple("flatten", "flat", {"r4"}),
           simple("concat", "features", {"global", "flat"}), linear("out", "features", 4)},
          "out"};
}

// Every activation that a batch norm applies, a clip that it does not, for which zeros would not stay zeros, and one
// whose norm has another reader.
inline NetworkDescription activatedNetwork() {
  auto norm = [](std::string name, std::string input, bool affine = true) {
    return makeNode("batchNorm", std::move(name), {std::move(input)}, {{"affine", {double(affine)}}});
  };
  auto clip = [](std::string name, std::string input, double low, double high) {
    return makeNode("clip", std::move(name), {std::move(input)}, {{"low", {low}}, {"high", {high}}});
  };
  return {Axes::image(2, 8, 8),
          {conv("c1", "input", 6, 3, 1),
           norm("n1", "c1"),
           clip("a1", "n1", 0, 1.2),
           conv("c2", "a1", 6, 3, 1, true, 6),
           norm("n2", "c2"),
           simple("hardSwish", "a2", {"n2"}),
           conv("c3", "a2", 5, 1, 0, false),
           norm("n3", "c3", false),
           simple("silu", "a3", {"n3"}),
           conv("c4", "a3", 6, 3, 1),
           norm("n4", "c4"),
           simple("leakyRelu", "a4", {"n4"}),
           pool("maxPool", "pool", "a4"),
           norm("n5", "pool"),
           simple("relu", "a5", {"n5"}),
           conv("c6", "a5", 5, 3, 1),
           norm("n6", "c6"),
           clip("a6", "n6", 0.1, 1),
           conv("c7", "a6", 5, 1),
           norm("n7", "c7"),
           clip("a7", "n7", -0.5, 0.5),
           simple("add", "add", {"n7", "a7"}),
           simple("globalAveragePool", "global", {"add"}),
           linear("out", "global", 4)},
          "out"};
}

inline DataSet randomData(Shape shape, int count, int classes) {
  Random random(99);
  DataSet data;
  data.shape = shape, data.count = count, data.classes = classes;
  data.floats = random.reals(count * shape.elements());
  for (int i = 0; i < count; i++) data.labels.push_back(random.integer(0, classes - 1));
  data.mean.assign(std::size_t(shape.channels), 0.1f), data.invStd.assign(std::size_t(shape.channels), 1.5f);
  return data;
}

// Windows of a text of random tokens.
inline DataSet randomText(int length, int count, int vocabulary) {
  Random random(98);
  DataSet data;
  data.shape = {1, 1, length}, data.count = count;
  data.vocabulary = data.classes = vocabulary;
  data.windows = true, data.labelsPerExample = length;
  for (int i = 0; i < count + length; i++) data.tokens.push_back(random.integer(0, vocabulary - 1));
  return data;
}

// Predictions of the first `count` examples, as they are.
inline std::vector<float> predictAll(Network& network, const DataSet& data, int count) {
  if (!data.hasTokens()) return network.predict(data.floats.data(), std::size_t(count));
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < count; i++) tokens.insert(tokens.end(), data.tokensOf(i), data.tokensOf(i) + data.shape.width);
  return network.predict(tokens.data(), std::size_t(count));
}

inline NodeDescription positionwise(std::string name, std::string input, int out, bool bias = true) {
  return makeNode("linear", std::move(name), {std::move(input)},
                  {{"outFeatures", {double(out)}}, {"perPosition", {1}}, {"bias", {double(bias)}}});
}
inline NodeDescription embedding(std::string name, int dimensions, int vocabulary) {
  return makeNode("embedding", std::move(name), {"input"},
                  {{"dimensions", {double(dimensions)}}, {"vocabulary", {double(vocabulary)}}});
}
inline Axes tokens(int length) {
  Axes axes = Axes::vector(1).withPositions({length});
  axes.type = ValueType::kToken;
  return axes;
}

// A block of a causal transformer between a stream and what comes out: attention and a hidden layer, each behind a
// norm.
inline std::string transformerBlock(std::vector<NodeDescription>& nodes, const std::string& p,
                                    const std::string& stream, int width, int heads) {
  nodes.push_back(simple("layerNorm", p + "norm1", {stream}));
  for (const char* part : {"q", "k", "v"}) nodes.push_back(positionwise(p + part, p + "norm1", width));
  nodes.push_back(
      makeNode("attention", p + "core", {p + "q", p + "k", p + "v"}, {{"heads", {double(heads)}}, {"causal", {1}}}));
  nodes.push_back(positionwise(p + "project", p + "core", width));
  nodes.push_back(simple("add", p + "middle", {stream, p + "project"}));
  nodes.push_back(simple("layerNorm", p + "norm2", {p + "middle"}));
  nodes.push_back(positionwise(p + "hidden", p + "norm2", 2 * width));
  nodes.push_back(simple("gelu", p + "gelu", {p + "hidden"}));
  nodes.push_back(positionwise(p + "back", p + "gelu", width));
  nodes.push_back(simple("add", p + "end", {p + "middle", p + "back"}));
  return p + "end";
}

// A causal transformer that predicts the next of `vocabulary` tokens at every position.
// Tied: the output layer has the weights of the embedding.
inline NetworkDescription languageModel(int vocabulary, int length, int width, int heads, int blocks,
                                        bool tied = false) {
  std::vector<NodeDescription> nodes{embedding("embedding", width, vocabulary),
                                     makeNode("parameter", "positions", {"input"}, {{"channels", {double(width)}}}),
                                     simple("add", "stream", {"embedding", "positions"})};
  std::string stream = "stream";
  for (int i = 0; i < blocks; i++) stream = transformerBlock(nodes, "b" + std::to_string(i), stream, width, heads);
  nodes.push_back(simple("layerNorm", "norm", {stream}));
  if (tied) nodes.push_back(makeNode("unembedding", "head", {"norm", "embedding"}, {}));
  else nodes.push_back(positionwise("head", "norm", vocabulary, false));
  return {tokens(length), nodes, "head"};
}

inline State randomState(const Network& network, std::uint64_t seed, float bits) {
  Random random(seed);
  State state;
  for (const Parameter& p : network.parameters().all()) {
    std::vector<float>& v = state[p.name];
    for (std::int64_t i = 0; i < p.count; i++)
      v.push_back(p.role == Role::kWeight                                      ? random.real(-0.5f, 0.5f)
                  : p.role == Role::kBitDepth                                  ? random.real(bits - 0.4f, bits + 0.4f)
                  : p.role == Role::kExponent                                  ? random.real(-3.2f, -2.8f) + 4 - bits
                  : p.role == Role::kNormWeight || p.role == Role::kRunningVar ? random.real(0.5f, 1.5f)
                                                                               : random.real(-0.3f, 0.3f));
  }
  return state;
}

inline std::vector<std::int32_t> firstIndices(int count) {
  std::vector<std::int32_t> indices;
  for (int i = 0; i < count; i++) indices.push_back(i);
  return indices;
}

inline StepSettings settings(int step) {
  StepSettings s;
  s.step = step, s.seed = 5, s.gamma = 0.1f, s.learningRate = 0.01f, s.bitDepthLearningRate = 0.05f,
  s.exponentLearningRate = 0.02f;
  return s;
}
// Of a step that changes no parameter.
inline StepSettings still() {
  StepSettings s = settings(1);
  s.gamma = s.learningRate = s.bitDepthLearningRate = s.exponentLearningRate = 0;
  return s;
}

inline bool finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v) && std::fabs(v) < 1e6f; });
}

}  // namespace test
