#include "cpu/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/processors.h"
#include "selfcompress/backend.h"
#include "selfcompress/environment.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define SELFCOMPRESS_POOL_X86 1
#elif defined(_MSC_VER) && defined(_M_ARM64)
#include <intrin.h>
#endif

namespace selfcompress::cpu {
namespace {

// Tells the processor that this is a wait.
void relax() {
#if defined(SELFCOMPRESS_POOL_X86)
  _mm_pause();
#elif defined(_MSC_VER) && defined(_M_ARM64)
  __yield();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#else
  std::this_thread::yield();
#endif
}

// Before others may read what tasks have written: stores past the caches (storePast in kernels/) are not ordered. Where
// a task throws, nobody reads it.
void fence() {
#if defined(SELFCOMPRESS_POOL_X86)
  _mm_sfence();
#endif
}

int defaultThreads() {
  if (const char* text = std::getenv("SELFCOMPRESS_THREADS")) {
    char* end = nullptr;
    long value = std::strtol(text, &end, 10);
    if (end == text || *end || value < 1 || value > 1024)
      throw EnvironmentError("Expected an integer from 1 to 1024 for SELFCOMPRESS_THREADS but received \"" +
                             std::string(text) + "\"");
    return int(value);
  }
  return std::min(1024, usableCores(allowedProcessors()));
}

// Waits spin before they sleep. A worker without a job spins over the small operations of a step that one thread does
// alone, but not over what comes between steps; to wake it later takes longer than most operations do. The caller spins
// for the workers that are inside its job. Where that is in vain, another program has the cores, or could use them:
// then the next wait is half as long.
using std::chrono::microseconds;
constexpr microseconds kLeastSpin(25), kIdle(250), kLast(300);

class Patience {
 public:
  explicit Patience(microseconds most) : most_(most), spin_(most) {}

  // Spins until `ready`, at most as long as seems worth it.
  template <class Ready>
  bool spinUntil(Ready ready) {
    const auto end = std::chrono::steady_clock::now() + spin_;
    do {
      for (int i = 0; i < 16; i++) {
        if (ready()) {
          spin_ = std::min(most_, 2 * spin_);
          return true;
        }
        relax();
      }
    } while (std::chrono::steady_clock::now() < end);
    spin_ = std::max(kLeastSpin, spin_ / 2);
    return ready();
  }

 private:
  microseconds most_, spin_;
};

// Less work than this is not shared with one more thread; and for less than that nobody is woken who came too late the
// last times.
constexpr double kLeastShare = 2000, kWorthWaking = 400000;  // nanoseconds

thread_local bool insideTask = false;

// Memory for the tasks of one thread; it grows to the most that was asked for.
class TaskMemory {
 public:
  std::byte* address() const { return memory_.get(); }
  void reserve(std::size_t bytes) {
    if (bytes <= bytes_) return;
    memory_.reset();
    bytes_ = 0;
    memory_.reset(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(kAlignment))));
    bytes_ = bytes;
  }

 private:
  struct Release {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(kAlignment)); }
  };
  std::unique_ptr<std::byte, Release> memory_;
  std::size_t bytes_ = 0;
};

// What belongs to one thread: its share of a job's tasks, [next, end), and memory for them.
struct alignas(128) Share {
  std::atomic<std::int64_t> next{0};
  std::int64_t end = 0;
  TaskMemory memory;
  std::atomic<bool> sleeps{false};
  std::condition_variable wake;
};

// Whether a job may be joined, in one word: bits 0 to 15 count the workers inside, bit 16 says that it is open, bits 17
// to 31 are the number of threads it is for, the rest is its number.
using Gate = std::uint64_t;
constexpr Gate kInside = 0xffff, kOpen = 1 << 16;
int threadsOf(Gate gate) { return int(gate >> 17 & 0x7fff); }
std::uint32_t jobOf(Gate gate) { return std::uint32_t(gate >> 32); }
Gate openGate(std::uint32_t job, int threads) { return Gate(job) << 32 | Gate(threads) << 17 | kOpen; }

