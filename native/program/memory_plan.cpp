#include "program/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "selfcompress/tensor.h"

namespace selfcompress {

BufferId MemoryPlan::add(std::size_t bytes) {
  buffers_.push_back({(bytes + kAlignment - 1) / kAlignment * kAlignment, 0, -1, -1});
  return BufferId(buffers_.size()) - 1;
}

void MemoryPlan::use(BufferId id, int call) {
  Buffer& b = buffers_[std::size_t(id)];
  b.first = b.first < 0 ? call : std::min(b.first, call);
  b.last = std::max(b.last, call);
}

void MemoryPlan::place(bool share) {
  std::vector<std::size_t> order(buffers_.size());
  std::iota(order.begin(), order.end(), std::size_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return buffers_[a].bytes > buffers_[b].bytes; });
  arenaBytes_ = 0;
  std::vector<const Buffer*> placed;  // by ascending offset
  for (std::size_t id : order) {
    Buffer& buffer = buffers_[id];
    std::size_t at = 0;
    for (const Buffer* other : placed) {
      bool together = !share || (buffer.first <= other->last && other->first <= buffer.last);
      if (together && at < other->offset + other->bytes && other->offset < at + buffer.bytes)
        at = other->offset + other->bytes;
    }
    buffer.offset = at;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &buffer,
                                   [](const Buffer* a, const Buffer* b) { return a->offset < b->offset; }),
                  &buffer);
    arenaBytes_ = std::max(arenaBytes_, at + buffer.bytes);
  }
}

std::size_t MemoryPlan::unsharedBytes() const {
  std::size_t sum = 0;
  for (const Buffer& b : buffers_) sum += b.bytes;
  return sum;
}

}  // namespace selfcompress
