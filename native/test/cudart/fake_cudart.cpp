#include "test/cudart/fake_cudart.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>

// Opaque in the real header: ours to define.
struct CUevent_st {
  std::uint64_t recorded = 0, passed = 0;
};
struct CUgraph_st {
  std::vector<std::function<cudaError_t()>> nodes;
};
struct CUgraphExec_st {
  std::vector<std::function<cudaError_t()>> nodes;
};
struct CUstream_st {
  struct Item {
    std::function<cudaError_t()> run;
    cudaEvent_t waitsFor = nullptr, marks = nullptr;
    std::uint64_t times = 0;
  };
  std::deque<Item> items;
  std::unique_ptr<CUgraph_st> capture;
  bool invalidated = false;
};

namespace fake {
namespace {

struct State {
  World world;
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
  std::map<void*, std::size_t> allocated, pinned;
  std::map<const void*, int> sharedLimits;
  cudaError_t latest = cudaSuccess, sticky = cudaSuccess;
  int device = 0;
} state;

cudaError_t done(cudaError_t error) {
  if (error != cudaSuccess) state.latest = error;
  return error;
}
// The error of a call that a test or the device's state makes fail.
cudaError_t entry(const char* call) {
  if (state.sticky != cudaSuccess) return done(state.sticky);
  auto planned = state.world.failures.find(call);
  if (planned == state.world.failures.end()) return cudaSuccess;
  cudaError_t error = planned->second;
  state.world.failures.erase(planned);
  return done(error);
}
// Calls that a capture does not survive.
bool spoilsCapture() {
  for (cudaStream_t s : state.streams)
    if (s->capture) {
      s->invalidated = true;
      return true;
    }
  return false;
}

bool runOne() {
  for (cudaStream_t s : state.streams) {
    if (s->items.empty()) continue;
    CUstream_st::Item item = s->items.front();
    if (item.waitsFor && item.waitsFor->passed < item.times) continue;
    s->items.pop_front();
    cudaError_t error = item.run && state.sticky == cudaSuccess ? item.run() : cudaSuccess;
    if (error != cudaSuccess) state.sticky = error;
    if (item.marks) item.marks->passed++;
    return true;
  }
  return false;
}
template <class Until>
void runUntil(Until until) {
  while (!until() && runOne()) {
  }
}
cudaError_t add(cudaStream_t stream, std::function<cudaError_t()> work) {
  if (stream->capture) stream->capture->nodes.push_back(std::move(work));
  else stream->items.push_back({std::move(work)});
  return cudaSuccess;
}

}  // namespace

World& world() { return state.world; }
Live live() {
  Live l{int(state.streams.size()),
         int(state.events.size()),
         int(state.graphs.size()),
         int(state.executables.size()),
         int(state.pinned.size()),
         state.allocated.size(),
         0};
  for (auto& [memory, bytes] : state.allocated) l.bytes += bytes;
  return l;
}
std::map<const void*, int> sharedLimits() { return state.sharedLimits; }
void reset() { state = {}; }

}  // namespace fake

