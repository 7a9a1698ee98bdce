#include "graph/parameters.h"

namespace selfcompress {

const char* roleName(Role role) {
  switch (role) {
    case Role::kWeight:
      return "weight";
    case Role::kBias:
      return "bias";
    case Role::kNormWeight:
      return "normWeight";
    case Role::kNormBias:
      return "normBias";
    case Role::kRunningMean:
      return "runningMean";
    case Role::kRunningVar:
      return "runningVar";
    case Role::kBitDepth:
      return "bitDepth";
    case Role::kExponent:
      return "exponent";
  }
  return "";
}

Parameters::Parameters(const NetworkDescription& network, const Topology& topology, int moments, DeviceMemory& memory) {
  auto add = [&](int node, Role role, const char* suffix, std::vector<std::int64_t> shape, int momentCount) {
    Parameter p{network.nodes[std::size_t(node)].name + "." + suffix, node, role, std::move(shape), 1, momentCount};
    for (std::int64_t d : p.shape) p.count *= d;
    p.value = memory.allocate<float>(std::size_t(p.count));
    if (momentCount) p.gradient = memory.allocate<float>(std::size_t(p.count));
    for (int m = 0; m < momentCount; m++) p.moment[m] = memory.allocate<float>(std::size_t(p.count));
    byName_[p.name] = all_.size();
    all_.push_back(std::move(p));
  };
  for (int i = 0; i < int(network.nodes.size()); i++) {
    const NodeDescription& node = network.nodes[std::size_t(i)];
    Shape in = topology.shapes[std::size_t(topology.inputs[std::size_t(i)][0])];
    if (isWeightLayer(node)) {
      Conv2dGeometry g = geometryOf(node, in);
      std::vector<std::int64_t> shape{g.outChannels, g.inPerGroup()};
      if (node.kind == NodeKind::kConv2d) shape.insert(shape.end(), {g.kernelHeight, g.kernelWidth});
      add(i, Role::kWeight, "weight", shape, moments);
      if (node.bias) add(i, Role::kBias, "bias", {g.outChannels}, moments);
      if (node.compress) {  // always trained by Adam
        add(i, Role::kBitDepth, "bitDepth", {g.outChannels}, 2);
        add(i, Role::kExponent, "exponent", {g.outChannels}, 2);
      }
    } else if (node.kind == NodeKind::kBatchNorm) {
      if (node.affine) {
        add(i, Role::kNormWeight, "weight", {in.channels}, moments);
        add(i, Role::kNormBias, "bias", {in.channels}, moments);
      }
      add(i, Role::kRunningMean, "runningMean", {in.channels}, 0);
      add(i, Role::kRunningVar, "runningVar", {in.channels}, 0);
    }
  }
}

const Parameter* Parameters::find(int node, Role role) const {
  for (const Parameter& p : all_)
    if (p.node == node && p.role == role) return &p;
  return nullptr;
}

Parameters::Tensor Parameters::tensor(const std::string& name) const {
  std::size_t slash = name.find('/');
  auto found = byName_.find(name.substr(0, slash));
  if (found == byName_.end()) return {};
  const Parameter& p = all_[found->second];
  if (slash == std::string::npos) return {p.value, p.count};
  for (int m = 0; m < p.moments; m++)
    if (name.compare(slash, std::string::npos, m ? "/moment2" : "/moment1") == 0) return {p.moment[m], p.count};
  return {};
}

std::vector<std::string> Parameters::tensorNames() const {
  std::vector<std::string> names;
  for (const Parameter& p : all_) {
    names.push_back(p.name);
    for (int m = 0; m < p.moments; m++) names.push_back(p.name + (m ? "/moment2" : "/moment1"));
  }
  return names;
}

}  // namespace selfcompress
