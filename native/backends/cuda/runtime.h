// What the CUDA backend needs of a device: memory, a compute and a copy queue, events, launches, recorded steps.
// Implementations: runtime.cpp over the CUDA runtime, host/runtime.cpp over the host's model of it. Everything that
// both share (options, errors, the names of the latest operations) is in runtime_common.cpp.
//
// Queued work runs in order within a queue; between the queues only events order it. An implementation may run it as
// late as the next wait of the host. A Stream is used by one thread at a time, not always the same one.
#pragma once

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "selfcompress/backend.h"

namespace selfcompress::cuda {

inline constexpr int kLeastCapability = 75;  // of a device that the kernels are built for

struct DeviceInfo {
  std::string name;
  int computeCapability = 0;  // 10 * major + minor
  std::size_t memoryBytes = 0;
};
// The devices that the driver offers. None of them usable: `missing` says what was looked for ("driver", "device") and
// `reason` why not.
struct DeviceList {
  std::vector<DeviceInfo> devices;
  std::string missing, reason;
};
DeviceList listDevices();

// A call of the CUDA runtime that failed, or work that was queued before it. The message names the operation.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
// "Out of memory on the CUDA device: ... bytes were asked for, ..."
[[noreturn]] void throwOutOfMemory(std::size_t bytes, std::size_t freeBytes, std::size_t heldBytes, std::size_t limit);

struct StreamOptions {
  int device = 0;
  std::size_t memoryLimit = 0;  // most bytes that all streams of the process may hold on this device; 0: what there is
  bool synchronous = false;     // wait after each operation, so that an error is blamed on the one that made it
};
// Options with what the environment says: SELFCOMPRESS_CUDA_DEVICE (where device < 0), SELFCOMPRESS_CUDA_MEMORY (bytes,
// or with K, M, G; where memoryLimit == 0), SELFCOMPRESS_CUDA_SYNC=1. Throws std::runtime_error for values that are
// none.
StreamOptions withEnvironment(StreamOptions);

// The names of the operations queued last, for the message of an error that shows up later.
class RecentOperations {
 public:
  void add(const char* name) { names_[next_++ % kKept] = name; }  // string literals
  std::string text() const;                                       // oldest first, repeated ones once: "a, b, c"

 private:
  static constexpr std::size_t kKept = 16;
  std::array<const char*, kKept> names_{};
  std::size_t next_ = 0;
};

enum class Queue { kCompute, kCopy };

// Work of the compute queue that can be queued again as a whole.
class Recorded {
 public:
  virtual ~Recorded() = default;
};

class Stream {
 public:
  static constexpr int kEvents = 8;

  explicit Stream(const StreamOptions&);  // throws Error if there is no such device, OutOfMemory
  ~Stream();                              // waits for what is queued
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  const DeviceInfo& device() const;

  // Device memory, 256-byte aligned, zeroed (in the order of the compute queue). Not while recording.
  void* allocate(std::size_t bytes);
  void release(void*) noexcept;  // waits for what is queued
  // Host memory that the copy queue reads and writes without the processor's help.
  void* allocatePinned(std::size_t bytes);
  void releasePinned(void*) noexcept;

  // Between host and device in either direction, or within the device. Returns at once; pinned memory must stay as it
  // is until an event recorded afterwards has passed, other host memory has been read or written when the call returns.
  void copy(Queue, void* to, const void* from, std::size_t bytes);
  void zero(void* device, std::size_t bytes);  // compute queue

  // Event 0..kEvents-1: `record` marks the present end of a queue. Waiting for an event that was never recorded is no
  // wait.
  void record(Queue, int event);
  void wait(Queue, int event);  // work queued from now on runs after the event
  void waitOnHost(int event);
  void synchronize();  // the host waits for both queues; errors of queued work are thrown here at the latest

  // Between the two, what is queued on the compute queue (launches, copies within the device, zero) is recorded, not
  // run. An exception in between calls for `cancelRecording`, after which the stream is as before.
  bool canRecord() const;  // false: synchronous
  void beginRecording();
  std::unique_ptr<Recorded> endRecording();
  void cancelRecording() noexcept;
  void replay(Recorded&);

  struct State;  // what an implementation keeps
  State& state() { return *state_; }
  const State& state() const { return *state_; }

 private:
  void destroy() noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace selfcompress::cuda
