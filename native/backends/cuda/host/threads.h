// The model's threads: what a kernel sees of itself, and the collective operations among threads of a block.
//
// The threads of a block are fibers of one thread of the operating system. Which of them runs next is drawn from a
// seeded generator, at every collective operation and now and then at an access to memory, so that a result which
// depends on the order changes from seed to seed.
#pragma once

#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/host/language.h"

namespace selfcompress::cuda::host {

// A kernel broke a rule of CUDA or of device.h. The message names the operation, the block and the thread.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// When and by whom a word of memory was touched: accesses by two threads are ordered if they are of two launches, or of
// one block with a __syncthreads() in between (phase), or of one warp with a __syncwarp() in between (warpPhase).
struct Access {
  std::uint32_t epoch = 0;  // the launch; for shared memory the run of the block; 0: never
  std::uint32_t block = 0;
  std::uint32_t phase = 0;
  std::uint16_t warpPhase = 0;
  std::uint16_t who = 0;  // the thread's number in its block, or one of the below
  bool operator==(const Access&) const = default;
};
inline constexpr std::uint16_t kThreadBits = 0x03ff;
inline constexpr std::uint16_t kAtomic = 0x0400;     // by an atomic operation
inline constexpr std::uint16_t kPending = 0x0800;    // by an asynchronous copy that was not waited for yet
inline constexpr std::uint16_t kManyLanes = 0x1000;  // by several threads of the warp (who & kThreadBits) / 32
inline constexpr std::uint16_t kMany = 0x2000;       // by threads of several warps or blocks
inline constexpr std::uint16_t kUnknown = 0x4000;    // through a reference: it may have been anyone

// A warp's collective operation, on the stack of each thread that takes part.
struct WarpCall {
  const char* name;
  std::uint32_t mask;
  void (*combine)(WarpCall* const lanes[32]);  // called once, when all lanes of the mask are there; others are null
  bool orders;                                 // a barrier for memory too
  std::source_location site;
};

struct AsyncCopy {
  unsigned char* to;
  const unsigned char* from;  // nullptr: zeros
  int group;                  // the thread's commit that covers it
};

struct Block {
  uint3 index;
  dim3 size, grid;
  const char* operation = "";
  unsigned char* shared = nullptr;
  std::size_t sharedBytes = 0;
};

struct Fiber;

struct Thread {
  uint3 index;
  Block* block = nullptr;
  Access inShared, inGlobal;  // what this thread's next access is
  unsigned number = 0;        // in the block
  enum class State : std::uint8_t { kReady, kAtBarrier, kInWarpCall, kReturned } state = State::kReady;
  Fiber* fiber = nullptr;
  WarpCall* call = nullptr;
  std::vector<AsyncCopy> copies;
  int group = 0;  // commits so far
};

// The thread that runs now.
inline thread_local constinit Thread* current = nullptr;
// Accesses to memory until the scheduler lets another thread go on.
inline thread_local constinit std::uint32_t accessesLeft = 0;

[[noreturn]] void fault(const std::string& what);  // of the current thread
void preempt();                                    // resets accessesLeft
inline void tick() {
  if (--accessesLeft == 0) preempt();
}

int blockBarrier(const char* name, int predicate, std::source_location);  // whether any thread's predicate is not 0
void warpCall(WarpCall&);

// One launch; body() runs the kernel once for the current thread.
struct Launch {
  const char* operation;
  dim3 grid, block;
  std::size_t sharedBytes;
  std::function<void()> body;
  std::vector<const void*> pointers;  // parameters that are pointers
  const void* kernel = nullptr;       // its function, for whoever wants its name
};

// How the model runs: the same settings give the same order of threads.
struct Settings {
  std::uint64_t seed = 1;
  int accessesPerSwitch = 96;  // on average; 0: threads go on until a collective operation
  bool races = true;           // report accesses that nothing orders, in shared and in global memory
};
Settings settingsFromEnvironment();  // SELFCOMPRESS_CUDA_SEED=<number>, SELFCOMPRESS_CUDA_SWITCH=<accesses>
Settings& settings();                // of the calling thread

// Runs all blocks, in random order. Throws KernelFault.
void execute(const Launch&);

}  // namespace selfcompress::cuda::host

#define threadIdx (::selfcompress::cuda::host::current->index)
#define blockIdx (::selfcompress::cuda::host::current->block->index)
#define blockDim (::selfcompress::cuda::host::current->block->size)
#define gridDim (::selfcompress::cuda::host::current->block->grid)
