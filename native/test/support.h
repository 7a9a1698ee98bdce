// What the C++ tests share: seeded random numbers, buffers on a backend, every backend of this machine, and comparison.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "selfcompress/backend.h"
#if !defined(SELFCOMPRESS_CUDA_HOST)
#include "cpu/past_caches.h"
#include "cuda/loader.h"
#else
#include "cuda/cuda_backend.h"
#endif

namespace test {

using namespace selfcompress;

// Number of random cases, of `all` in a whole run: SELFCOMPRESS_TEST_SHARE=0.05 takes a twentieth, for emulators.
inline int cases(int all) {
  const char* share = std::getenv("SELFCOMPRESS_TEST_SHARE");
  return share ? std::max(2, int(all * std::atof(share))) : all;
}

// Where the seeds of these cases start: 1; on the model of a device, where each of its seeds runs a share of the cases,
// not the same ones for all.
inline std::uint64_t firstSeed([[maybe_unused]] int all) {
#if defined(SELFCOMPRESS_CUDA_HOST)
  return 1 + (cuda::host::settings().seed - 1) * std::uint64_t(cases(all));
#else
  return 1;
#endif
}

// While it lives, the processor writes results of cases of odd number past the caches, however few they are.
class PastCaches {
 public:
  explicit PastCaches([[maybe_unused]] std::uint64_t number) {
#if !defined(SELFCOMPRESS_CUDA_HOST)
    cpu::setPastCaches(number % 2 ? 0 : cpu::kPastCaches);
#endif
  }
  PastCaches(const PastCaches&) = delete;
  ~PastCaches() {
#if !defined(SELFCOMPRESS_CUDA_HOST)
    cpu::setPastCaches(cpu::kPastCaches);
#endif
  }
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(engine_) < p; }
  std::vector<float> reals(std::int64_t count, float low = -1, float high = 1) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& v : values) v = real(low, high);
    return values;
  }
  // Ascending list of the channels kept with probability p; sometimes empty.
  std::vector<std::int32_t> channels(int count, double p) {
    std::vector<std::int32_t> list;
    for (int c = 0; c < count; c++)
      if (chance(p)) list.push_back(c);
    return list;
  }

 private:
  std::mt19937_64 engine_;
};

// Memory of a backend that starts as a copy of `values`.
template <class T>
class Buffer {
 public:
  Buffer(Backend& backend, std::vector<T> values) : backend_(backend), size_(values.size()) {
    data_ = static_cast<T*>(backend.allocate(std::max<std::size_t>(1, size_) * sizeof(T)));
    backend.upload(data_, values.data(), size_ * sizeof(T));
  }
  Buffer(Backend& backend, std::int64_t count, T value) : Buffer(backend, std::vector<T>(std::size_t(count), value)) {}
  Buffer(const Buffer&) = delete;
  ~Buffer() { backend_.release(data_); }
  T* get() { return data_; }
  std::vector<T> values() {
    backend_.synchronize();
    std::vector<T> result(size_);
    backend_.download(result.data(), data_, size_ * sizeof(T));
    return result;
  }

 private:
  Backend& backend_;
  T* data_;
  std::size_t size_;
};

#if !defined(SELFCOMPRESS_CUDA_HOST)
// SELFCOMPRESS_TEST_CUDA=1: the CUDA library that the loader finds, on its first device, instead of the processor.
inline bool testsDevice() {
  const char* wanted = std::getenv("SELFCOMPRESS_TEST_CUDA");
  return wanted && std::string(wanted) == "1";
}
#endif

// The backends that are compared with the reference. Built with SELFCOMPRESS_CUDA_HOST: the CUDA backend on the host's
// model of a device (native/backends/cuda/host/), one of its devices by the seed; else every instruction set of this
// processor, or a real device (testsDevice).
inline std::vector<std::unique_ptr<Backend>> testedBackends(
    [[maybe_unused]] Precision precision = Precision::kFloat32) {
  std::vector<std::unique_ptr<Backend>> all;
#if defined(SELFCOMPRESS_CUDA_HOST)
  std::vector<cuda::DeviceInfo> devices = cuda::listDevices().devices;
  if (precision != Precision::kFloat32)
    std::erase_if(devices, [](const cuda::DeviceInfo& device) { return device.computeCapability < 80; });
  const cuda::DeviceInfo& chosen = devices[cuda::host::settings().seed % devices.size()];
  cuda::StreamOptions options;
  std::vector<cuda::DeviceInfo> listed = cuda::listDevices().devices;
  while (listed[std::size_t(options.device)].name != chosen.name) options.device++;
  all.push_back(cuda::makeBackend(options, precision));
#else
  if (testsDevice()) {
    const auto devices = cuda::availability().devices;
    const bool tensorCores = !devices.empty() && devices.front().computeCapability >= 80;
    if (precision == Precision::kFloat32 || tensorCores) all.push_back(cuda::loadBackend({0, 0, precision}));
    return all;
  }
  if (precision != Precision::kFloat32) return all;
  for (cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kNeon})
    if (cpu::isaSupported(isa)) all.push_back(cpu::makeBackend(isa));
#endif
  return all;
}

// Of these, the ones for operations that the CUDA backend does not have: none of a device.
inline std::vector<std::unique_ptr<Backend>> processorBackends() {
#if defined(SELFCOMPRESS_CUDA_HOST)
  return {};
#else
  if (testsDevice()) return {};
  return testedBackends();
#endif
}

// The one that a user would get, of these.
inline std::unique_ptr<Backend> chosenBackend() {
#if defined(SELFCOMPRESS_CUDA_HOST)
  return std::move(testedBackends().front());
#else
  return testsDevice() ? cuda::loadBackend({0, 0, Precision::kFloat32}) : cpu::makeBackend(cpu::chooseIsa());
#endif
}

// Largest |a - b| relative to the largest magnitude of `expected` (at least `floor`); NaN must meet NaN, inf the same
// inf.
inline double difference(const std::vector<float>& actual, const std::vector<float>& expected, double floor = 1e-3) {
  REQUIRE(actual.size() == expected.size());
  double scale = floor, worst = 0;
  for (float v : expected)
    if (std::isfinite(v)) scale = std::max(scale, std::fabs(double(v)));
  for (std::size_t i = 0; i < actual.size(); i++) {
    double a = actual[i], b = expected[i];
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) continue;
    double d = std::fabs(a - b) / scale;
    worst = std::isnan(d) || std::isinf(d) ? 1e30 : std::max(worst, d);
  }
  return worst;
}

inline bool sameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs `body` with 1, 2 and 5 threads and checks that the results are the same to the bit. On the model of a device:
// with three orders of its threads and blocks.
template <class Body>
std::vector<float> sameForAllThreads(Body body) {
  int before = cpu::threads();
  cpu::setThreads(1);
  std::vector<float> one = body();
  for (int threads : {2, 5}) {
    cpu::setThreads(threads);
    CHECK(sameBits(body(), one));
  }
  cpu::setThreads(before);
  return one;
}

}  // namespace test
