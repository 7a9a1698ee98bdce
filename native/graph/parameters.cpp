#include "graph/parameters.h"

namespace selfcompress {
namespace {

constexpr std::int64_t kFloatsAligned = kAlignment / std::int64_t(sizeof(float));

bool isQuantizers(Role role) { return role == Role::kBitDepth || role == Role::kExponent; }

}  // namespace

std::vector<std::int64_t> Parameter::shape() const {
  std::vector<std::int64_t> sizes;
  for (const ParameterAxis& axis : axes) sizes.push_back(axis.size);
  return sizes;
}

Parameters::Parameters(const NetworkDescription& network, const Topology& topology, int moments, DeviceMemory* memory,
                       bool idle, bool average)
    : average_(average) {
  collect(network, topology, moments, idle);
  place(moments);
  if (memory) allocate(*memory);
}

void Parameters::collect(const NetworkDescription& network, const Topology& topology, int moments, bool idle) {
  for (int i = 0; i < int(network.nodes.size()); i++) {
    byNode_.emplace_back().fill(-1);
    const NodeDescription& node = network.nodes[std::size_t(i)];
    if (!node.op->parameters) continue;
    std::vector<ParameterSpec> specs = node.op->parameters(topology.context(network, i));
    for (std::size_t k = 0; idle && k < specs.size(); k++)
      if (specs[k].role == Role::kBitDepth) {
        specs.push_back({Role::kIdle, "idle", specs[k].axes, false});
        break;
      }
    for (ParameterSpec& spec : specs) {
      Parameter p;
      p.name = node.name + "." + spec.suffix, p.node = i, p.role = spec.role, p.axes = std::move(spec.axes);
      p.moments = !spec.trained ? 0 : isQuantizers(p.role) ? 2 : moments;
      p.count = 1;
      for (const ParameterAxis& axis : p.axes) p.count *= axis.size;
      byNode_.back()[std::size_t(p.role)] = int(all_.size());
      byName_[p.name] = all_.size();
      all_.push_back(std::move(p));
    }
  }
}

void Parameters::place(int moments) {
  std::int64_t end = 0;
  auto placeAll = [&](auto which) {
    BlockRange range{end, 0};
    for (Parameter& p : all_)
      if (which(p)) {
        p.offset = end;
        end += (p.count + kFloatsAligned - 1) / kFloatsAligned * kFloatsAligned;
      }
    range.count = end - range.first;
    return range;
  };
  bitDepths = placeAll([](const Parameter& p) { return p.role == Role::kBitDepth; });
  exponents = placeAll([](const Parameter& p) { return p.role == Role::kExponent; });
  const std::int64_t quantizers = end;
  others = placeAll([](const Parameter& p) { return p.moments && !isQuantizers(p.role); });
  trainedCount = end;
  placeAll([](const Parameter& p) { return !p.moments; });
  valueCount = end;
  moment2Count = moments > 1 ? trainedCount : quantizers;
}

void Parameters::allocate(DeviceMemory& memory) {
  values = memory.allocate<float>(std::size_t(valueCount));
  gradients = memory.allocate<float>(std::size_t(trainedCount));
  moment1 = memory.allocate<float>(std::size_t(trainedCount));
  moment2 = memory.allocate<float>(std::size_t(moment2Count));
  if (average_) averages = memory.allocate<float>(std::size_t(valueCount));
  for (Parameter& p : all_) {
    p.value = values + p.offset;
    if (p.moments) p.gradient = gradients + p.offset;
    if (p.moments > 0) p.moment[0] = moment1 + p.offset;
    if (p.moments > 1) p.moment[1] = moment2 + p.offset;
  }
}

Parameters Parameters::ofAverages() const {
  Parameters result = *this;
  result.values = averages;
  result.gradients = result.moment1 = result.moment2 = result.averages = nullptr;
  for (Parameter& p : result.all_) {
    p.value = averages + p.offset;
    p.gradient = p.moment[0] = p.moment[1] = nullptr;
  }
  return result;
}

const Parameter* Parameters::find(int node, Role role) const {
  int at = byNode_[std::size_t(node)][std::size_t(role)];
  return at < 0 ? nullptr : &all_[std::size_t(at)];
}

Parameters::Tensor Parameters::tensor(const std::string& name) const {
  std::size_t slash = name.find('/');
  auto found = byName_.find(name.substr(0, slash));
  if (found == byName_.end()) return {};
  const Parameter& p = all_[found->second];
  if (slash == std::string::npos) return {p.value, p.count};
  if (average_ && name.compare(slash, std::string::npos, kAverage) == 0)
    return {averages ? averages + p.offset : nullptr, p.count};
  for (int m = 0; m < p.moments; m++)
    if (name.compare(slash, std::string::npos, m ? "/moment2" : "/moment1") == 0) return {p.moment[m], p.count};
  return {};
}

void Parameters::check(const std::string& name, std::size_t length) const {
  const std::int64_t count = tensor(name).count;
  if (count < 0)
    throw DescriptionError("Expected names of this network's tensors for state but received \"" + name + "\"");
  if (std::size_t(count) != length)
    throw DescriptionError("Expected " + std::to_string(count) + " elements for state[\"" + name + "\"] but received " +
                           std::to_string(length));
}

std::vector<std::string> Parameters::tensorNames() const {
  std::vector<std::string> names;
  for (const Parameter& p : all_) {
    names.push_back(p.name);
    for (int m = 0; m < p.moments; m++) names.push_back(p.name + (m ? "/moment2" : "/moment1"));
    if (average_) names.push_back(p.name + kAverage);
  }
  return names;
}

}  // namespace selfcompress
