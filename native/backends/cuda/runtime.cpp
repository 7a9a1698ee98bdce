// runtime.h over the CUDA runtime. Every call is checked; what a call reports may be the fault of work queued earlier.
#include "cuda/runtime.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

namespace selfcompress::cuda {
namespace {

constexpr int kMostDevices = 64;

std::atomic<std::size_t> heldBytes[kMostDevices];

std::string describe(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

// For calls outside of a stream.
void require(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that is only this call's must not be reported by the next one
  throw Error(std::string("CUDA: ") + call + " failed: " + describe(error));
}

// Errors of a launch itself, not of work that was queued before.
bool isLaunchError(cudaError_t error) {
  return error == cudaErrorInvalidValue || error == cudaErrorInvalidConfiguration ||
         error == cudaErrorInvalidDeviceFunction || error == cudaErrorLaunchOutOfResources ||
         error == cudaErrorNoKernelImageForDevice;
}

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

class RecordedGraph final : public Recorded {
 public:
  RecordedGraph(cudaGraphExec_t graph, int device) : graph_(graph), device_(device) {}
  ~RecordedGraph() override {
    cudaSetDevice(device_);
    cudaGraphExecDestroy(graph_);
  }
  cudaGraphExec_t graph() const { return graph_; }

 private:
  cudaGraphExec_t graph_;
  int device_;
};

}  // namespace

struct Stream::State {
  StreamOptions options;
  DeviceInfo device;
  DeviceLimits limits;
  cudaStream_t compute = nullptr, copy = nullptr;
  cudaEvent_t events[kEvents] = {};
  void* scratch = nullptr;
  bool recording = false;
  RecentOperations recent;
  std::unordered_map<const void*, std::size_t> optedIn;  // shared memory that a kernel was allowed, above the default
  std::unordered_map<void*, std::size_t> held;

  void use() const { require(cudaSetDevice(options.device), "cudaSetDevice"); }
  cudaStream_t queue(Queue q) const { return q == Queue::kCompute ? compute : copy; }
  // After a call that may report errors of earlier work.
  void check(cudaError_t error, const char* call) {
    if (error == cudaSuccess) return;
    cudaGetLastError();
    if (error == cudaErrorMemoryAllocation)
      throw OutOfMemory(std::string("Out of memory on the CUDA device, in ") + call);
    std::string text = std::string("CUDA: ") + describe(error) + ", seen by " + call;
    std::string names = recent.text();
    if (!names.empty()) text += ", after " + names;
    if (!options.synchronous) text += ". With SELFCOMPRESS_CUDA_SYNC=1 the message names the operation";
    if (cudaStreamQuery(compute) == error) text += ". This process cannot use the device any more";
    throw Error(text);
  }
};

DeviceList listDevices() {
  DeviceList list;
  int count = 0, driver = 0, runtime = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) {
    list.missing = "driver", list.reason = "no NVIDIA driver was found";
    return list;
  }
  if (error == cudaErrorInsufficientDriver) {
    list.missing = "driver";
    list.reason = "the NVIDIA driver is for CUDA " + versionText(driver) + ", which is older than the " +
                  versionText(runtime) + " that the library was built with";
    return list;
  }
  list.missing = "device";
  if (error != cudaSuccess || count == 0) {
    list.reason = "the NVIDIA driver offers no device: " + describe(error == cudaSuccess ? cudaErrorNoDevice : error);
    return list;
  }
  for (int i = 0; i < std::min(count, kMostDevices); i++) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) {
      cudaGetLastError();  // it is this device's; a place in the list keeps the numbers of the others CUDA's own
      list.devices.push_back({"a device whose properties could not be read", 0, 0});
      continue;
    }
    list.devices.push_back(
        {properties.name, 10 * properties.major + properties.minor, std::size_t(properties.totalGlobalMem)});
  }
  bool usable = std::any_of(list.devices.begin(), list.devices.end(),
                            [](const DeviceInfo& d) { return d.computeCapability >= kLeastCapability; });
  if (usable) list.missing.clear();
  else list.reason = "none of its devices has compute capability 7.5 or above";
  return list;
}

