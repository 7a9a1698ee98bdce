#include "graph/shapes.h"

#include <unordered_map>
#include <unordered_set>

namespace selfcompress {
namespace {

constexpr std::int64_t kMostElements = std::int64_t(1)
                                       << 40;                // floats in one tensor of a batch, or weights of one layer
constexpr std::int64_t kMostPixels = std::int64_t(1) << 30;  // of one channel
constexpr int kMostConcatInputs = 16;

std::string text(Shape s) {
  return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width);
}

[[noreturn]] void fail(const std::string& what, const std::string& argument, const std::string& got) {
  throw DescriptionError("Expected " + what + " for " + argument + " but received " + got);
}

std::string field(const NodeDescription& node, const char* name) { return "node \"" + node.name + "\"." + name; }

void checkWindow(const NodeDescription& node, Shape in, int outHeight, int outWidth) {
  for (int axis = 0; axis < 2; axis++) {
    int size = axis ? in.width : in.height;
    std::int64_t reach = std::int64_t(node.dilation[axis]) * (node.kernel[axis] - 1) + 1,
                 padded = std::int64_t(size) + 2 * std::int64_t(node.padding[axis]);
    if (reach > padded)
      fail("a kernel that fits its padded input " + text(in), field(node, "kernel"),
           std::to_string(node.kernel[0]) + "x" + std::to_string(node.kernel[1]) + " (padding " +
               std::to_string(node.padding[0]) + "x" + std::to_string(node.padding[1]) + ", dilation " +
               std::to_string(node.dilation[0]) + "x" + std::to_string(node.dilation[1]) + ")");
  }
  if (outHeight < 1 || outWidth < 1)
    fail("an output of at least 1x1 pixels", field(node, "kernel"),
         std::to_string(outHeight) + "x" + std::to_string(outWidth));
}

Shape convolutionShape(const NodeDescription& node, Shape in) {
  if (node.kind == NodeKind::kLinear && in.elements() > INT32_MAX)
    fail("at most 2^31 - 1 input features", field(node, "inputs"), text(in));
  Conv2dGeometry g = geometryOf(node, in);
  if (in.channels % node.groups && node.kind == NodeKind::kConv2d)
    fail("a divisor of the " + std::to_string(in.channels) + " input channels", field(node, "groups"),
         std::to_string(node.groups));
  if (node.outChannels % node.groups)
    fail("a divisor of the " + std::to_string(node.outChannels) + " output channels", field(node, "groups"),
         std::to_string(node.groups));
  checkWindow(node, in, 1, 1);
  checkWindow(node, in, g.outHeight(), g.outWidth());
  double perChannel = double(g.inPerGroup()) * node.kernel[0] * node.kernel[1];
  if (perChannel > double(INT32_MAX))
    fail("at most 2^31 - 1 weights of an output channel", "node \"" + node.name + "\"", text(in) + " inputs");
  if (perChannel * node.outChannels > double(kMostElements))
    fail("at most 2^40 weights", "node \"" + node.name + "\"", std::to_string(node.outChannels) + " output channels");
  return g.output();
}

Shape shapeOf(const NodeDescription& node, const std::vector<Shape>& in) {
  switch (node.kind) {
    case NodeKind::kConv2d:
    case NodeKind::kLinear:
      return convolutionShape(node, in[0]);
    case NodeKind::kBatchNorm:
    case NodeKind::kActivation:
    case NodeKind::kDropout:
      return in[0];
    case NodeKind::kPool: {
      checkWindow(node, in[0], 1, 1);
      for (int axis = 0; axis < 2; axis++)
        if (node.padding[axis] > node.kernel[axis] / 2)
          fail("at most half the kernel", field(node, "padding"), std::to_string(node.padding[axis]));
      Shape out = poolGeometryOf(node, in[0]).output();
      checkWindow(node, in[0], out.height, out.width);
      return out;
    }
    case NodeKind::kGlobalAveragePool:
      return {in[0].channels, 1, 1};
    case NodeKind::kFlatten:
      if (in[0].elements() > INT32_MAX) fail("at most 2^31 - 1 features", field(node, "inputs"), text(in[0]));
      return {int(in[0].elements()), 1, 1};
    case NodeKind::kAdd:
      if (!(in[0] == in[1]))
        fail("two inputs of one shape", field(node, "inputs"), text(in[0]) + " and " + text(in[1]));
      return in[0];
    case NodeKind::kConcat: {
      std::int64_t channels = 0;
      for (Shape s : in) {
        if (s.height != in[0].height || s.width != in[0].width)
          fail("inputs of one height and width", field(node, "inputs"), text(in[0]) + " and " + text(s));
        channels += s.channels;
      }
      if (channels > INT32_MAX) fail("at most 2^31 - 1 channels", field(node, "inputs"), std::to_string(channels));
      return {int(channels), in[0].height, in[0].width};
    }
  }
  fail("a known kind", field(node, "kind"), std::to_string(int(node.kind)));
}

void checkInputCount(const NodeDescription& node) {
  std::size_t least = 1, most = 1;
  if (node.kind == NodeKind::kAdd) least = most = 2;
  if (node.kind == NodeKind::kConcat) least = 2, most = kMostConcatInputs;
  if (node.inputs.size() < least || node.inputs.size() > most)
    fail(least == most ? std::to_string(least) + (least == 1 ? " name" : " names")
                       : std::to_string(least) + " to " + std::to_string(most) + " names",
         field(node, "inputs"), std::to_string(node.inputs.size()));
}

void checkSize(Shape s, int batchSize, const std::string& where) {
  if (std::int64_t(s.height) * s.width > kMostPixels) fail("at most 2^30 pixels", where, text(s));
  if (double(s.elements()) * kLanes * blocksOf(batchSize) > double(kMostElements))
    fail("at most 2^40 elements in a batch", where, std::to_string(batchSize) + " images of " + text(s));
}

// Every node has to lead to the output: anything else is a mistake in the graph.
void checkReachable(const NetworkDescription& network, const Topology& topology) {
  std::vector<bool> needed(topology.shapes.size(), false);
  needed[std::size_t(topology.output)] = true;
  for (std::size_t i = network.nodes.size(); i-- > 0;) {
    if (!needed[i + 1])
      fail("nodes that all lead to the output \"" + network.output + "\"", "network.nodes",
           "\"" + network.nodes[i].name + "\", which does not");
    for (int t : topology.inputs[i]) needed[std::size_t(t)] = true;
  }
}

}  // namespace

