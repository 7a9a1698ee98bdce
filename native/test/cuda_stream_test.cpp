// Streams of the model of a device: order between queues, late work, recorded steps, memory that runs out, faults after
// which a backend is still usable.
#include "test/networks.h"
#if defined(SELFCOMPRESS_CUDA_HOST)
#include "cuda/runtime.h"

using namespace test;
using namespace selfcompress::cuda;

namespace {

__global__ void addOneKernel(float* values, int count) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) global(values)[i] += 1;
}
__global__ void copyKernel(const float* from, float* to, int count) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) global(to)[i] = global(from)[i];
}

struct Pinned {
  Pinned(Stream& s, float value) : stream(s), data(static_cast<float*>(s.allocatePinned(64))) { *data = value; }
  ~Pinned() { stream.releasePinned(data); }
  Stream& stream;
  float* data;
};
float read(Stream& stream, const float* device) {
  float value = 0;
  stream.copy(Queue::kCompute, &value, device, sizeof value);
  stream.synchronize();
  return value;
}
bool throwsError(const std::function<void()>& body, const std::string& part) {
  try {
    body();
  } catch (const std::exception& error) {
    return std::string(error.what()).find(part) != std::string::npos;
  }
  return false;
}

struct Trained {
  std::vector<double> losses;
  State state;
  std::int64_t replayed = 0;
};
Trained train(bool synchronous, Precision precision) {
  StreamOptions streamOptions;
  streamOptions.synchronous = synchronous;
  NetworkOptions options;
  options.batchSize = 20;
  DataSet data = randomData({2, 8, 8}, 40, 4);
  Network network(cuda::makeBackend(streamOptions, precision), richNetwork(false), options);
  network.loadState(randomState(network, 3, 2));
  Trained result;
  for (int step = 1; step <= 8; step++) {
    std::vector<std::int32_t> indices;
    for (int i = 0; i < 20; i++) indices.push_back((i + step * 7) % 40);
    StepSettings s = test::settings(step);
    s.bitDepthLearningRate = 0.4f, s.gamma = 0.5f;  // channels die while the recorded step is replayed
    result.losses.push_back(network.trainStep(data, indices.data(), 20, s).loss);
  }
  result.state = network.state();
  result.replayed = network.replayedSteps();
  return result;
}

}  // namespace

TEST_CASE("a recorded step gives the bits of operations one by one, also after channels died") {
  for (Precision precision : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16}) {
    Trained recorded = train(false, precision), direct = train(true, precision);
    CHECK(recorded.replayed >= 5);
    CHECK(direct.replayed == 0);
    CHECK(recorded.losses == direct.losses);
    CHECK(recorded.state == direct.state);
    std::int64_t dead = 0;
    for (auto& [name, values] : recorded.state)
      if (name.ends_with(".bitDepth")) dead += std::count(values.begin(), values.end(), 0.0f);
    CHECK(dead > 0);
  }
}

TEST_CASE("only events order the two queues") {
  auto readsNew = [](bool wait, std::uint64_t seed) {
    host::settings().seed = seed;
    Stream stream(StreamOptions{});
    auto* value = static_cast<float*>(stream.allocate(4));
    auto* result = static_cast<float*>(stream.allocate(4));
    Pinned source(stream, 7);
    stream.copy(Queue::kCopy, value, source.data, 4);
    stream.record(Queue::kCopy, 0);
    if (wait) stream.wait(Queue::kCompute, 0);
    launch(stream, "copy", copyKernel, 1, 1, 0, value, result, 1);
    return read(stream, result) == 7;
  };
  std::uint64_t before = host::settings().seed;
  int ordered = 0, unordered = 0;
  for (std::uint64_t seed = 1; seed <= 30; seed++) ordered += readsNew(true, seed), unordered += readsNew(false, seed);
  host::settings().seed = before;
  CHECK(ordered == 30);
  CHECK(unordered > 0);
  CHECK(unordered < 30);
}