Stream::Stream(const StreamOptions& options) : state_(std::make_unique<State>()) {
  DeviceList list = listDevices();
  if (list.devices.empty()) throw Error("CUDA: " + list.reason);
  if (options.device < 0 || std::size_t(options.device) >= list.devices.size())
    throw Error("Expected a CUDA device from 0 to " + std::to_string(list.devices.size() - 1) + " but received " +
                std::to_string(options.device));
  State& s = *state_;
  s.options = options;
  s.device = list.devices[std::size_t(options.device)];
  if (s.device.computeCapability < kLeastCapability)
    throw Error("Expected a CUDA device of compute capability 7.5 or above but received " + s.device.name);
  s.use();
  int shared = 0, multiprocessors = 0;
  require(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, options.device),
          "cudaDeviceGetAttribute");
  require(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, options.device),
          "cudaDeviceGetAttribute");
  s.limits = {multiprocessors, s.device.computeCapability, std::size_t(shared)};
  try {
    require(cudaStreamCreateWithFlags(&s.compute, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    require(cudaStreamCreateWithFlags(&s.copy, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    for (cudaEvent_t& event : s.events)
      require(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync),
              "cudaEventCreateWithFlags");
    s.scratch = allocate(kScratchBytes);
  } catch (...) {
    destroy();
    throw;
  }
}

Stream::~Stream() { destroy(); }

void Stream::destroy() noexcept {
  State& s = *state_;
  cudaSetDevice(s.options.device);
  if (s.recording) cancelRecording();
  if (s.compute) cudaStreamSynchronize(s.compute);
  if (s.copy) cudaStreamSynchronize(s.copy);
  while (!s.held.empty()) release(s.held.begin()->first);
  for (cudaEvent_t event : s.events)
    if (event) cudaEventDestroy(event);
  if (s.copy) cudaStreamDestroy(s.copy);
  if (s.compute) cudaStreamDestroy(s.compute);
}

const DeviceInfo& Stream::device() const { return state_->device; }

void* Stream::allocate(std::size_t bytes) {
  State& s = *state_;
  s.use();
  bytes = std::max<std::size_t>(bytes, 1);
  std::atomic<std::size_t>& held = heldBytes[s.options.device];
  std::size_t before = held.fetch_add(bytes), free = 0, total = 0;
  void* memory = nullptr;
  bool beyondLimit =
      s.options.memoryLimit && (before > s.options.memoryLimit || bytes > s.options.memoryLimit - before);
  cudaError_t error = beyondLimit || bytes > SIZE_MAX / 2 ? cudaErrorMemoryAllocation : cudaMalloc(&memory, bytes);
  if (error != cudaSuccess) {
    held -= bytes;
    cudaGetLastError();
    if (error != cudaErrorMemoryAllocation) s.check(error, "cudaMalloc");
    s.check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    throwOutOfMemory(bytes, free, before, s.options.memoryLimit);
  }
  s.held[memory] = bytes;
  try {
    s.check(cudaMemsetAsync(memory, 0, bytes, s.compute), "cudaMemsetAsync");
    s.check(cudaStreamSynchronize(s.compute), "cudaStreamSynchronize");  // the copy queue may write it next
  } catch (...) {
    release(memory);
    throw;
  }
  return memory;
}

void Stream::release(void* memory) noexcept {
  State& s = *state_;
  auto found = s.held.find(memory);
  if (found == s.held.end()) return;
  cudaSetDevice(s.options.device);
  cudaFree(memory);  // after an error that spoilt the device nothing can be done, and nothing has to
  heldBytes[s.options.device] -= found->second;
  s.held.erase(found);
}

void* Stream::allocatePinned(std::size_t bytes) {
  State& s = *state_;
  s.use();
  void* memory = nullptr;
  cudaError_t error = cudaHostAlloc(&memory, std::max<std::size_t>(bytes, 1), cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw OutOfMemory("Out of host memory: " + std::to_string(bytes) +
                      " bytes were asked for that the CUDA device can copy from");
  }
  s.check(error, "cudaHostAlloc");
  return memory;
}

void Stream::releasePinned(void* memory) noexcept {
  cudaSetDevice(state_->options.device);
  if (memory) cudaFreeHost(memory);
}

void Stream::copy(Queue queue, void* to, const void* from, std::size_t bytes) {
  State& s = *state_;
  s.use();
  s.check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s.queue(queue)), "cudaMemcpyAsync");
}

