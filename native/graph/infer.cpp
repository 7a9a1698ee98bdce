#include "graph/infer.h"

#include <map>

#include "graph/parts.h"

namespace selfcompress {
namespace {

constexpr std::int64_t kMostElements = std::int64_t(1) << 40;  // floats in one tensor of a batch
constexpr std::int64_t kMostPositions = std::int64_t(1) << 30;

void checkInputCount(const NodeDescription& node) {
  std::size_t least = std::size_t(node.op->leastInputs), most = std::size_t(node.op->mostInputs);
  if (node.inputs.size() < least || node.inputs.size() > most)
    failDescription(least == most ? std::to_string(least) + (least == 1 ? " name" : " names")
                                  : std::to_string(least) + " to " + std::to_string(most) + " names",
                    node.where("inputs"), std::to_string(node.inputs.size()));
}

void checkSize(const Axes& axes, int batchSize, const std::string& where) {
  if (axes.positionCount() > kMostPositions) failDescription("at most 2^30 pixels", where, axes.text());
  if (double(axes.elements()) * kLanes * blocksOf(batchSize) > double(kMostElements))
    failDescription("at most 2^40 elements in a batch", where, std::to_string(batchSize) + " images of " + axes.text());
}

void checkType(const NodeDescription& node, const Axes& in) {
  const bool tokens = in.type == ValueType::kToken;
  if (node.op->reads != Operator::Reads::kEither && tokens != (node.op->reads == Operator::Reads::kTokens))
    failDescription(tokens ? "numbers (an embedding makes them of tokens)" : "the network's input of tokens",
                    node.where("inputs"), tokens ? "tokens" : "numbers");
}

void checkName(const NodeDescription& node, const std::string& where) {
  if (node.name.empty() || node.name.find_first_of("/.") != std::string::npos ||
      node.name.find('\0') != std::string::npos)
    failDescription("a name without '/' and '.'", where, "\"" + node.name + "\"");
}

// Every node has to lead to the output: anything else is a mistake in the graph.
void checkReachable(const NetworkDescription& network, const Topology& topology) {
  std::vector<bool> needed(topology.axes.size(), false);
  needed[std::size_t(topology.output)] = true;
  for (std::size_t i = network.nodes.size(); i-- > 0;) {
    if (!needed[i + 1])
      failDescription("nodes that all lead to the output \"" + network.output + "\"", "network.nodes",
                      "\"" + network.nodes[i].name + "\", which does not");
    for (int t : topology.inputs[i]) needed[std::size_t(t)] = true;
  }
}

// A table whose weights another node takes is read by somebody as well, and by one such node: its gradient is the sum
// of the two.
void checkSharing(const NetworkDescription& network, const Topology& topology) {
  std::vector<int> values(topology.axes.size(), 0), weights(topology.axes.size(), 0);  // how often they are read
  for (std::size_t i = 0; i < network.nodes.size(); i++)
    for (std::size_t k = 0; k < topology.inputs[i].size(); k++) {
      const bool takes = network.nodes[i].op->takesWeights && k + 1 == topology.inputs[i].size();
      (takes ? weights : values)[std::size_t(topology.inputs[i][k])]++;
    }
  for (std::size_t t = 0; t < weights.size(); t++) {
    if (!weights[t]) continue;
    const NodeDescription& table = network.nodes[t - 1];
    if (!values[t]) failDescription("another reader of its values", table.where(), "none");
    if (weights[t] > 1) failDescription("at most one node that takes its weights", table.where(), "several");
  }
}

void checkParts(const NetworkDescription& network, const Topology& topology) {
  if (!network.inputs.empty() && network.input.type == ValueType::kToken)
    failDescription("an input of numbers, to have parts,", "network.inputs", "parts of tokens");
  runsOfParts(network.inputs, network.input, "network.inputs");
  runsOfParts(network.outputs, topology.axes[std::size_t(topology.output)], "network.outputs");
}

void addTensor(Topology& topology, const Axes& axes) {
  topology.axes.push_back(axes);
  topology.shapes.push_back(axes.folded());
  topology.readers.emplace_back();
}

}  // namespace

NodeContext Topology::context(const NetworkDescription& network, int node) const {
  NodeContext context{network.nodes[std::size_t(node)], node, {}, {}};
  for (int t : inputs[std::size_t(node)]) {
    context.inputs.push_back(axes[std::size_t(t)]);
    context.from.push_back(t ? &network.nodes[std::size_t(t) - 1] : nullptr);
  }
  if (std::size_t(node) + 1 < axes.size()) context.output = axes[std::size_t(node) + 1];
  return context;
}

Axes inferNode(const NodeContext& context, int batchSize) {
  for (const Axes& in : context.inputs) {
    checkSize(in, batchSize, context.node.where("inputs"));
    checkType(context.node, in);
  }
  Axes out = context.node.op->infer(context);
  checkSize(out, batchSize, context.node.where());
  return out;
}

Topology inferShapes(const NetworkDescription& network, int batchSize) {
  Topology topology;
  std::map<std::string, int> tensorOf{{kInputName, 0}};
  checkSize(network.input, batchSize, "network.input");
  if (network.input.type == ValueType::kToken && network.input.channels != 1)
    failDescription("1 channel of tokens", "network.input", network.input.text());
  addTensor(topology, network.input);
  bool weights = false;
  for (std::size_t i = 0; i < network.nodes.size(); i++) {
    const NodeDescription& node = network.nodes[i];
    const std::string where = "network.nodes[" + std::to_string(i) + "].name";
    checkName(node, where);
    if (tensorOf.count(node.name)) failDescription("a name that no other node has", where, "\"" + node.name + "\"");
    checkInputCount(node);
    topology.inputs.emplace_back();
    for (const std::string& name : node.inputs) {
      auto found = tensorOf.find(name);
      if (found == tensorOf.end())
        failDescription("the names of earlier nodes or \"input\"", node.where("inputs"), "\"" + name + "\"");
      topology.inputs[i].push_back(found->second);
      topology.readers[std::size_t(found->second)].push_back(int(i));
    }
    Axes out = inferNode(topology.context(network, int(i)), batchSize);
    weights = weights || node.op->isWeightLayer;
    tensorOf[node.name] = int(topology.axes.size());
    addTensor(topology, out);
  }
  auto output = tensorOf.find(network.output);
  if (output == tensorOf.end() || output->second == 0)
    failDescription("the name of a node", "network.output", "\"" + network.output + "\"");
  topology.output = output->second;
  if (!weights) failDescription("at least one layer with weights", "network.nodes", "none");
  checkParts(network, topology);
  checkReachable(network, topology);
  checkSharing(network, topology);
  return topology;
}

}  // namespace selfcompress
