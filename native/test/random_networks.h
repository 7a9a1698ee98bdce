// Random networks over all operators of the table, and states of them in which channels have died.
#pragma once

#include "test/networks.h"
#include "test/operator_cases.h"

namespace test {

using Fields = std::map<std::string, FieldValue>;

// Fields of the operators that move values about.
inline void layoutFields(const std::string& kind, const Axes& in, Random& random, Fields& f) {
  auto set = [&](const char* name, double v) { f[name] = {v}; };
  auto list = [&](const char* name, int count, int most) {
    for (int k = 0; k < count; k++) f[name].push_back(random.integer(0, most));
  };
  auto sizes = [&](int rows, int columns) { return FieldValue{double(rows), double(columns)}; };
  if (kind == "convTranspose2d")
    set("outChannels", random.integer(2, 5)), f["kernel"] = both(random.integer(1, 3)), set("bias", random.chance(0.8));
  if (kind == "gatherChannels") list("index", random.integer(1, in.channels + 2), in.channels - 1);
  if (kind == "channelShuffle") set("groups", in.channels % 3 == 0 ? 3 : in.channels % 2 == 0 ? 2 : 1);
  if (kind == "padChannels") set("before", random.integer(0, 2)), set("after", random.integer(0, 2));
  if (kind == "sliceChannels") {
    const int first = random.integer(0, in.channels - 1);
    set("first", first), set("count", random.integer(1, in.channels - first));
  }
  if (kind == "slicePositions") f["count"] = sizes(std::max(1, in.positions[0] - 1), std::max(1, in.positions[1] / 2));
  if (kind == "pad") f["before"] = sizes(1, 0), f["after"] = sizes(0, 1), set("mode", random.integer(0, 2));
  if (kind == "pixelShuffle") set("size", 2), set("order", random.integer(0, 1));
  if (kind == "pixelUnshuffle")
    set("size", in.positions[0] % 2 || in.positions[1] % 2 ? 1 : 2), set("order", random.integer(0, 1));
  if (kind == "resize")
    f["size"] = sizes(random.integer(1, 7), random.integer(1, 7)), set("mode", random.integer(0, 1));
  if (kind == "reshape") {  // halves of channels, pairs of them, or the same with one axis of positions
    const int pixels = in.folded().pixels(), form = random.integer(0, 2);
    const int channels = form == 0 && pixels % 2 == 0        ? in.channels * 2
                         : form == 1 && in.channels % 2 == 0 ? in.channels / 2
                                                             : in.channels;
    set("channels", channels), set("positions", double(in.elements() / channels));
  }
  if (kind == "rotary") set("headSize", 2);
  if (kind == "attention") set("heads", in.channels % 2 ? 1 : 2), set("causal", random.chance(0.5));
}

// Fields of a node of this kind whose input has these axes.
inline Fields randomFields(const std::string& kind, const Axes& in, Random& random) {
  Fields f;
  auto set = [&](const char* name, double v) { f[name] = {v}; };
  if (kind == "conv2d") {
    const int form = random.integer(0, 3), kernel = random.integer(0, 1) ? 3 : 1;
    const int groups = form == 0 ? in.channels : form == 1 && in.channels % 2 == 0 ? 2 : 1;
    set("groups", groups), set("outChannels", groups == in.channels ? groups : 2 * random.integer(2, 3));
    f["kernel"] = both(kernel), f["padding"] = both(random.chance(0.5) ? kernel / 2 : 0);
    set("bias", random.chance(0.8)), set("compress", random.chance(0.85));
  }
  if (kind == "linear")
    set("outFeatures", random.integer(2, 6)), set("perPosition", random.chance(0.7)), set("bias", random.chance(0.8));
  if (kind == "batchNorm" || kind == "instanceNorm" || kind == "layerNorm" || kind == "rmsNorm")
    set("affine", random.chance(0.8));
  if (kind == "groupNorm") {
    const int groups = in.channels % 3 == 0 ? 3 : in.channels % 2 == 0 ? 2 : 1;
    set("groups", random.chance(0.2) ? in.channels : groups), set("affine", random.chance(0.8));
    if (in.channels > 2 && random.chance(0.3))  // what a removal left
      f["sizes"] = {1, double(in.channels - 1)}, set("groups", 2),
      set("divisor", in.channels + random.integer(0, 2) - 1);
  }
  if (kind == "dropout") set("probability", 0);
  if (kind == "maxPool" || kind == "averagePool")
    f["kernel"] = both(2), f["padding"] = both(random.integer(0, 1)), f["stride"] = both(random.integer(1, 2));
  if (kind == "clip") set("low", random.chance(0.5) ? 0.1 : -1), set("high", 2);
  if (kind == "affine") set("scale", 0.7), set("offset", random.chance(0.5) ? 0.2 : 0);
  if (kind == "prelu") set("shared", random.chance(0.5));
  if (kind == "softmax") set("axis", random.integer(0, 1));
  if (kind == "lstm" || kind == "gru")
    set("reverse", random.chance(0.3)), set("bias", random.chance(0.7)), set("compress", random.chance(0.85));
  if (kind == "gru") set("resetFirst", random.chance(0.5));
  layoutFields(kind, in, random, f);
  return f;
}

// Not defined, or not tame, for every input: these come with a function before them.
inline const char* tamer(const std::string& kind) {
  if (kind == "log" || kind == "sqrt" || kind == "reciprocal") return "softplus";
  if (kind == "exp" || kind == "square") return "tanh";
  return nullptr;
}

class RandomNetwork {
 public:
  static constexpr int kVocabulary = 4;  // of tokens, and classes
  // One in five reads tokens. often: kinds that every other node has.
  explicit RandomNetwork(Random& random, std::vector<const char*> often = {})
      : random_(random), often_(std::move(often)) {
    const bool readsTokens = random.chance(0.2);
    network_.input = readsTokens ? tokens(6) : Axes::image(random.integer(1, 3), 6, 5);
    tensors_.push_back({kInputName, network_.input});
    for (int k = 0; k < 2; k++)
      if (readsTokens) add("embedding", {0}, {{"dimensions", {6}}, {"vocabulary", {kVocabulary}}});
      else add("conv2d", {0}, {{"outChannels", {6}}, {"kernel", both(3)}});
  }
  NetworkDescription build(int nodes) {
    for (int tries = 0; tries < 20 * nodes && int(network_.nodes.size()) < nodes; tries++) tryOne();
    finish();
    return network_;
  }

