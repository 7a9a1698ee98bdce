// The parts of runtime.h that do not depend on who runs the work.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "cuda/runtime.h"

namespace selfcompress::cuda {
namespace {

// "12", "8G", "512MB" -> bytes; 0 for what is no positive size.
std::size_t parseBytes(const char* text) {
  unsigned long long value = 0;
  const char* end = text + std::strlen(text);
  auto [rest, error] = std::from_chars(text, end, value);
  if (error != std::errc() || rest == text) return 0;
  std::string unit(rest, end);
  int shift = unit.empty() || unit == "B"   ? 0
              : unit == "K" || unit == "KB" ? 10
              : unit == "M" || unit == "MB" ? 20
              : unit == "G" || unit == "GB" ? 30
                                            : -1;
  if (shift < 0 || value > (SIZE_MAX >> shift)) return 0;
  return std::size_t(value) << shift;
}

int firstUsable() {
  std::vector<DeviceInfo> devices = listDevices().devices;
  auto found = std::find_if(devices.begin(), devices.end(),
                            [](const DeviceInfo& d) { return d.computeCapability >= kLeastCapability; });
  return found == devices.end() ? 0 : int(found - devices.begin());
}

[[noreturn]] void throwVariable(const char* what, const char* name, const char* value) {
  throw std::runtime_error(std::string("Expected ") + what + " for " + name + " but received '" + value + "'");
}

}  // namespace

void throwOutOfMemory(std::size_t bytes, std::size_t freeBytes, std::size_t heldBytes, std::size_t limit) {
  std::string text = "Out of memory on the CUDA device: " + std::to_string(bytes) + " bytes were asked for, " +
                     std::to_string(freeBytes) + " are free, this process holds " + std::to_string(heldBytes);
  if (limit) text += " of a limit of " + std::to_string(limit);
  throw OutOfMemory(text + ". A smaller batch size needs less");
}

StreamOptions withEnvironment(StreamOptions options) {
  if (options.device < 0) {
    options.device = firstUsable();
    if (const char* text = std::getenv("SELFCOMPRESS_CUDA_DEVICE"); text && *text) {
      auto [rest, error] = std::from_chars(text, text + std::strlen(text), options.device);
      if (error != std::errc() || *rest || options.device < 0)
        throwVariable("the number of a device (0, 1, ...)", "SELFCOMPRESS_CUDA_DEVICE", text);
    }
  }
  if (const char* text = std::getenv("SELFCOMPRESS_CUDA_MEMORY"); text && *text && !options.memoryLimit) {
    options.memoryLimit = parseBytes(text);
    if (!options.memoryLimit) throwVariable("a size such as 8G or 500M", "SELFCOMPRESS_CUDA_MEMORY", text);
  }
  const char* sync = std::getenv("SELFCOMPRESS_CUDA_SYNC");
  if (sync && *sync && std::strcmp(sync, "0") != 0) options.synchronous = true;
  return options;
}

std::string RecentOperations::text() const {
  std::string text;
  std::vector<const char*> seen;
  for (std::size_t i = next_ > kKept ? next_ - kKept : 0; i < next_; i++) {
    const char* name = names_[i % kKept];
    if (std::find_if(seen.begin(), seen.end(), [&](const char* s) { return !std::strcmp(s, name); }) != seen.end())
      continue;
    seen.push_back(name);
    text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text;
}

}  // namespace selfcompress::cuda
