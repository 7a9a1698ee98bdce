// The options of a network that choose where it runs, and how precisely.
#pragma once

#include <memory>

#include "node/arguments.h"
#include "selfcompress/backend.h"

namespace selfcompress::node {

struct DeviceOptions {
  enum class Kind { kAuto, kCpu, kCuda } kind = Kind::kAuto;
  std::string text = "auto";
  int index = -1;  // of the CUDA device; -1: not said
  Precision precision = Precision::kFloat32;
  std::size_t memoryLimit = 0;
};

// `device`, `precision` and `memoryLimit` of the options at `path`.
DeviceOptions readDevice(const Napi::Value& options, const std::string& path);
// Throws an Error when the device asked for is not there, with what was looked for; a RangeError for a device or a
// precision that does not exist; OutOfMemory.
std::unique_ptr<Backend> makeBackend(Napi::Env, const DeviceOptions&, const std::string& path);

// What info() says of CUDA.
Napi::Object cudaInfo(Napi::Env);

}  // namespace selfcompress::node