void Stream::zero(void* device, std::size_t bytes) {
  State& s = *state_;
  s.use();
  s.check(cudaMemsetAsync(device, 0, bytes, s.compute), "cudaMemsetAsync");
}

void Stream::record(Queue queue, int event) {
  State& s = *state_;
  s.use();
  s.check(cudaEventRecord(s.events[event], s.queue(queue)), "cudaEventRecord");
}
void Stream::wait(Queue queue, int event) {
  State& s = *state_;
  s.use();
  s.check(cudaStreamWaitEvent(s.queue(queue), s.events[event], 0), "cudaStreamWaitEvent");
}
void Stream::waitOnHost(int event) {
  State& s = *state_;
  s.use();
  s.check(cudaEventSynchronize(s.events[event]), "cudaEventSynchronize");
}
void Stream::synchronize() {
  State& s = *state_;
  s.use();
  s.check(cudaStreamSynchronize(s.copy), "cudaStreamSynchronize");
  s.check(cudaStreamSynchronize(s.compute), "cudaStreamSynchronize");
}

bool Stream::canRecord() const { return !state_->options.synchronous; }

// Other threads may use CUDA while this one records.
void Stream::beginRecording() {
  State& s = *state_;
  s.use();
  s.check(cudaStreamBeginCapture(s.compute, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  s.recording = true;
}

std::unique_ptr<Recorded> Stream::endRecording() {
  State& s = *state_;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  s.recording = false;
  s.check(cudaStreamEndCapture(s.compute, &graph), "cudaStreamEndCapture");
  cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  s.check(error, "cudaGraphInstantiate");
  auto recorded = std::make_unique<RecordedGraph>(executable, s.options.device);
  s.check(cudaGraphUpload(executable, s.compute), "cudaGraphUpload");
  return recorded;
}

void Stream::cancelRecording() noexcept {
  State& s = *state_;
  cudaGraph_t graph = nullptr;
  if (s.recording && cudaStreamEndCapture(s.compute, &graph) == cudaSuccess && graph) cudaGraphDestroy(graph);
  s.recording = false;
  cudaGetLastError();
}

void Stream::replay(Recorded& recorded) {
  State& s = *state_;
  s.use();
  s.recent.add("a recorded step");
  s.check(cudaGraphLaunch(static_cast<RecordedGraph&>(recorded).graph(), s.compute), "cudaGraphLaunch");
}

void* scratch(Stream& stream, std::size_t bytes) {
  if (bytes > kScratchBytes)
    throw std::length_error("Expected at most " + std::to_string(kScratchBytes) +
                            " bytes of scratch memory but received " + std::to_string(bytes));
  return stream.state().scratch;
}

const DeviceLimits& limits(const Stream& stream) { return stream.state().limits; }

// Shared memory beyond 48 KiB has to be allowed for each kernel, once.
static void allowShared(Stream::State& s, const void* kernel, std::size_t bytes) {
  if (bytes <= (std::size_t(48) << 10)) return;
  std::size_t& allowed = s.optedIn[kernel];
  if (bytes <= allowed) return;
  s.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)),
          "cudaFuncSetAttribute");
  allowed = bytes;
}

void launchRaw(Stream& stream, const char* operation, const void* kernel, dim3 grid, dim3 block,
               std::size_t sharedBytes, void** arguments) {
  Stream::State& s = stream.state();
  s.use();
  s.recent.add(operation);
  allowShared(s, kernel, sharedBytes);
  cudaError_t error = cudaLaunchKernel(kernel, grid, block, arguments, sharedBytes, s.compute);
  if (isLaunchError(error)) {
    cudaGetLastError();
    throw Error(std::string("CUDA: ") + operation + " could not be launched (grid " + std::to_string(grid.x) + "x" +
                std::to_string(grid.y) + "x" + std::to_string(grid.z) + ", block " + std::to_string(block.x) + "x" +
                std::to_string(block.y) + "x" + std::to_string(block.z) + ", " + std::to_string(sharedBytes) +
                " bytes of shared memory): " + describe(error));
  }
  s.check(error, operation);
  if (s.options.synchronous) s.check(cudaStreamSynchronize(s.compute), operation);
}

}  // namespace selfcompress::cuda