 private:
  struct Tensor {
    std::string name;
    Axes axes;
    int readers = 0;
    bool hidden = false;  // not to be read by others
  };
  int pick() {  // rather a late one, not the input
    const int last = int(tensors_.size()) - 1;
    int t = std::max(1, random_.chance(0.5) ? last - random_.integer(0, 2) : random_.integer(1, last));
    while (tensors_[std::size_t(t)].hidden) t--;
    return t;
  }
  // -1: it does not fit.
  int add(const std::string& kind, const std::vector<int>& inputs, const Fields& fields = {}) {
    std::vector<std::string> names;
    for (int t : inputs) names.push_back(tensors_[std::size_t(t)].name);
    NodeDescription node = makeNode(kind, kind + std::to_string(network_.nodes.size()), names, fields);
    NodeContext context{node, int(network_.nodes.size()), {}, {}};
    for (int t : inputs) {
      context.inputs.push_back(tensors_[std::size_t(t)].axes);
      context.from.push_back(t ? &network_.nodes[std::size_t(t) - 1] : nullptr);
    }
    try {
      const Axes out = inferNode(context, 8);
      for (int t : inputs) tensors_[std::size_t(t)].readers++;
      tensors_.push_back({node.name, out});
      network_.nodes.push_back(std::move(node));
      return int(tensors_.size()) - 1;
    } catch (const DescriptionError&) {
      return -1;
    }
  }
  // One whose shape meets that of t; with luck another layer of the same size.
  int partner(int t) {
    const Axes axes = tensors_[std::size_t(t)].axes;
    if (random_.chance(0.4)) {  // a gate over positions or channels
      if (random_.chance(0.7)) return add("globalAveragePool", {t});
      return add("conv2d", {t}, {{"outChannels", {1}}, {"kernel", both(1)}});
    }
    std::vector<int> same;
    for (int k = 1; k < int(tensors_.size()); k++)
      if (k != t && !tensors_[std::size_t(k)].hidden && tensors_[std::size_t(k)].axes.folded() == axes.folded())
        same.push_back(k);
    if (!same.empty() && random_.chance(0.8)) return same[std::size_t(random_.integer(0, int(same.size()) - 1))];
    return add("linear", {t}, {{"outFeatures", {double(axes.channels)}}, {"perPosition", {1}}});
  }
  void tryOne() {
    std::vector<const Operator*> table = operators();
    const Operator& op = *table[std::size_t(random_.integer(0, int(table.size()) - 1))];
    if (!often_.empty() && random_.chance(0.5))
      return tryKind(*findOperator(often_[std::size_t(random_.integer(0, int(often_.size()) - 1))]));
    tryKind(op);
  }
  void tryKind(const Operator& op) {
    const std::string kind = op.kind;
    if (op.reads == Operator::Reads::kTokens || op.takesWeights) return;  // first and last, where they are
    int t = pick();
    // What normalises a single value makes a constant of everything.
    if ((kind == "softmax" || kind == "attention" || kind == "instanceNorm" || kind == "groupNorm") &&
        tensors_[std::size_t(t)].axes.folded().width == 1)
      return;
    if ((kind == "layerNorm" || kind == "softmax") && tensors_[std::size_t(t)].axes.channels == 1) return;
    if (kind == "flatten" || kind == "softmax") {
      if (random_.chance(0.6)) return;
    }
    if (const char* before = tamer(kind)) {
      t = add(before, {t});
      if (kind == "log" || kind == "sqrt" || kind == "reciprocal") t = add("affine", {t}, {{"offset", {0.5}}});
    }
    if (kind == "rotary" && tensors_[std::size_t(t)].axes.folded().width == 1) return;  // that is itself
    if (kind == "lstm" || kind == "gru")  // a layer for the gates of a few units
      t = add("linear", {t},
              {{"outFeatures", {(kind == "lstm" ? 4. : 3.) * random_.integer(2, 3)}}, {"perPosition", {1}}});
    if (op.leastInputs == 3) {  // queries, keys and values, each its own layer
      const Axes axes = tensors_[std::size_t(t)].axes;
      std::vector<int> inputs;
      for (int k = 0; k < 3; k++)
        inputs.push_back(add("linear", {t}, {{"outFeatures", {double(axes.channels)}}, {"perPosition", {1}}}));
      add(kind, inputs, randomFields(kind, axes, random_));
      return;
    }
    if (kind == "parameter") {  // added to what it takes its positions from
      const double channels = tensors_[std::size_t(t)].axes.channels;
      const int other = add(kind, {t},
                            {{"channels", {channels}},
                             {"positions", {random_.chance(0.3) ? 1. : 0.}},
                             {"compress", {random_.chance(0.7) ? 1. : 0.}}});
      add("add", {t, other});
      return;
    }
    if (op.leastInputs == 1) {
      const int out = add(kind, {t}, randomFields(kind, tensors_[std::size_t(t)].axes, random_));
      // Its mean over positions would be a constant, whatever it reads: nothing that a rule for channels could know.
      if (kind == "softmax" && out >= 0) tensors_[std::size_t(out)].hidden = true, add("multiply", {t, out});
      return;
    }
    int other = partner(t);
    if (other < 0) return;
    if (kind == "divide" || (kind == "multiply" && random_.chance(0.7))) other = add("sigmoid", {other});
    if (kind == "divide") other = add("affine", {other}, {{"offset", {0.5}}});
    add(kind, {t, other});
  }
  void finish() {
    std::vector<int> leaves;
    for (int k = 1; k < int(tensors_.size()); k++)
      if (tensors_[std::size_t(k)].readers == 0) leaves.push_back(k);
    while (leaves.size() > std::size_t(1)) {
      std::vector<int> part;
      while (!leaves.empty() && part.size() < 8) {
        part.push_back(add("globalAveragePool", {leaves.back()}));
        leaves.pop_back();
      }
      if (part.size() == 1) leaves.push_back(part[0]);
      else leaves.push_back(add("concat", part));
    }
    if (network_.input.type == ValueType::kToken && random_.chance(0.7)) {  // with the weights of the first layer
      const int read = add("linear", {leaves[0]}, {{"outFeatures", {6}}});
      add("unembedding", {random_.chance(0.5) ? add("silu", {read}) : read, 1});
    } else {
      add("linear", {leaves[0]}, {{"outFeatures", {double(kVocabulary)}}, {"compress", {0}}});
    }
    network_.output = tensors_.back().name;
  }

  Random& random_;
  std::vector<const char*> often_;
  NetworkDescription network_;
  std::vector<Tensor> tensors_;
};

inline std::string textOf(const NetworkDescription& network) {
  std::string text;
  for (const NodeDescription& n : network.nodes) {
    text += n.name + "(";
    for (const std::string& in : n.inputs) text += in + " ";
    text += ") ";
  }
  return text;
}

inline void kill(State& state, const Parameters& parameters, Random& random) {
  const double share = random.chance(0.2) ? 0.95 : 0.5, zero = random.chance(0.5) ? 0.9 : 0.2;
  for (const Parameter& p : parameters.all())
    for (float& v : state[p.name]) {
      if (p.role == Role::kBitDepth && random.chance(share)) v = 0;
      const bool shift = p.role == Role::kBias || p.role == Role::kNormBias || p.role == Role::kNormWeight;
      if (shift && random.chance(zero)) v = 0;
      if (p.role == Role::kRunningMean && random.chance(0.5)) v = 0;
    }
}

}  // namespace test