// One job at a time. Every thread starts with the tasks of its own share, which are neighbours and, in operations over
// the same images, the same ones each time: what a thread has written is still in its own caches when it reads it
// again. Then it helps the others with theirs.
//
// The caller waits for the workers that are inside the job, never for those that are not: when other programs use the
// cores, a worker may get its turn long after the caller has done everything, and then finds the gate closed.
class Pool {
 public:
  Pool() : wanted_(defaultThreads()) {}
  ~Pool() { stopWorkers(); }

  int threads() const { return wanted_.load(); }
  void setThreads(int threads) { wanted_ = threads; }

  void run(std::int64_t count, std::size_t bytes, TaskRef task, Cost cost) {
    std::lock_guard turn(callers_);
    const int wanted = wanted_;
    if (int(shares_.size()) != wanted) resize(wanted);
    const double work = double(count) * cost.nanoseconds;
    const int used = int(std::min({double(wanted), double(count), std::max(1.0, work / kLeastShare)}));
    if (bytes > bytes_) reserve(bytes);
    if (used == 1) return runAlone(count, task, shares_[0].memory.address());
    task_ = &task;
    for (int i = 0; i < used; i++) {
      shares_[std::size_t(i)].next.store(count * i / used, std::memory_order_relaxed);
      shares_[std::size_t(i)].end = count * (i + 1) / used;
    }
    used_ = used;
    failure_ = nullptr;
    entered_.store(0, std::memory_order_relaxed);
    gate_.store(openGate(++job_, used));
    const bool called = wakeWorkers(used, work);
    workAs(0);
    closeGate(called);
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  static void runAlone(std::int64_t count, TaskRef task, std::byte* memory) {
    struct Scope {
      Scope() { insideTask = true; }
      ~Scope() { insideTask = false; }
    } scope;
    for (std::int64_t i = 0; i < count; i++) task(i, memory);
    fence();
  }

  void reserve(std::size_t bytes) {
    bytes_ = 0;
    for (Share& share : shares_) share.memory.reserve(bytes);
    bytes_ = bytes;
  }

  // A sleeping worker needs longer to come than short jobs last, all the more when the cores are busy: then it is not
  // called for a while. Those that still spin come by themselves. Returns whether those that sleep were called.
  bool wakeWorkers(int used, double work) {
    if (work < kWorthWaking && quiet_ > 0) {
      quiet_--;
      return false;
    }
    for (int i = 1; i < used; i++) {
      Share& share = shares_[std::size_t(i)];
      if (!share.sleeps.load()) continue;
      {
        std::lock_guard lock(mutex_);  // it has looked at the gate before this, or waits already
        share.sleeps.store(false);
      }
      share.wake.notify_one();
    }
    return true;
  }

  void closeGate(bool called) {
    const Gate closed = gate_.fetch_and(~kOpen);
    auto done = [&] { return (gate_.load() & kInside) == 0; };
    if ((closed & kInside) != 0 && !last_.spinUntil(done)) {
      std::unique_lock lock(mutex_);
      callerSleeps_.store(true);
      left_.wait(lock, done);
      callerSleeps_.store(false);
    }
    if (entered_.load(std::memory_order_relaxed)) {
      misses_ = quiet_ = 0;
    } else if (called) {
      misses_ = std::min(misses_ + 1, 6);
      quiet_ = (1 << misses_) - 1;
    }
  }

  void workAs(std::size_t self) {
    insideTask = true;
    const std::size_t used = std::size_t(used_);
    for (std::size_t k = 0; k < used; k++) workOn(shares_[(self + k) % used], shares_[self].memory);
    fence();
    insideTask = false;
  }

  void workOn(Share& share, const TaskMemory& memory) {
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      std::int64_t i = share.next.fetch_add(1, std::memory_order_relaxed);
      if (i >= share.end) return;
      try {
        (*task_)(i, memory.address());
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        for (int k = 0; k < used_; k++) shares_[std::size_t(k)].next = shares_[std::size_t(k)].end;
      }
    }
  }

