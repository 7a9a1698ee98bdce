// The process-wide pool of threads that share the work of one operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace selfcompress::cpu {

// A task by reference: unlike std::function it never allocates, and must not outlive what it refers to. It takes its
// number, and where parallelFor is asked for memory that of the thread which runs it.
class TaskRef {
 public:
  template <class Task, class = std::enable_if_t<!std::is_same_v<std::decay_t<Task>, TaskRef>>>
  TaskRef(const Task& task)  // NOLINT: a lambda is passed as it is
      : task_(&task), call_([](const void* t, std::int64_t i, [[maybe_unused]] std::byte* memory) {
          const Task& called = *static_cast<const Task*>(t);
          if constexpr (std::is_invocable_v<const Task&, std::int64_t>) called(i);
          else called(i, memory);
        }) {}
  void operator()(std::int64_t i, std::byte* memory) const { call_(task_, i, memory); }

 private:
  const void* task_;
  void (*call_)(const void*, std::int64_t, std::byte*);
};

// About how long one task takes on one thread. It only decides how many threads are worth calling; results do not
// depend on it. By default tasks are worth all threads.
struct Cost {
  double nanoseconds = 1e9;
};

// Runs task(0) .. task(count-1), each once, in any order and on any thread, and returns when all are done. The caller
// works too. Callers on several threads take turns. A call from inside a task runs its tasks on that thread. The first
// exception of a task is rethrown here; tasks that have not started by then are skipped.
void parallelFor(std::int64_t count, TaskRef task, Cost = {});

// The same with memory: `bytes` of it for each thread, aligned to kAlignment and of no defined contents, which every
// task gets the address of. It is there before the first task starts, on threads that may get none as well, and is
// kept: on as many threads, a call that has run once allocates nothing the next time. Throws std::bad_alloc, and
// std::logic_error inside a task of several, since the memory of its thread may be in use.
void parallelFor(std::int64_t count, std::size_t bytes, TaskRef task, Cost = {});

}  // namespace selfcompress::cpu
