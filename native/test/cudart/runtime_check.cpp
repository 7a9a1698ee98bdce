// native/backends/cuda/runtime.cpp, call by call, over a CUDA runtime that fails where it is told to.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

#include "cuda/runtime.h"
#include "test/cudart/fake_cudart.h"

using namespace selfcompress;
using namespace selfcompress::cuda;

namespace {

// Kernels: only their addresses matter.
void addKernel(int) {}
void badKernel(int) {}

std::vector<int> ran;

struct Fixture {
  Fixture() {
    fake::reset();
    ran.clear();
    fake::world().kernels[reinterpret_cast<const void*>(&addKernel)] = [](void** arguments) {
      ran.push_back(*static_cast<int*>(arguments[0]));
      return cudaSuccess;
    };
    fake::world().kernels[reinterpret_cast<const void*>(&badKernel)] = [](void**) { return cudaErrorIllegalAddress; };
  }
  ~Fixture() { CHECK(fake::live().none()); }  // every test gives back what it took
};

template <class Body>
std::string messageOf(Body body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
void add(Stream& stream, int value, const char* name = "add", std::size_t shared = 0) {
  launch(stream, name, addKernel, dim3(1), dim3(32), shared, value);
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "devices: what is there, or what was looked for") {
  CHECK(listDevices().devices.size() == 1);
  CHECK(listDevices().missing.empty());
  fake::world().driverVersion = 0, fake::world().countError = cudaErrorInsufficientDriver;
  CHECK(listDevices().missing == "driver");
  fake::world().driverVersion = 12040;
  CHECK(has(listDevices().reason, "for CUDA 12.4, which is older than the 13.0"));
  fake::world().driverVersion = 13000, fake::world().countError = cudaErrorNoDevice;
  CHECK(listDevices().missing == "device");
  CHECK(has(messageOf([] { Stream stream({}); }), "offers no device"));
  fake::world().countError = cudaSuccess;
  fake::world().devices = {{"old", 6, 1}};
  CHECK(listDevices().missing == "device");
  CHECK(has(listDevices().reason, "7.5"));
  CHECK(has(messageOf([] { Stream stream({}); }), "received old"));
  fake::world().devices = {{"old", 6, 1}, {"new", 7, 5}};
  StreamOptions options;
  options.device = -1;
  CHECK(withEnvironment(options).device == 1);
  CHECK(has(messageOf([] { Stream stream(StreamOptions{2}); }), "from 0 to 1 but received 2"));
}

TEST_CASE_FIXTURE(Fixture, "a stream that cannot be made leaves nothing behind") {
  for (const char* call : {"cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaMalloc", "cudaMemsetAsync",
                           "cudaStreamSynchronize", "cudaDeviceGetAttribute", "cudaSetDevice"}) {
    fake::world().failures[call] = cudaErrorUnknown;
    CAPTURE(call);
    CHECK(!messageOf([] { Stream stream({}); }).empty());
    CHECK(fake::live().none());
  }
  Stream stream({});
  CHECK(limits(stream).multiprocessors == 132);
}

TEST_CASE_FIXTURE(Fixture, "memory: zeroed, counted, limited; a failure changes nothing") {
  Stream stream({}), limited(StreamOptions{0, std::size_t(100) << 20});
  auto* bytes = static_cast<unsigned char*>(stream.allocate(1000));
  CHECK(std::all_of(bytes, bytes + 1000, [](int b) { return b == 0; }));
  std::size_t before = fake::live().bytes;
  std::string text = messageOf([&] { stream.allocate(std::size_t(2) << 30); });
  CHECK(has(text, "Out of memory on the CUDA device: 2147483648 bytes were asked for"));
  CHECK(has(text, std::to_string((std::size_t(1) << 30) - before) + " are free, this process holds " +
                      std::to_string(before)));
  CHECK_THROWS_AS(stream.allocate(SIZE_MAX - 5), OutOfMemory);
  CHECK_THROWS_AS(limited.allocate(std::size_t(60) << 20), OutOfMemory);  // both streams hold 32 MiB of scratch
  CHECK(fake::live().bytes == before);
  CHECK(cudaGetLastError() == cudaSuccess);
  void* some = limited.allocate(std::size_t(10) << 20);
  limited.release(some);
  stream.release(bytes);
  stream.release(nullptr);
  CHECK(stream.allocate(std::size_t(900) << 20) != nullptr);
  fake::world().failures["cudaHostAlloc"] = cudaErrorMemoryAllocation;
  CHECK(has(messageOf([&] { stream.allocatePinned(64); }), "Out of host memory: 64 bytes"));
  fake::world().failures["cudaGraphInstantiate"] = cudaErrorMemoryAllocation;
  stream.beginRecording();
  CHECK_THROWS_AS(stream.endRecording(), OutOfMemory);
  add(stream, 1);
  stream.synchronize();
  CHECK(ran == std::vector<int>{1});
}

TEST_CASE_FIXTURE(Fixture, "copies of the second queue run when the first waits for them") {
  Stream stream({});
  auto* device = static_cast<int*>(stream.allocate(8));
  auto* pinned = static_cast<int*>(stream.allocatePinned(8));
  auto* result = static_cast<int*>(stream.allocatePinned(8));
  pinned[0] = 7;
  stream.copy(Queue::kCopy, device, pinned, 4);
  stream.record(Queue::kCopy, 0);
  stream.wait(Queue::kCompute, 0);
  stream.copy(Queue::kCompute, result, device, 4);
  stream.record(Queue::kCompute, 1);
  stream.waitOnHost(5);  // never recorded: no wait
  stream.waitOnHost(1);
  CHECK(result[0] == 7);
  stream.zero(device, 4);
  stream.copy(Queue::kCompute, result, device, 4);
  stream.synchronize();
  CHECK(result[0] == 0);
  stream.releasePinned(pinned), stream.releasePinned(result), stream.releasePinned(nullptr);
}

TEST_CASE_FIXTURE(Fixture, "a launch that is refused names the operation, and the next one runs") {
  Stream stream({});
  int one = 1;
  std::string text =
      messageOf([&] { launch(stream, "wide operation", addKernel, dim3(3, 2), dim3(2048), std::size_t(0), one); });
  CHECK(has(text, "wide operation could not be launched (grid 3x2x1, block 2048x1x1, 0 bytes of shared memory)"));
  CHECK(cudaGetLastError() == cudaSuccess);
  add(stream, 2);
  stream.synchronize();
  CHECK(ran == std::vector<int>{2});
}

TEST_CASE_FIXTURE(Fixture, "shared memory beyond 48 KiB is asked for, once for each size that is larger") {
  Stream stream({});
  auto allowed = [] { return fake::sharedLimits()[reinterpret_cast<const void*>(&addKernel)]; };
  add(stream, 1, "add", 48 << 10);
  CHECK(allowed() == 0);
  add(stream, 2, "add", 100 << 10);
  CHECK(allowed() == 100 << 10);
  add(stream, 3, "add", 60 << 10);
  CHECK(allowed() == 100 << 10);
  add(stream, 4, "add", 200 << 10);
  CHECK(allowed() == 200 << 10);
  stream.synchronize();
  CHECK(ran == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(Fixture, "errors of queued work name the latest operations") {
  Stream stream({});
  int one = 1;
  add(stream, 1, "first");
  launch(stream, "second", badKernel, dim3(1), dim3(1), std::size_t(0), one);
  add(stream, 1, "third");
  std::string text = messageOf([&] { stream.synchronize(); });
  CHECK(has(text, "an illegal memory access was encountered (cudaErrorIllegalAddress)"));
  CHECK(has(text, "after first, second, third"));
  CHECK(has(text, "SELFCOMPRESS_CUDA_SYNC=1"));
  CHECK(has(text, "cannot use the device any more"));
  CHECK(has(messageOf([&] { stream.allocate(8); }), "illegal memory access"));
}

TEST_CASE_FIXTURE(Fixture, "a synchronous stream blames the operation itself") {
  setenv("SELFCOMPRESS_CUDA_SYNC", "1", 1);
  StreamOptions options = withEnvironment({});
  unsetenv("SELFCOMPRESS_CUDA_SYNC");
  Stream stream(options);
  CHECK(!stream.canRecord());
  int one = 1;
  add(stream, 1, "first");
  std::string text = messageOf([&] { launch(stream, "second", badKernel, dim3(1), dim3(1), std::size_t(0), one); });
  CHECK(has(text, "seen by second"));
  CHECK(!has(text, "SELFCOMPRESS_CUDA_SYNC"));
}

TEST_CASE_FIXTURE(Fixture, "recording: nothing runs meanwhile, replays run it all; what fails can be cancelled") {
  Stream stream({});
  CHECK(stream.canRecord());
  stream.beginRecording();
  add(stream, 1), add(stream, 2);
  {
    std::unique_ptr<Recorded> recorded = stream.endRecording();
    stream.synchronize();
    CHECK(ran.empty());
    stream.replay(*recorded), stream.replay(*recorded);
    stream.synchronize();
    CHECK(ran == std::vector<int>{1, 2, 1, 2});
    fake::world().failures["cudaGraphLaunch"] = cudaErrorUnknown;
    CHECK(has(messageOf([&] { stream.replay(*recorded); }), "a recorded step"));
  }
  stream.beginRecording();
  CHECK_THROWS_AS(stream.allocate(8), Error);  // not allowed in a recording
  CHECK_THROWS_AS(stream.endRecording(), Error);
  stream.cancelRecording();  // harmless after the end
  stream.beginRecording();
  add(stream, 9);
  stream.cancelRecording();
  stream.synchronize();
  for (const char* call : {"cudaGraphInstantiate", "cudaGraphUpload", "cudaStreamBeginCapture"}) {
    fake::world().failures[call] = cudaErrorUnknown;
    CHECK_THROWS_AS((stream.beginRecording(), stream.endRecording()), Error);
    stream.cancelRecording();
  }
  CHECK(fake::live().graphs == 0);
  CHECK(fake::live().executables == 0);
  stream.beginRecording();
  std::unique_ptr<Recorded> empty = stream.endRecording();
  ran.clear();
  add(stream, 3);
  stream.synchronize();
  CHECK(ran == std::vector<int>{3});
}

TEST_CASE_FIXTURE(Fixture, "the environment") {
  auto with = [](const char* name, const char* value) {
    setenv(name, value, 1);
    StreamOptions options;
    options.device = -1;
    std::string text = messageOf([&] { options = withEnvironment(options); });
    unsetenv(name);
    return std::pair(options, text);
  };
  CHECK(with("SELFCOMPRESS_CUDA_DEVICE", "3").first.device == 3);
  CHECK(has(with("SELFCOMPRESS_CUDA_DEVICE", "-1").second, "SELFCOMPRESS_CUDA_DEVICE but received '-1'"));
  CHECK(with("SELFCOMPRESS_CUDA_MEMORY", "8G").first.memoryLimit == std::size_t(8) << 30);
  CHECK(with("SELFCOMPRESS_CUDA_MEMORY", "500MB").first.memoryLimit == std::size_t(500) << 20);
  CHECK(with("SELFCOMPRESS_CUDA_MEMORY", "12345").first.memoryLimit == 12345);
  for (const char* wrong : {"0", "G", "-1", "1T2", "99999999999999999999G", "20000000000G"})
    CHECK(has(with("SELFCOMPRESS_CUDA_MEMORY", wrong).second, std::string("received '") + wrong));
  CHECK(!with("SELFCOMPRESS_CUDA_SYNC", "0").first.synchronous);
}