using namespace fake;

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "cudaErrorIllegalAddress"
         : error == cudaSuccess           ? "cudaSuccess"
                                          : "cudaError";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "an illegal memory access was encountered" : "something failed";
}
cudaError_t cudaGetLastError() {
  cudaError_t error = state.sticky != cudaSuccess ? state.sticky : state.latest;
  state.latest = cudaSuccess;
  return error;
}
cudaError_t cudaSetDevice(int device) {
  if (cudaError_t error = entry("cudaSetDevice"); error != cudaSuccess) return error;
  state.device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = int(state.world.devices.size());
  if (state.world.countError != cudaSuccess) return done(state.world.countError);
  return *count ? cudaSuccess : done(cudaErrorNoDevice);
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = state.world.driverVersion;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {  // the header may give it another name
  const Device& d = state.world.devices[std::size_t(device)];
  std::memset(p, 0, sizeof *p);
  std::strncpy(p->name, d.name.c_str(), sizeof p->name - 1);
  p->major = d.major, p->minor = d.minor, p->totalGlobalMem = d.memory;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10 : 132;
  return entry("cudaDeviceGetAttribute");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (cudaError_t error = entry("cudaStreamCreateWithFlags"); error != cudaSuccess) return error;
  state.streams.insert(*stream = new CUstream_st);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  state.streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (cudaError_t error = entry("cudaStreamSynchronize"); error != cudaSuccess) return error;
  if (spoilsCapture()) return done(cudaErrorStreamCaptureUnsupported);
  runUntil([=] { return stream->items.empty(); });
  return done(state.sticky);
}
cudaError_t cudaStreamQuery(cudaStream_t) { return state.sticky; }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  stream->items.push_back({nullptr, event, nullptr, event->recorded});
  return entry("cudaStreamWaitEvent");
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (cudaError_t error = entry("cudaEventCreateWithFlags"); error != cudaSuccess) return error;
  state.events.insert(*event = new CUevent_st);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  state.events.erase(event);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->recorded++;
  stream->items.push_back({nullptr, nullptr, event, 0});
  return entry("cudaEventRecord");
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  runUntil([=] { return event->passed >= event->recorded; });
  return entry("cudaEventSynchronize");
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (spoilsCapture()) return done(cudaErrorStreamCaptureUnsupported);
  if (cudaError_t error = entry("cudaMalloc"); error != cudaSuccess) return error;
  if (live().bytes + bytes > state.world.devices[std::size_t(state.device)].memory)
    return done(cudaErrorMemoryAllocation);
  *memory = std::malloc(bytes);
  std::memset(*memory, 0xa5, bytes);
  state.allocated[*memory] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  while (runOne()) {
  }
  if (!state.allocated.erase(memory)) std::abort();
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = state.world.devices[std::size_t(state.device)].memory;
  *free = *total - live().bytes;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  if (cudaError_t error = entry("cudaHostAlloc"); error != cudaSuccess) return error;
  state.pinned[*memory = std::malloc(bytes)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  if (!state.pinned.erase(memory)) std::abort();
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  if (cudaError_t error = entry("cudaMemcpyAsync"); error != cudaSuccess) return error;
  return add(stream, [=] {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  });
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (cudaError_t error = entry("cudaMemsetAsync"); error != cudaSuccess) return error;
  return add(stream, [=] {
    std::memset(memory, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  if (cudaError_t error = entry("cudaFuncSetAttribute"); error != cudaSuccess) return error;
  state.sharedLimits[kernel] = value;
  return cudaSuccess;
}
cudaError_t cudaLaunchKernel(const void* kernel, dim3, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
  if (cudaError_t error = entry("cudaLaunchKernel"); error != cudaSuccess) return error;
  if (block.x * block.y * block.z > 1024) return done(cudaErrorInvalidConfiguration);
  if (shared > (48u << 10) && shared > std::size_t(state.sharedLimits[kernel])) return done(cudaErrorInvalidValue);
  auto run = state.world.kernels.at(kernel);
  int value = **reinterpret_cast<int**>(arguments);  // every kernel of these tests has one int
  return add(stream, [=] {
    int copy = value;
    void* pointers[] = {&copy};
    return run(pointers);
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (cudaError_t error = entry("cudaStreamBeginCapture"); error != cudaSuccess) return error;
  stream->capture = std::make_unique<CUgraph_st>();
  stream->invalidated = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  std::unique_ptr<CUgraph_st> captured = std::move(stream->capture);
  *graph = nullptr;
  if (stream->invalidated) return done(cudaErrorStreamCaptureInvalidated);
  state.graphs.insert(*graph = captured.release());
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (cudaError_t error = entry("cudaGraphInstantiate"); error != cudaSuccess) return error;
  state.executables.insert(*executable = new CUgraphExec_st{graph->nodes});
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  state.graphs.erase(graph);
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  state.executables.erase(executable);
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return entry("cudaGraphUpload"); }
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (cudaError_t error = entry("cudaGraphLaunch"); error != cudaSuccess) return error;
  for (const auto& node : executable->nodes) add(stream, node);
  return cudaSuccess;
}

}  // extern "C"
