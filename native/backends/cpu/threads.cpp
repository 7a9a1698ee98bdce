#include "cpu/threads.h"

#include <algorithm>
#include <atomic>
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
#include <vector>

#include "selfcompress/backend.h"

#if defined(_MSC_VER) || defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace selfcompress::cpu {
namespace {

void relax() {
#if defined(_MSC_VER) || defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Before others may read what tasks have written: stores past the caches (storePast in kernels/) are not ordered. Where
// a task throws, nobody reads it.
void fence() {
#if defined(_MSC_VER) || defined(__x86_64__)
  _mm_sfence();
#endif
}

int availableProcessors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

int defaultThreads() {
  if (const char* text = std::getenv("SELFCOMPRESS_THREADS")) {
    char* end = nullptr;
    long value = std::strtol(text, &end, 10);
    if (end == text || *end || value < 1 || value > 1024)
      throw std::runtime_error("Expected an integer from 1 to 1024 for SELFCOMPRESS_THREADS but received '" +
                               std::string(text) + "'");
    return int(value);
  }
  return availableProcessors();
}

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
};

// One job at a time, published by increasing `generation_`. Every thread starts with the tasks of its own share, which
// are neighbours and, in operations over the same images, the same ones each time: what a thread has written is still
// in its own caches when it reads it again. Then it helps the others with theirs.
class Pool {
 public:
  Pool() : wanted_(defaultThreads()) {}
  ~Pool() { stopWorkers(); }

  int threads() const { return wanted_.load(); }
  void setThreads(int threads) { wanted_ = threads; }

  void run(std::int64_t count, std::size_t bytes, TaskRef task) {
    std::lock_guard turn(callers_);
    const int wanted = wanted_;
    if (int(workers_.size()) != wanted - 1) resize(wanted - 1);
    for (Share& share : shares_) share.memory.reserve(bytes);
    if (wanted == 1 || count == 1) return runAlone(count, task, shares_[0].memory.address());
    task_ = &task;
    for (int i = 0; i < wanted; i++) {
      shares_[std::size_t(i)].next = count * i / wanted;
      shares_[std::size_t(i)].end = count * (i + 1) / wanted;
    }
    failure_ = nullptr;
    pending_ = int(workers_.size());
    {
      std::lock_guard lock(mutex_);
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    work(0);
    for (int spin = 0; pending_.load(std::memory_order_acquire) != 0; spin++)
      if (spin < 20000) relax();
      else std::this_thread::yield();
    if (failure_) std::rethrow_exception(failure_);
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

  void work(std::size_t self) {
    insideTask = true;
    for (std::size_t k = 0; k < shares_.size(); k++) workOn(shares_[(self + k) % shares_.size()], shares_[self].memory);
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
        for (Share& all : shares_) all.next = all.end;
      }
    }
  }

  // A worker spins briefly for the next job, since operations follow one another closely, then sleeps.
  void serve(std::uint64_t seen, std::size_t self) {
    for (;;) {
      for (int spin = 0; spin < 4000 && generation_.load(std::memory_order_acquire) == seen; spin++) relax();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      work(self);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  void resize(int workers) {
    stopWorkers();
    stop_ = false;
    std::uint64_t seen = generation_.load();
    shares_.clear();
    shares_.resize(std::size_t(workers) + 1);
    for (std::size_t i = 1; i < shares_.size(); i++) workers_.emplace_back([this, seen, i] { serve(seen, i); });
  }

  void stopWorkers() {
    stop_ = true;
    {
      std::lock_guard lock(mutex_);
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  std::deque<Share> shares_ = std::deque<Share>(1);  // the caller's, then the workers'
  std::atomic<int> wanted_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> pending_{0};
  const TaskRef* task_ = nullptr;
  std::exception_ptr failure_;
};

// Never destroyed: at process exit other threads may still be inside an operation.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

void parallelFor(std::int64_t count, TaskRef task) {
  if (count <= 0) return;
  if (insideTask || count == 1) {
    for (std::int64_t i = 0; i < count; i++) task(i, nullptr);
    fence();
    return;
  }
  pool().run(count, 0, task);
}

void parallelFor(std::int64_t count, std::size_t bytes, TaskRef task) {
  if (insideTask) throw std::logic_error("memory was asked for inside a task, whose thread's memory is in use");
  if (count > 0) pool().run(count, bytes, task);
}

void setThreads(int threads) {
  if (threads < 1 || threads > 1024)
    throw std::out_of_range("Expected an integer from 1 to 1024 for threads but received " + std::to_string(threads));
  pool().setThreads(threads);
}

int threads() { return pool().threads(); }

}  // namespace selfcompress::cpu
