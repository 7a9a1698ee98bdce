// How the engine gets at more than one thread: whoever uses it says.
#pragma once

#include <cstdint>
#include <functional>

namespace selfcompress::engine {

#if defined(__EMSCRIPTEN__)
// WebAssembly has one thread, and its bundle no room for the ways of several.
struct Parallel {
  static constexpr int threads = 1;
  template <class Task>
  void run(std::int64_t count, const Task& task) const {
    for (std::int64_t i = 0; i < count; i++) task(i);
  }
};
#else
struct Parallel {
  int threads = 1;
  // Calls task(0) .. task(count - 1), each once, in any order and on any thread, and returns when all are done. It may
  // be called from inside a task. Empty: one after another.
  std::function<void(std::int64_t count, const std::function<void(std::int64_t)>& task)> each;

  void run(std::int64_t count, const std::function<void(std::int64_t)>& task) const {
    if (threads > 1 && each && count > 1) return each(count, task);
    for (std::int64_t i = 0; i < count; i++) task(i);
  }
};
#endif

}  // namespace selfcompress::engine
