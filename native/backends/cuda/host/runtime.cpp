// runtime.h over the host's model of a device. Queued work runs as late as it may: when somebody has to wait for it,
// and work of the two queues that no event orders runs in random order.
#include "cuda/runtime.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <map>

#include "cuda/host/memory.h"
#include "cuda/host/scheduler.h"

namespace selfcompress::cuda {
namespace {

using host::KernelFault;

struct ModelDevice {
  const char* name;
  DeviceLimits limits;
};
// Few multiprocessors, so that small problems are split among blocks as large ones are on a GPU.
const ModelDevice kDevices[] = {
    {"model-sm90", {6, 90, 227 << 10}}, {"model-sm75", {3, 75, 64 << 10}}, {"model-sm86", {4, 86, 99 << 10}}};
constexpr std::size_t kDeviceBytes = std::size_t(4) << 30;

std::atomic<std::size_t> heldBytes[std::size(kDevices)];

class RecordedWork final : public Recorded {
 public:
  std::vector<std::function<void()>> list;
};

void checkLaunch(const host::Launch& l, const DeviceLimits& limits) {
  auto fail = [&](const std::string& what) {
    throw Error(std::string("CUDA: ") + l.operation + " could not be launched: " + what);
  };
  std::uint64_t threads = std::uint64_t(l.block.x) * l.block.y * l.block.z;
  if (threads == 0 || threads > 1024 || l.block.z > 64)
    fail("a block of " + std::to_string(l.block.x) + "x" + std::to_string(l.block.y) + "x" + std::to_string(l.block.z) +
         " threads");
  if (!l.grid.x || !l.grid.y || !l.grid.z || l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535)
    fail("a grid of " + std::to_string(l.grid.x) + "x" + std::to_string(l.grid.y) + "x" + std::to_string(l.grid.z) +
         " blocks");
  if (l.sharedBytes > limits.sharedBytesPerBlock)
    fail(std::to_string(l.sharedBytes) + " bytes of shared memory of at most " +
         std::to_string(limits.sharedBytesPerBlock));
  for (const void* p : l.pointers)
    if (p && !host::findAllocation(p)) fail("a parameter points to memory that is not the device's");
}

}  // namespace

struct Stream::State {
  using Work = std::function<void()>;
  struct Event {
    std::uint64_t recorded = 0, passed = 0;
  };
  struct Item {
    Work run;
    int waitsFor = -1;  // an event, of which `recorded` times have to pass first
    std::uint64_t times = 0;
    int marks = -1;
  };

  StreamOptions options;
  DeviceInfo device;
  DeviceLimits limits;
  std::deque<Item> queues[2];
  Event events[kEvents];
  std::map<void*, std::size_t> held, pinned;
  std::map<std::size_t, void*> scratches;  // by size, so that accesses past its end are found
  void* latestScratch = nullptr;
  std::size_t latestScratchBytes = 0;
  std::unique_ptr<RecordedWork> recording;
  host::FastRandom random;

  void add(Queue queue, Work work) {
    if (recording) {
      if (queue != Queue::kCompute) throw Error("CUDA: work of the copy queue while the compute queue is recorded");
      recording->list.push_back(std::move(work));
      return;
    }
    queues[int(queue)].push_back({std::move(work)});
    if (options.synchronous) drain();
  }
  bool canRun(int q) const {
    if (queues[q].empty()) return false;
    const Item& item = queues[q].front();
    return item.waitsFor < 0 || events[item.waitsFor].passed >= item.times;
  }
  // Whether something ran. Work that fails takes all that is queued with it.
  bool runOne() {
    int q = int(random.below(2));
    if (!canRun(q)) q = 1 - q;
    if (!canRun(q)) return false;
    Item item = std::move(queues[q].front());
    queues[q].pop_front();
    try {
      if (item.run) item.run();
    } catch (...) {
      abandon();
      throw;
    }
    if (item.marks >= 0) events[item.marks].passed++;
    return true;
  }
  void abandon() noexcept {
    for (auto& q : queues) q.clear();
    for (Event& e : events) e.passed = e.recorded;
  }
  void drain() {
    while (runOne()) {
    }
    if (!queues[0].empty() || !queues[1].empty()) {
      abandon();
      throw Error("CUDA: the queues wait for each other");
    }
  }
  void notWhileRecording(const char* what) const {
    if (recording) throw Error(std::string("CUDA: ") + what + " while a step is recorded");
  }
  bool isPinned(const void* p, std::size_t bytes) const {
    auto next = pinned.upper_bound(const_cast<void*>(p));
    if (next == pinned.begin()) return false;
    auto [start, size] = *std::prev(next);
    return static_cast<const char*>(p) + bytes <= static_cast<const char*>(start) + size;
  }
};

DeviceList listDevices() {
  DeviceList list;
  for (const ModelDevice& d : kDevices) list.devices.push_back({d.name, d.limits.computeCapability, kDeviceBytes});
  return list;
}

Stream::Stream(const StreamOptions& options) : state_(std::make_unique<State>()) {
  if (options.device < 0 || std::size_t(options.device) >= std::size(kDevices))
    throw Error("Expected a CUDA device from 0 to " + std::to_string(std::size(kDevices) - 1) + " but received " +
                std::to_string(options.device));
  State& s = *state_;
  s.options = options;
  s.device = listDevices().devices[std::size_t(options.device)];
  s.limits = kDevices[options.device].limits;
  s.random.seed(host::settings().seed);
}

Stream::~Stream() { destroy(); }
void Stream::destroy() noexcept {
  State& s = *state_;
  s.recording.reset();
  try {
    s.drain();
  } catch (...) {
    s.abandon();
  }
  while (!s.held.empty()) release(s.held.begin()->first);
  for (auto& [bytes, memory] : s.scratches) host::releaseDevice(memory);
}

const DeviceInfo& Stream::device() const { return state_->device; }

void* Stream::allocate(std::size_t bytes) {
  State& s = *state_;
  s.notWhileRecording("memory was allocated");
  std::atomic<std::size_t>& held = heldBytes[s.options.device];
  std::size_t limit = s.options.memoryLimit ? std::min(s.options.memoryLimit, kDeviceBytes) : kDeviceBytes;
  std::size_t before = held.fetch_add(bytes);
  if (before > limit || bytes > limit - before) {
    held -= bytes;
    throwOutOfMemory(bytes, limit - std::min(limit, before), before, s.options.memoryLimit);
  }
  void* memory = host::allocateDevice(bytes, true);
  s.held[memory] = bytes;
  return memory;
}

// A guard that was overwritten ends the program: there is nobody to tell.
void Stream::release(void* memory) noexcept {
  State& s = *state_;
  auto found = s.held.find(memory);
  if (found == s.held.end()) return;
  try {
    s.drain();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "CUDA model, work that nobody waited for: %s\n", error.what());
  }
  heldBytes[s.options.device] -= found->second;
  s.held.erase(found);
  host::releaseDevice(memory);
}

