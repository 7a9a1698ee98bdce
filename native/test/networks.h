// Networks, data and states that the tests of whole steps use.
#pragma once

#include "graph/network.h"
#include "test/support.h"

namespace test {

inline NodeDescription conv(std::string name, std::string input, int outChannels, int kernel, int padding = 0,
                            bool compress = true, int groups = 1) {
  NodeDescription n;
  n.kind = NodeKind::kConv2d, n.name = std::move(name), n.inputs = {std::move(input)};
  n.outChannels = outChannels, n.kernel = {kernel, kernel}, n.padding = {padding, padding}, n.compress = compress,
  n.groups = groups;
  return n;
}
inline NodeDescription simple(NodeKind kind, std::string name, std::vector<std::string> inputs) {
  NodeDescription n;
  n.kind = kind, n.name = std::move(name), n.inputs = std::move(inputs);
  return n;
}
inline NodeDescription linear(std::string name, std::string input, int out, bool compress = true) {
  NodeDescription n = simple(NodeKind::kLinear, std::move(name), {std::move(input)});
  n.outChannels = out, n.compress = compress;
  return n;
}
inline NodeDescription pool(Pool kind, std::string name, std::string input) {
  NodeDescription n = simple(NodeKind::kPool, std::move(name), {std::move(input)});
  n.pool = kind, n.kernel = n.stride = {2, 2};
  return n;
}
inline NodeDescription act(Activation kind, std::string name, std::string input) {
  NodeDescription n = simple(NodeKind::kActivation, std::move(name), {std::move(input)});
  n.activation = kind;
  return n;
}

// Everything at once: residual addition, concatenation, depthwise convolution, tensors with several readers, every
// norm, activation and pooling, a ReLU that cannot be fused.
inline NetworkDescription richNetwork(bool smooth) {
  Activation relu = smooth ? Activation::kSilu : Activation::kRelu;
  NodeDescription plainNorm = simple(NodeKind::kBatchNorm, "norm2", {"add"});
  plainNorm.affine = false;
  return {
      {2, 8, 8},
      {conv("c1", "input", 5, 3, 1), act(relu, "r1", "c1"), conv("c2", "r1", 5, 3, 1),
       simple(NodeKind::kBatchNorm, "norm", {"c2"}), act(relu, "r2", "norm"),
       simple(NodeKind::kAdd, "add", {"r1", "r2"}), act(Activation::kGelu, "g", "add"), plainNorm,
       conv("depthwise", "norm2", 5, 3, 1, true, 5), act(relu, "r3", "depthwise"), act(Activation::kSilu, "s", "r3"),
       simple(NodeKind::kConcat, "cat", {"g", "s", "add"}), pool(smooth ? Pool::kAverage : Pool::kMax, "pool", "cat"),
       conv("c3", "pool", 6, 3, 0, false), act(relu, "r4", "c3"),
       simple(NodeKind::kGlobalAveragePool, "global", {"r4"}), simple(NodeKind::kFlatten, "flat", {"r4"}),
       simple(NodeKind::kConcat, "features", {"global", "flat"}), linear("out", "features", 4)},
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

}  // namespace test
