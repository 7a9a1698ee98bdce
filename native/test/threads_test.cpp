// The thread pool: every task once, nesting, exceptions, callers on several threads.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "cpu/threads.h"
#include "test/support.h"

using namespace test;
using cpu::parallelFor;

TEST_CASE("every task runs once, for any number of threads") {
  int before = cpu::threads();
  for (int threads : {1, 2, 7}) {
    cpu::setThreads(threads);
    for (int count : {0, 1, 2, 100, 5000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
      parallelFor(count, [&](std::int64_t i) { runs[std::size_t(i)]++; });
      for (auto& r : runs) CHECK(r == 1);
    }
  }
  cpu::setThreads(before);
}

TEST_CASE("a task may share its own work out") {
  std::atomic<int> sum{0};
  parallelFor(10, [&](std::int64_t) { parallelFor(10, [&](std::int64_t) { sum++; }); });
  CHECK(sum == 100);
}

TEST_CASE("each thread has memory for its tasks, which no other thread writes to") {
  cpu::setThreads(3);
  for (std::size_t bytes : {std::size_t(100), std::size_t(5000), std::size_t(64)}) {
    std::atomic<int> wrong{0};
    parallelFor(300, bytes, [&](std::int64_t i, std::byte* memory) {
      wrong += reinterpret_cast<std::uintptr_t>(memory) % kAlignment != 0;
      std::fill_n(memory, bytes, std::byte(i));
      std::this_thread::yield();
      for (std::size_t b = 0; b < bytes; b++) wrong += memory[b] != std::byte(i);
    });
    CHECK(wrong == 0);
  }
  std::atomic<int> refused{0};
  parallelFor(10, [&](std::int64_t) {
    try {
      parallelFor(2, 8, [](std::int64_t, std::byte*) {});
    } catch (const std::logic_error&) {
      refused++;
    }
  });
  CHECK(refused == 10);
}

TEST_CASE("an exception reaches the caller, and the pool goes on") {
  cpu::setThreads(3);
  CHECK_THROWS_AS(parallelFor(100,
                              [](std::int64_t i) {
                                if (i == 50) throw std::runtime_error("task");
                              }),
                  std::runtime_error);
  std::atomic<int> sum{0};
  parallelFor(100, [&](std::int64_t) { sum++; });
  CHECK(sum == 100);
}

TEST_CASE("callers on several threads, while the number of threads changes") {
  std::atomic<int> sum{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; t++)
    callers.emplace_back([&, t] {
      for (int i = 0; i < 50; i++) {
        if (t == 0) cpu::setThreads(1 + i % 4);
        parallelFor(20, std::size_t(i) + 1, [&](std::int64_t, std::byte* memory) {
          memory[i] = std::byte(t);
          std::this_thread::yield();
          sum += memory[i] == std::byte(t);
        });
      }
    });
  for (auto& c : callers) c.join();
  CHECK(sum == 4 * 50 * 20);
}

TEST_CASE("work is shared by as many threads as it is worth, and its results do not depend on them") {
  for (double nanoseconds : {0.0, 10.0, 1000.0, 1e6})
    for (int threads : {1, 2, 5}) {
      cpu::setThreads(threads);
      std::vector<int> results(200, 0);
      std::atomic<int> others{0};
      const std::thread::id caller = std::this_thread::get_id();
      parallelFor(200,
                  [&](std::int64_t i) {
                    results[std::size_t(i)] += int(i) * 3;
                    others += std::this_thread::get_id() != caller;
                  },
                  {nanoseconds});
      for (int i = 0; i < 200; i++) CHECK(results[std::size_t(i)] == 3 * i);
      if (nanoseconds <= 10) CHECK(others == 0);  // 2 microseconds: nobody is called
    }
}

TEST_CASE("the caller waits for nobody who has not come, and for everybody who has") {
  cpu::setThreads(8);  // more threads than most machines have cores
  std::atomic<std::int64_t> sum{0};
  for (int job = 0; job < 3000; job++) {
    std::int64_t before = sum;
    parallelFor(16, [&](std::int64_t i) { sum += i; });
    CHECK(sum - before == 120);
    if (job % 500 == 499) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
  }
}

TEST_CASE("workers help with long tasks, awake or asleep") {
  cpu::setThreads(2);
  for (int trial = 0; trial < 5; trial++) {
    if (trial % 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> others{0};
    const std::thread::id caller = std::this_thread::get_id();
    parallelFor(20, [&](std::int64_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      others += std::this_thread::get_id() != caller;
    });
    CHECK(others > 0);
  }
}

TEST_CASE("workers that came too late for short work are called for the next") {
  cpu::setThreads(2);
  for (int trial = 0; trial < 3; trial++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // the worker falls asleep
    const cpu::Cost shared{10000};
    for (int job = 0; job < 3; job++)
      parallelFor(
          8, [](std::int64_t) {}, shared);  // over before it is awake
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<bool> helped{false};
    const std::thread::id caller = std::this_thread::get_id();
    for (int job = 0; job < 20000 && !helped; job++)
      parallelFor(
          8,
          [&](std::int64_t) {
            const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(20);
            while (std::chrono::steady_clock::now() < end) {
            }
            if (std::this_thread::get_id() != caller) helped = true;
          },
          shared);
    CHECK(helped);
  }
}
