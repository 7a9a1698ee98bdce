#include "cpu/threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
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

// One job at a time: workers take task numbers from an atomic counter. A job is published by increasing `generation_`.
class Pool {
 public:
  Pool() : wanted_(defaultThreads()) {}
  ~Pool() { stopWorkers(); }

  int threads() const { return wanted_.load(); }
  void setThreads(int threads) { wanted_ = threads; }

  void run(std::int64_t count, TaskRef task) {
    std::lock_guard turn(callers_);
    int helpers = int(std::min<std::int64_t>(wanted_.load(), count)) - 1;
    if (int(workers_.size()) != wanted_ - 1) resize(wanted_ - 1);
    if (helpers < 1) return runAlone(count, task);
    task_ = &task;
    count_ = count;
    next_ = 0;
    failure_ = nullptr;
    pending_ = int(workers_.size());
    {
      std::lock_guard lock(mutex_);
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    work();
    for (int spin = 0; pending_.load(std::memory_order_acquire) != 0; spin++)
      if (spin < 20000) relax();
      else std::this_thread::yield();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static void runAlone(std::int64_t count, TaskRef task) {
    struct Scope {
      Scope() { insideTask = true; }
      ~Scope() { insideTask = false; }
    } scope;
    for (std::int64_t i = 0; i < count; i++) task(i);
  }

  void work() {
    insideTask = true;
    for (;;) {
      std::int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= count_) break;
      try {
        (*task_)(i);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_ = count_;
      }
    }
    insideTask = false;
  }

  // A worker spins briefly for the next job, since operations follow one another closely, then sleeps.
  void serve(std::uint64_t seen) {
    for (;;) {
      for (int spin = 0; spin < 4000 && generation_.load(std::memory_order_acquire) == seen; spin++) relax();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      work();
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  void resize(int workers) {
    stopWorkers();
    stop_ = false;
    std::uint64_t seen = generation_.load();
    for (int i = 0; i < workers; i++) workers_.emplace_back([this, seen] { serve(seen); });
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
  std::atomic<int> wanted_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> pending_{0};
  std::atomic<std::int64_t> next_{0};
  std::int64_t count_ = 0;
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
    for (std::int64_t i = 0; i < count; i++) task(i);
    return;
  }
  pool().run(count, task);
}

float* threadMemory(std::int64_t floats) {
  thread_local std::vector<float> storage;
  if (std::int64_t(storage.size()) < floats + kLanes) storage.resize(std::size_t(floats + kLanes));
  auto address = reinterpret_cast<std::uintptr_t>(storage.data());
  return storage.data() + (kAlignment - address % kAlignment) % kAlignment / sizeof(float);
}

void setThreads(int threads) {
  if (threads < 1 || threads > 1024)
    throw std::out_of_range("Expected an integer from 1 to 1024 for threads but received " + std::to_string(threads));
  pool().setThreads(threads);
}

int threads() { return pool().threads(); }

}  // namespace selfcompress::cpu
