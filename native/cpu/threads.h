// The process-wide pool of threads that share the work of one operation.
#pragma once

#include <cstdint>
#include <type_traits>

namespace selfcompress::cpu {

// A task by reference: unlike std::function it never allocates, and must not outlive what it refers to.
class TaskRef {
 public:
  template <class Task, class = std::enable_if_t<!std::is_same_v<std::decay_t<Task>, TaskRef>>>
  TaskRef(const Task& task)  // NOLINT: a lambda is passed as it is
      : task_(&task), call_([](const void* t, std::int64_t i) { (*static_cast<const Task*>(t))(i); }) {}
  void operator()(std::int64_t i) const { call_(task_, i); }

 private:
  const void* task_;
  void (*call_)(const void*, std::int64_t);
};

// Runs task(0) .. task(count-1), each once, in any order and on any thread, and returns when all are done. The caller
// works too. Callers on several threads take turns. A call from inside a task runs its tasks on that thread. The first
// exception of a task is rethrown here; tasks that have not started by then are skipped.
void parallelFor(std::int64_t count, TaskRef task);

// Memory of the calling thread, aligned to kAlignment, until its next call; it grows to the largest that was asked for.
float* threadMemory(std::int64_t floats);

}  // namespace selfcompress::cpu
