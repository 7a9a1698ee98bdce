// The process-wide pool of threads that share the work of one operation.
#pragma once

#include <cstdint>
#include <functional>

namespace selfcompress::cpu {

// Runs task(0) .. task(count-1), each once, in any order and on any thread, and returns when all are done. The caller
// works too. Callers on several threads take turns. A call from inside a task runs its tasks on that thread. The first
// exception of a task is rethrown here; tasks that have not started by then are skipped.
void parallelFor(std::int64_t count, const std::function<void(std::int64_t)>& task);

}  // namespace selfcompress::cpu
