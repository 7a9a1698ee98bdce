// The parameters of a network: which there are, and their memory (value, gradient, optimizer moments).
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "graph/program.h"
#include "graph/shapes.h"

namespace selfcompress {

enum class Role { kWeight, kBias, kNormWeight, kNormBias, kRunningMean, kRunningVar, kBitDepth, kExponent };
const char* roleName(Role);

struct Parameter {
  std::string name;  // `<node>.<weight|bias|runningMean|runningVar|bitDepth|exponent>`
  int node = 0;
  Role role = Role::kWeight;
  std::vector<std::int64_t> shape;
  std::int64_t count = 0;
  int moments = 0;  // running statistics are not trained: 0
  float* value = nullptr;
  float* gradient = nullptr;  // nullptr without moments
  float* moment[2] = {nullptr, nullptr};
  bool isNormOrBias() const { return role == Role::kBias || role == Role::kNormWeight || role == Role::kNormBias; }
};

class Parameters {
 public:
  Parameters(const NetworkDescription&, const Topology&, int moments, DeviceMemory&);
  const std::vector<Parameter>& all() const { return all_; }
  // The parameter of a node in a role, or nullptr.
  const Parameter* find(int node, Role) const;
  float* value(int node, Role role) const {
    auto* p = find(node, role);
    return p ? p->value : nullptr;
  }
  float* gradient(int node, Role role) const {
    auto* p = find(node, role);
    return p ? p->gradient : nullptr;
  }

  // A tensor of the state by name: `<parameter>` or `<parameter>/moment1|2`. memory == nullptr: no such tensor.
  struct Tensor {
    float* memory = nullptr;
    std::int64_t count = 0;
  };
  Tensor tensor(const std::string& name) const;
  // Names of all tensors of the state, in a fixed order.
  std::vector<std::string> tensorNames() const;

 private:
  std::vector<Parameter> all_;
  std::unordered_map<std::string, std::size_t> byName_;
};

}  // namespace selfcompress
