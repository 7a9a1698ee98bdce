// Finds the shared library with the CUDA backend at run time, and makes backends from it. A machine without the
// library, a driver or a device is one on which this says so.
#pragma once

#include <string>
#include <vector>

#include "selfcompress/backend.h"

namespace selfcompress::cuda {

struct LoadedDevice {
  std::string name;
  int computeCapability = 0;  // 10 * major + minor
  std::size_t memoryBytes = 0;
};

struct Availability {
  std::string library;  // path of the library, whether it was found or not
  std::string missing;  // what was looked for first and not found: "library", "driver", "device"; empty: available
  std::string reason;   // a sentence for people
  std::vector<LoadedDevice> devices;
  bool available() const { return missing.empty(); }
};

// The library is SELFCOMPRESS_CUDA_LIBRARY, or the one beside this binary. It is loaded once, at the first call, and
// never unloaded; devices are looked for at every call.
Availability availability();

struct LoadOptions {
  int device = -1;  // -1: SELFCOMPRESS_CUDA_DEVICE, or the first
  std::size_t memoryLimit =
      0;  // bytes that this process may hold on the device; 0: SELFCOMPRESS_CUDA_MEMORY, or all of it
  Precision precision = Precision::kFloat32;
};
// Throws std::runtime_error with the reason if CUDA is not available, OutOfMemory.
std::unique_ptr<Backend> loadBackend(const LoadOptions&);

}  // namespace selfcompress::cuda