void* Stream::allocatePinned(std::size_t bytes) {
  void* memory = ::operator new(std::max<std::size_t>(bytes, 1), std::align_val_t(256));
  state_->pinned[memory] = bytes;
  return memory;
}
void Stream::releasePinned(void* memory) noexcept {
  if (!memory) return;
  state_->pinned.erase(memory);
  ::operator delete(memory, std::align_val_t(256));
}

void Stream::copy(Queue queue, void* to, const void* from, std::size_t bytes) {
  State& s = *state_;
  bool toDevice = host::findAllocation(to), fromDevice = host::findAllocation(from);
  if (!toDevice && !fromDevice) throw Error("CUDA: a copy within host memory");
  if (toDevice) host::checkRange("a copy writes", to, bytes);
  if (fromDevice) host::checkRange("a copy reads", from, bytes);
  if (!fromDevice && !s.isPinned(from, bytes)) {
    if (s.recording) throw Error("CUDA: a copy from host memory that is not pinned while a step is recorded");
    auto* first = static_cast<const unsigned char*>(from);
    s.add(queue,
          [to, data = std::vector<unsigned char>(first, first + bytes)] { std::memcpy(to, data.data(), data.size()); });
    return;
  }
  s.add(queue, [=] {
    if (toDevice) host::checkRange("a copy writes", to, bytes);
    if (fromDevice) host::checkRange("a copy reads", from, bytes);
    std::memmove(to, from, bytes);
  });
  if (!toDevice && !s.isPinned(to, bytes)) {
    s.notWhileRecording("a copy to host memory that is not pinned");
    s.drain();
  }
}

void Stream::zero(void* device, std::size_t bytes) {
  host::checkRange("zero", device, bytes);
  state_->add(Queue::kCompute, [=] {
    host::checkRange("zero", device, bytes);
    std::memset(device, 0, bytes);
  });
}

void Stream::record(Queue queue, int event) {
  State& s = *state_;
  s.notWhileRecording("an event was recorded");
  s.events[event].recorded++;
  s.queues[int(queue)].push_back({nullptr, -1, 0, event});
  if (s.options.synchronous) s.drain();
}
void Stream::wait(Queue queue, int event) {
  State& s = *state_;
  s.notWhileRecording("a queue was made to wait");
  s.queues[int(queue)].push_back({nullptr, event, s.events[event].recorded, -1});
}
void Stream::waitOnHost(int event) {
  State& s = *state_;
  s.notWhileRecording("the host waited");
  while (s.events[event].passed < s.events[event].recorded)
    if (!s.runOne()) {
      s.abandon();
      throw Error("CUDA: the queues wait for each other");
    }
}
void Stream::synchronize() {
  state_->notWhileRecording("the host waited");
  state_->drain();
}

bool Stream::canRecord() const { return !state_->options.synchronous; }
void Stream::beginRecording() {
  state_->notWhileRecording("recording began");
  state_->recording = std::make_unique<RecordedWork>();
}
std::unique_ptr<Recorded> Stream::endRecording() {
  if (!state_->recording) throw Error("CUDA: nothing is being recorded");
  return std::move(state_->recording);
}
void Stream::cancelRecording() noexcept { state_->recording.reset(); }
void Stream::replay(Recorded& recorded) {
  for (const auto& work : static_cast<RecordedWork&>(recorded).list) state_->add(Queue::kCompute, work);
}

// Exactly as much as was asked for, poisoned, and with it what the call before was given.
void* scratch(Stream& stream, std::size_t bytes) {
  if (bytes > kScratchBytes)
    throw std::length_error("Expected at most " + std::to_string(kScratchBytes) +
                            " bytes of scratch memory but received " + std::to_string(bytes));
  Stream::State& s = stream.state();
  void*& memory = s.scratches[bytes];
  if (!memory) memory = host::allocateDevice(bytes, false);
  s.add(Queue::kCompute, [before = s.latestScratch, size = s.latestScratchBytes, now = memory, bytes] {
    if (before) host::fillWithPoison(before, size);
    host::fillWithPoison(now, bytes);
  });
  s.latestScratch = memory, s.latestScratchBytes = bytes;
  return memory;
}

const DeviceLimits& limits(const Stream& stream) { return stream.state().limits; }

void host::launchModel(Stream& stream, Launch&& launch) {
  Stream::State& s = stream.state();
  checkLaunch(launch, s.limits);
  s.add(Queue::kCompute, [launch = std::move(launch)] { execute(launch); });
}

}  // namespace selfcompress::cuda