TEST_CASE("pinned memory is read when the copy runs, other memory when it is queued") {
  Stream stream(StreamOptions{});
  auto* value = static_cast<float*>(stream.allocate(4));
  Pinned pinned(stream, 1);
  stream.copy(Queue::kCompute, value, pinned.data, 4);
  *pinned.data = 2;
  CHECK(read(stream, value) == 2);
  float plain = 3;
  stream.copy(Queue::kCompute, value, &plain, 4);
  plain = 4;
  CHECK(read(stream, value) == 3);
}

TEST_CASE("recorded work runs when it is replayed, and may not touch the host") {
  Stream stream(StreamOptions{});
  auto* value = static_cast<float*>(stream.allocate(4));
  stream.beginRecording();
  launch(stream, "add", addOneKernel, 1, 32, 0, value, 1);
  CHECK(throwsError([&] { stream.synchronize(); }, "recorded"));
  CHECK(throwsError([&] { stream.allocate(4); }, "recorded"));
  float plain = 5;
  CHECK(throwsError([&] { stream.copy(Queue::kCompute, value, &plain, 4); }, "not pinned"));
  auto recorded = stream.endRecording();
  CHECK(read(stream, value) == 0);
  for (int i = 0; i < 3; i++) stream.replay(*recorded);
  CHECK(read(stream, value) == 3);
  stream.release(value);
  stream.replay(*recorded);
  CHECK(throwsError([&] { stream.synchronize(); }, "released"));
}

TEST_CASE("memory that cannot be had is an error that leaves everything usable") {
  StreamOptions options;
  options.memoryLimit = 1 << 20;
  Stream stream(options);
  auto* value = static_cast<float*>(stream.allocate(4));
  CHECK_THROWS_AS(stream.allocate(2 << 20), OutOfMemory);
  launch(stream, "add", addOneKernel, 1, 32, 0, value, 1);
  CHECK(read(stream, value) == 1);
  NetworkOptions large;
  large.batchSize = 1000;
  CHECK_THROWS_AS(Network(cuda::makeBackend(options, Precision::kFloat32), richNetwork(false), large), std::bad_alloc);
  large.batchSize = 2;
  Network network(cuda::makeBackend(options, Precision::kFloat32), richNetwork(false), large);
  CHECK(network.backendName().starts_with("cuda/"));
}

TEST_CASE("launches that no device takes, and faults, name the operation; the stream goes on") {
  Stream stream(StreamOptions{});
  auto* value = static_cast<float*>(stream.allocate(4));
  CHECK(throwsError([&] { launch(stream, "wide", addOneKernel, 1, 1025, 0, value, 1); }, "wide could not be launched"));
  CHECK(throwsError([&] { launch(stream, "none", addOneKernel, 0, 32, 0, value, 1); }, "none could not be launched"));
  CHECK(
      throwsError([&] { launch(stream, "much", addOneKernel, 1, 32, std::size_t(1) << 20, value, 1); }, "much could"));
  launch(stream, "beyond", addOneKernel, 1, 32, 0, value, 2);
  CHECK(throwsError([&] { stream.synchronize(); }, "beyond, block (0,0,0), thread (1,0,0)"));
  stream.zero(value, 4);
  launch(stream, "add", addOneKernel, 1, 32, 0, value, 1);
  CHECK(read(stream, value) == 1);
}

TEST_CASE("scratch memory does not outlive an operation") {
  Stream stream(StreamOptions{});
  auto* value = static_cast<float*>(stream.allocate(8));
  auto* first = static_cast<float*>(scratch(stream, 8));
  launch(stream, "copy", copyKernel, 1, 32, 0, value, first, 2);
  launch(stream, "copy", copyKernel, 1, 32, 0, first, value, 2);
  CHECK(read(stream, value) == 0);
  scratch(stream, 4);
  launch(stream, "copy", copyKernel, 1, 32, 0, first, value, 2);
  CHECK(std::isnan(read(stream, value)));
  CHECK_THROWS_AS(scratch(stream, kScratchBytes + 1), std::length_error);
}
#endif
