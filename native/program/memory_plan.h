// Which buffers of a step may lie in the same place: those that are never needed at the same time.
#pragma once

#include <cstddef>
#include <vector>

namespace selfcompress {

using BufferId = int;
inline constexpr BufferId kNoBuffer = -1;

// Buffers are announced with their size, then every call of the program that touches one extends its lifetime; `place`
// gives each an offset in one arena so that buffers whose lifetimes overlap do not.
class MemoryPlan {
 public:
  BufferId add(std::size_t bytes);
  void use(BufferId, int call);  // the call with this number reads or writes the buffer
  // Largest first, each at the lowest free offset; many of them in the order of their lives. share = false: in a row.
  void place(bool share);

  std::size_t offset(BufferId id) const { return buffers_[std::size_t(id)].offset; }
  std::size_t size(BufferId id) const { return buffers_[std::size_t(id)].bytes; }
  // The first and the last call that touch it; -1: none does.
  int first(BufferId id) const { return buffers_[std::size_t(id)].first; }
  int last(BufferId id) const { return buffers_[std::size_t(id)].last; }
  BufferId count() const { return BufferId(buffers_.size()); }
  std::size_t arenaBytes() const { return arenaBytes_; }
  std::size_t unsharedBytes() const;  // sum of all buffers

 private:
  struct Buffer {
    std::size_t bytes = 0, offset = 0;
    int first = -1, last = -1;
  };
  std::vector<Buffer> buffers_;
  std::size_t arenaBytes_ = 0;
};

}  // namespace selfcompress