  // Whether there is a job for this worker that it has not seen.
  bool called(std::uint32_t seen, std::size_t self) const {
    const Gate gate = gate_.load();
    return stop_.load() || (jobOf(gate) != seen && (gate & kOpen) && int(self) < threadsOf(gate));
  }

  // A worker waits for the next job, one that was woken too late for its job as well: operations follow one another
  // closely.
  void serve(std::uint32_t seen, std::size_t self) {
    Patience idle(kIdle);
    for (;;) {
      auto ready = [&] { return called(seen, self); };
      if (!idle.spinUntil(ready)) sleep(shares_[self], ready);
      if (stop_.load()) return;
      Gate gate = gate_.load();
      bool inside = false;
      while (jobOf(gate) != seen && (gate & kOpen) && int(self) < threadsOf(gate) && !inside)
        inside = gate_.compare_exchange_weak(gate, gate + 1);
      if (!inside) continue;
      seen = jobOf(gate);
      entered_.fetch_add(1, std::memory_order_relaxed);
      workAs(self);
      if (((gate_.fetch_sub(1) - 1) & (kInside | kOpen)) == 0 && callerSleeps_.load()) {
        { std::lock_guard lock(mutex_); }
        left_.notify_one();
      }
    }
  }

  template <class Ready>
  void sleep(Share& share, Ready ready) {
    std::unique_lock lock(mutex_);
    share.sleeps.store(true);
    if (ready()) share.sleeps.store(false);
    share.wake.wait(lock, [&] { return !share.sleeps.load(); });
  }

  void resize(int threads) {
    stopWorkers();
    stop_ = false;
    shares_.clear();
    shares_.resize(std::size_t(threads));
    bytes_ = 0;
    for (std::size_t i = 1; i < shares_.size(); i++) workers_.emplace_back([this, seen = job_, i] { serve(seen, i); });
  }

  void stopWorkers() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      for (Share& share : shares_) share.sleeps.store(false);
    }
    for (Share& share : shares_) share.wake.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  std::mutex callers_, mutex_;
  Patience last_{kLast};
  std::condition_variable left_;  // the last worker has left a closed job
  std::vector<std::thread> workers_;
  std::deque<Share> shares_ = std::deque<Share>(1);  // the caller's, then the workers'
  std::size_t bytes_ = 0;                            // of the memory of every share, at least
  std::atomic<int> wanted_;
  alignas(128) std::atomic<Gate> gate_{0};
  alignas(128) std::atomic<bool> stop_{false};
  std::atomic<bool> callerSleeps_{false};
  std::atomic<int> entered_{0};  // workers that joined the job
  std::uint32_t job_ = 0;
  int used_ = 1, misses_ = 0, quiet_ = 0;  // jobs in a row that no worker joined; jobs to come that wake nobody
  const TaskRef* task_ = nullptr;
  std::exception_ptr failure_;
};

// Never destroyed: at process exit other threads may still be inside an operation.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

void parallelFor(std::int64_t count, TaskRef task, Cost cost) {
  if (count <= 0) return;
  if (insideTask || count == 1) {
    for (std::int64_t i = 0; i < count; i++) task(i, nullptr);
    fence();
    return;
  }
  pool().run(count, 0, task, cost);
}

void parallelFor(std::int64_t count, std::size_t bytes, TaskRef task, Cost cost) {
  if (insideTask) throw std::logic_error("memory was asked for inside a task, whose thread's memory is in use");
  if (count > 0) pool().run(count, bytes, task, cost);
}

void setThreads(int threads) {
  if (threads < 1 || threads > 1024)
    throw std::out_of_range("Expected an integer from 1 to 1024 for threads but received " + std::to_string(threads));
  pool().setThreads(threads);
}

int threads() { return pool().threads(); }

}  // namespace selfcompress::cpu
