// The parameters of a network: which there are, and their memory: four blocks (values, gradients, first and second
// moments), or five (with averages of the values), in which each parameter is a view, in the same order. What is
// between two views is zero.
//
// Order: bit depths, exponents (always trained by Adam: two moments), the other trained parameters, and what is not
// trained, which only the block of values has. With SGD the block of second moments ends behind the exponents.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "graph/infer.h"
#include "program/device_memory.h"

namespace selfcompress {

inline constexpr const char* kAverage = "/average";  // of a tensor's name

struct Parameter {
  std::string name;  // `<node>.<weight|bias|runningMean|runningVar|bitDepth|exponent|idle>`
  int node = 0;
  Role role = Role::kWeight;
  std::vector<ParameterAxis> axes;
  std::int64_t count = 0;
  std::int64_t offset = 0;  // in the blocks, in floats
  int moments = 0;          // running statistics are not trained: 0
  float* value = nullptr;
  float* gradient = nullptr;  // nullptr without moments
  float* moment[2] = {nullptr, nullptr};
  std::vector<std::int64_t> shape() const;
  bool isNormOrBias() const {
    return role == Role::kBias || role == Role::kNormWeight || role == Role::kNormBias || role == Role::kSlope;
  }
};

// A piece of a block that several parameters share.
struct BlockRange {
  std::int64_t first = 0, count = 0;  // in floats
};

class Parameters {
 public:
  // memory == nullptr: only which there are.
  // idle: with the counters of idle channels (ops/rate.h) of all layers that compress.
  // average: with a block of averages.
  Parameters(const NetworkDescription&, const Topology&, int moments, DeviceMemory* memory, bool idle = false,
             bool average = false);
  // The same in the block of averages, without gradients and moments: what is evaluated where there is one.
  Parameters ofAverages() const;
  // By node, and by role within a node.
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

  // The blocks; `values` is the longest.
  float *values = nullptr, *gradients = nullptr, *moment1 = nullptr, *moment2 = nullptr, *averages = nullptr;
  std::int64_t valueCount = 0, trainedCount = 0, moment2Count = 0;
  BlockRange bitDepths, exponents;  // of all layers, in the same order
  BlockRange others;                // trained parameters that are neither

  // A tensor of the state by name: `<parameter>` or `<parameter>/moment1|2|average`. count < 0: no such tensor.
  struct Tensor {
    float* memory = nullptr;
    std::int64_t count = -1;
  };
  Tensor tensor(const std::string& name) const;
  // Throws DescriptionError when there is no tensor of this name and length.
  void check(const std::string& name, std::size_t length) const;
  std::int64_t floats() const {
    return valueCount * (average_ ? 2 : 1) + 2 * trainedCount + moment2Count;
  }  // in all blocks
  // Names of all tensors of the state, in a fixed order.
  std::vector<std::string> tensorNames() const;

 private:
  void collect(const NetworkDescription&, const Topology&, int moments, bool idle);
  void place(int moments);
  void allocate(DeviceMemory&);
  bool average_;
  std::vector<Parameter> all_;
  std::vector<std::array<int, kRoles>> byNode_;  // index in all_, or -1
  std::unordered_map<std::string, std::size_t> byName_;
};

}  // namespace selfcompress
