#include "program/memory_plan.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>

#include "selfcompress/tensor.h"

namespace selfcompress {
namespace {

// The search for a gap looks at all buffers for each one: with more than these it would take seconds.
constexpr std::size_t kMostSearched = 8192;

// Memory as a program would allocate and free it: the lowest gap that is large enough.
class Heap {
 public:
  std::size_t allocate(std::size_t bytes) {
    for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
      const auto [offset, size] = *gap;
      if (size < bytes) continue;
      gaps_.erase(gap);
      if (size > bytes) gaps_[offset + bytes] = size - bytes;
      return offset;
    }
    std::size_t offset = end_;
    if (!gaps_.empty() && gaps_.rbegin()->first + gaps_.rbegin()->second == end_) {
      offset = gaps_.rbegin()->first;
      gaps_.erase(offset);
    }
    end_ = offset + bytes;
    return offset;
  }
  void free(std::size_t offset, std::size_t bytes) {
    if (!bytes) return;
    auto gap = gaps_.insert_or_assign(offset, bytes).first;
    const auto after = std::next(gap);
    if (after != gaps_.end() && offset + bytes == after->first) gap->second += after->second, gaps_.erase(after);
    if (gap == gaps_.begin()) return;
    const auto before = std::prev(gap);
    if (before->first + before->second == offset) before->second += gap->second, gaps_.erase(gap);
  }
  std::size_t end() const { return end_; }

 private:
  std::map<std::size_t, std::size_t> gaps_;  // sizes by offset
  std::size_t end_ = 0;
};

}  // namespace

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
  if (!share) {
    for (Buffer& b : buffers_) b.offset = std::exchange(arenaBytes_, arenaBytes_ + b.bytes);
    return;
  }
  if (order.size() > kMostSearched) {
    std::vector<std::size_t> ends = order;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return buffers_[a].first < buffers_[b].first; });
    std::stable_sort(ends.begin(), ends.end(),
                     [&](std::size_t a, std::size_t b) { return buffers_[a].last < buffers_[b].last; });
    Heap heap;
    auto ended = ends.begin();
    for (std::size_t id : order) {
      for (; buffers_[*ended].last < buffers_[id].first; ++ended)
        heap.free(buffers_[*ended].offset, buffers_[*ended].bytes);
      buffers_[id].offset = heap.allocate(buffers_[id].bytes);
    }
    arenaBytes_ = heap.end();
    return;
  }
  std::vector<const Buffer*> placed;  // by ascending offset
  for (std::size_t id : order) {
    Buffer& buffer = buffers_[id];
    std::size_t at = 0;
    for (const Buffer* other : placed) {
      const bool together = buffer.first <= other->last && other->first <= buffer.last;
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
