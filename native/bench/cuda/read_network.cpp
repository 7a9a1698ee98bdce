#include "bench/cuda/read_network.h"

#include <map>
#include <sstream>

namespace selfcompress::bench {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}
std::array<int, 2> pairOf(const std::string& text) {
  auto parts = split(text);
  if (parts.size() != 2) throw std::runtime_error("Expected two numbers but received " + text);
  return {std::stoi(parts[0]), std::stoi(parts[1])};
}

void setKind(NodeDescription& n, const std::string& kind) {
  static const std::map<std::string, NodeKind> kinds{{"conv2d", NodeKind::kConv2d},
                                                     {"linear", NodeKind::kLinear},
                                                     {"batchNorm", NodeKind::kBatchNorm},
                                                     {"relu", NodeKind::kActivation},
                                                     {"gelu", NodeKind::kActivation},
                                                     {"silu", NodeKind::kActivation},
                                                     {"maxPool", NodeKind::kPool},
                                                     {"averagePool", NodeKind::kPool},
                                                     {"globalAveragePool", NodeKind::kGlobalAveragePool},
                                                     {"flatten", NodeKind::kFlatten},
                                                     {"add", NodeKind::kAdd},
                                                     {"concat", NodeKind::kConcat},
                                                     {"dropout", NodeKind::kDropout}};
  auto found = kinds.find(kind);
  if (found == kinds.end()) throw std::runtime_error("Expected a kind of node but received " + kind);
  n.kind = found->second;
  if (kind == "gelu") n.activation = Activation::kGelu;
  if (kind == "silu") n.activation = Activation::kSilu;
  if (kind == "averagePool") n.pool = Pool::kAverage;
}

void setField(NodeDescription& n, const std::string& key, const std::string& value) {
  if (key == "inputs") n.inputs = split(value);
  else if (key == "outChannels" || key == "outFeatures") n.outChannels = std::stoi(value);
  else if (key == "kernel") n.kernel = pairOf(value);
  else if (key == "stride") n.stride = pairOf(value);
  else if (key == "padding") n.padding = pairOf(value);
  else if (key == "dilation") n.dilation = pairOf(value);
  else if (key == "groups") n.groups = std::stoi(value);
  else if (key == "bias") n.bias = value == "1";
  else if (key == "compress") n.compress = value == "1";
  else if (key == "affine") n.affine = value == "1";
  else if (key == "countIncludePad") n.countIncludePad = value == "1";
  else if (key == "epsilon") n.epsilon = std::stof(value);
  else if (key == "momentum") n.momentum = std::stof(value);
  else if (key == "probability") n.probability = std::stof(value);
  else throw std::runtime_error("Expected a field of a node but received " + key);
}

}  // namespace

NetworkDescription readNetwork(std::istream& lines) {
  NetworkDescription network;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, kind, key, value;
    words >> first;
    if (first == "end") return network;
    if (first == "input") {
      words >> network.input.channels >> network.input.height >> network.input.width;
    } else if (first == "output") {
      words >> network.output;
    } else if (first == "node") {
      NodeDescription n;
      words >> kind >> n.name;
      setKind(n, kind);
      while (words >> key >> value) setField(n, key, value);
      if (n.kind == NodeKind::kPool && line.find(" stride ") == std::string::npos) n.stride = n.kernel;
      network.nodes.push_back(std::move(n));
    } else {
      throw std::runtime_error("Expected input, node, output or end but received " + first);
    }
  }
  throw std::runtime_error("Expected a line \"end\" after the network");
}

}  // namespace selfcompress::bench
