// A network in float64, from the operators' definitions alone: it knows nothing of rules for channels, states, fusions
// or memory. Any channels may be left out of it. Whoever sums over channels then does without them, and takes what a
// constant gave it into its bias, if it has one; whoever reads such a channel in another way gets NaN.
#pragma once

#include <functional>
#include <limits>

#include "test/networks.h"

namespace test {

struct Tensor64 {
  Shape shape;
  int batch = 0;
  std::vector<double> values;  // [batch][channel][row][column]
  Tensor64() = default;
  Tensor64(Shape s, int images) : shape(s), batch(images), values(std::size_t(s.elements() * images)) {}
  double& at(int n, int c, int y, int x) { return values[index(n, c, y, x)]; }
  double at(int n, int c, int y, int x) const { return values[index(n, c, y, x)]; }
  std::size_t index(int n, int c, int y, int x) const {
    return ((std::size_t(n) * std::size_t(shape.channels) + std::size_t(c)) * std::size_t(shape.height) +
            std::size_t(y)) *
               std::size_t(shape.width) +
           std::size_t(x);
  }
  template <class Visit>
  void forAll(Visit visit) {
    for (int n = 0; n < batch; n++)
      for (int c = 0; c < shape.channels; c++)
        for (int y = 0; y < shape.height; y++)
          for (int x = 0; x < shape.width; x++) at(n, c, y, x) = visit(n, c, y, x);
  }
};

// Of every tensor and channel.
using Absent = std::vector<std::vector<bool>>;
using Constants64 = std::vector<std::vector<double>>;

// One node, and what it may ask.
struct Node64 {
  const NodeContext& context;
  std::function<const std::vector<double>*(Role)> parameter;  // nullptr: it has none
  std::vector<const Tensor64*> in;
  std::vector<const std::vector<bool>*> absent;      // of the inputs
  std::vector<const std::vector<double>*> constant;  // of the inputs: what absent channels were
  Tensor64& out;
  bool training = false;
  // No identity between particular operators is to be taken for a rule of channels (the average of an instance norm is
  // its shift, the ReLU of a negative constant is zero in padding as well): every example then has averages with shares
  // of its own, a padding, rotations and a position before the first.
  bool generic = true;

  const Tensor64& x() const { return *in[0]; }
  bool gone(int channel) const { return (*absent[0])[std::size_t(channel)]; }
  const NodeDescription& node() const { return context.node; }
  double number(const char* field) const { return context.node.number(field); }
  int integer(const char* field) const { return context.node.integer(field); }
  bool flag(const char* field) const { return context.node.flag(field); }
  std::array<int, 2> pair(const char* field) const { return context.node.pair(field); }
  double of(Role role, int i, double otherwise) const {
    const std::vector<double>* values = parameter(role);
    return values ? (*values)[std::size_t(i)] : otherwise;
  }
  int present() const { return int(std::count(absent[0]->begin(), absent[0]->end(), false)); }
};

using Rule64 = void (*)(Node64&);
// By kind; nullptr: none.
Rule64 rule64(const std::string& kind);

// Examples for a network: numbers of middle ± most, or tokens.
inline Tensor64 randomInput(const NetworkDescription& network, int batch, Random& random, float middle, float most) {
  Tensor64 input(network.input.folded(), batch);
  int vocabulary = 1 << 20;
  for (const NodeDescription& n : network.nodes)
    if (n.op->reads == Operator::Reads::kTokens) vocabulary = std::min(vocabulary, n.integer("vocabulary"));
  const bool tokens = network.input.type == ValueType::kToken;
  input.forAll([&](int, int, int, int) {
    return tokens ? double(random.integer(0, vocabulary - 1)) : double(middle + random.real(-most, most));
  });
  return input;
}

// Evaluates the description; `state` holds the parameters by name.
class Network64 {
 public:
  using State64 = std::map<std::string, std::vector<double>>;
  Network64(const NetworkDescription& network, const Topology& topology, const Parameters& parameters)
      : network_(network), topology_(topology), parameters_(parameters) {}

  // Values of every tensor.
  std::vector<Tensor64> run(const State64& state, const Tensor64& input, bool training, const Absent& absent,
                            const Constants64& constants, bool generic = true) const {
    std::vector<Tensor64> tensors{input};
    for (int i = 0; i < int(network_.nodes.size()); i++) {
      const NodeContext context = topology_.context(network_, i);
      Tensor64 out(topology_.shapes[std::size_t(i) + 1], input.batch);
      // Whose parameters: one that takes weights has those of its last input.
      const int owner =
          network_.nodes[std::size_t(i)].op->takesWeights ? topology_.inputs[std::size_t(i)].back() - 1 : i;
      Node64 node{context,
                  [&](Role role) -> const std::vector<double>* {
                    const Parameter* p = parameters_.find(owner, role);
                    return p ? &state.at(p->name) : nullptr;
                  },
                  {},
                  {},
                  {},
                  out,
                  training,
                  generic};
      for (int t : topology_.inputs[std::size_t(i)]) {
        node.in.push_back(&tensors[std::size_t(t)]);
        node.absent.push_back(&absent[std::size_t(t)]);
        node.constant.push_back(&constants[std::size_t(t)]);
      }
      const Rule64 rule = rule64(network_.nodes[std::size_t(i)].op->kind);
      if (!rule)
        throw std::logic_error(std::string("no rule in float64 for ") + network_.nodes[std::size_t(i)].op->kind);
      rule(node);
      for (int n = 0; n < out.batch; n++)
        for (int c = 0; c < out.shape.channels; c++)
          for (int p = 0; p < out.shape.pixels() && absent[std::size_t(i) + 1][std::size_t(c)]; p++)
            out.at(n, c, 0, p) = std::numeric_limits<double>::quiet_NaN();
      tensors.push_back(std::move(out));
    }
    return tensors;
  }

  Absent nothingAbsent() const {
    Absent all;
    for (const Axes& axes : topology_.axes) all.emplace_back(std::size_t(axes.channels), false);
    return all;
  }

 private:
  const NetworkDescription& network_;
  const Topology& topology_;
  const Parameters& parameters_;
};

}  // namespace test
