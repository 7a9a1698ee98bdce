// A CUDA runtime for the tests of native/backends/cuda/runtime.cpp on machines without a GPU: it keeps what the calls
// ask for, runs queued work as late as it may, and fails where a test says so.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace fake {

struct Device {
  std::string name;
  int major = 9, minor = 0;
  std::size_t memory = std::size_t(1) << 30;
};

// What a test sets.
struct World {
  std::vector<Device> devices{{"fake H100"}};
  int driverVersion = 13000;
  cudaError_t countError = cudaSuccess;
  std::map<const void*, std::function<cudaError_t(void**)>> kernels;  // what a launched function does, later
  std::map<std::string, cudaError_t> failures;                        // by name of a call: it fails so, once
};
World& world();

// What a test looks at.
struct Live {
  int streams = 0, events = 0, graphs = 0, executables = 0, pinned = 0;
  std::size_t allocations = 0, bytes = 0;
  bool none() const { return !streams && !events && !graphs && !executables && !pinned && !allocations && !bytes; }
};
Live live();
std::map<const void*, int> sharedLimits();  // set by cudaFuncSetAttribute
void reset();                               // a new world; everything must have been given back

}  // namespace fake
