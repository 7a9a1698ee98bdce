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
  template <class Task>
  void ranges(std::int64_t count, std::int64_t, const Task& task) const {
    task(std::int64_t(0), count);
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
  // Calls task(first, last) for `parts` ranges of nearly one size that together are [0, count), none of them empty.
  template <class Task>
  void ranges(std::int64_t count, std::int64_t parts, const Task& task) const {
    if (parts > count) parts = count;
    run(parts, [&](std::int64_t part) { task(count * part / parts, count * (part + 1) / parts); });
  }
};
#endif

// Less than this is not shared with another thread: to wake one and wait for it takes about as long.
struct WorthSharing {
  std::int64_t inputs = 1 << 10;    // elements of an image that enter a block
  std::int64_t pooled = 1 << 14;    // elements that a pooling reads
  std::int64_t added = 1 << 15;     // elements of a sum of two values
  double multiplications = 200000;  // of a convolution
  double inPhases = 640000;         // of Winograd's form where its phases are shared, with a wait after each
};
inline constexpr WorthSharing kWorthSharing;

}  // namespace selfcompress::engine