Conv2dGeometry geometryOf(const NodeDescription& node, Shape in) {
  Conv2dGeometry g;
  g.outChannels = node.outChannels;
  if (node.kind == NodeKind::kLinear) {
    g.inChannels = int(in.elements());
    return g;
  }
  g.inChannels = in.channels;
  g.height = in.height, g.width = in.width;
  g.kernelHeight = node.kernel[0], g.kernelWidth = node.kernel[1];
  g.strideH = node.stride[0], g.strideW = node.stride[1];
  g.padH = node.padding[0], g.padW = node.padding[1];
  g.dilationH = node.dilation[0], g.dilationW = node.dilation[1];
  g.groups = node.groups;
  return g;
}

PoolGeometry poolGeometryOf(const NodeDescription& node, Shape in) {
  if (node.kind == NodeKind::kGlobalAveragePool) return {in, in.height, in.width, 1, 1, 0, 0, true};
  return {in,
          node.kernel[0],
          node.kernel[1],
          node.stride[0],
          node.stride[1],
          node.padding[0],
          node.padding[1],
          node.countIncludePad};
}

Shape outputShape(const NodeDescription& node, const std::vector<Shape>& inputs, int batchSize) {
  for (Shape s : inputs) checkSize(s, batchSize, field(node, "inputs"));
  Shape out = shapeOf(node, inputs);
  checkSize(out, batchSize, "node \"" + node.name + "\"");
  return out;
}

Topology inferShapes(const NetworkDescription& network, int batchSize) {
  Topology topology;
  std::unordered_map<std::string, int> tensorOf{{kInputName, 0}};
  topology.shapes.push_back(network.input);
  topology.readers.emplace_back();
  checkSize(network.input, batchSize, "network.input");
  bool weights = false;
  for (std::size_t i = 0; i < network.nodes.size(); i++) {
    const NodeDescription& node = network.nodes[i];
    const std::string where = "network.nodes[" + std::to_string(i) + "].name";
    if (node.name.empty() || node.name.find_first_of("/.") != std::string::npos)
      fail("a name without '/' and '.'", where, "\"" + node.name + "\"");
    if (tensorOf.count(node.name)) fail("a name that no other node has", where, "\"" + node.name + "\"");
    checkInputCount(node);
    std::vector<Shape> in;
    topology.inputs.emplace_back();
    for (const std::string& name : node.inputs) {
      auto found = tensorOf.find(name);
      if (found == tensorOf.end())
        fail("the names of earlier nodes or \"input\"", field(node, "inputs"), "\"" + name + "\"");
      topology.inputs[i].push_back(found->second);
      topology.readers[std::size_t(found->second)].push_back(int(i));
      in.push_back(topology.shapes[std::size_t(found->second)]);
    }
    Shape out = outputShape(node, in, batchSize);
    weights = weights || isWeightLayer(node);
    tensorOf[node.name] = int(topology.shapes.size());
    topology.shapes.push_back(out);
    topology.readers.emplace_back();
  }
  auto output = tensorOf.find(network.output);
  if (output == tensorOf.end() || output->second == 0)
    fail("the name of a node", "network.output", "\"" + network.output + "\"");
  topology.output = output->second;
  if (!weights) fail("at least one conv2d or linear node", "network.nodes", "none");
  checkReachable(network, topology);
  return topology;
}

}  // namespace selfcompress
