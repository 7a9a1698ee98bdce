#include "cpu/past_caches.h"

#include <atomic>

namespace selfcompress::cpu {
namespace {
std::atomic<std::int64_t> least{kPastCaches};
}

bool writesPastCaches(std::int64_t floats) { return floats >= least.load(std::memory_order_relaxed); }
void setPastCaches(std::int64_t floats) { least = floats; }

}  // namespace selfcompress::cpu
