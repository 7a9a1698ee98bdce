// A program: operations of a backend in order, as data, over buffers that share one arena. It can be printed, costed,
// compared, cut at its marks and handed to a backend as a whole.
#pragma once

#include <string>

#include "program/operation.h"

namespace selfcompress {

// Where the sections of a program end. They follow one another in this order.
enum class Mark { kStates, kInput, kForward, kLoss, kBackward, kUpdate };
inline constexpr int kMarks = int(Mark::kUpdate) + 1;
const char* markName(Mark);

class Program {
 public:
  // A buffer for `count` floats (or bytes); its lifetime is that of the operations which touch it.
  BufferId floats(std::int64_t count) { return memory_.add(std::size_t(count) * sizeof(float)); }
  BufferId bytes(std::size_t count) { return memory_.add(count); }

  // Fills in the pointers of the operation that was just added. kNoBuffer leaves a nullptr.
  template <class Args>
  class Added {
   public:
    Added(Program& program) : program_(program) {}
    template <class Pointer>
    Added& at(Pointer* Args::*field, BufferId buffer) {
      if (buffer == kNoBuffer) return *this;
      program_.operations_.back().pointers.push_back({offsetOf(field), buffer});
      program_.memory_.use(buffer, int(program_.operations_.size()) - 1);
      return *this;
    }
    template <class Pointer>
    Added& from(Pointer* Args::*field, BatchPart part, std::size_t shift = 0) {
      program_.operations_.back().batch.push_back({offsetOf(field), part, shift});
      return *this;
    }

   private:
    Program& program_;
  };
  template <class Args>
  Added<Args> add(int node, Args args) {
    operations_.push_back({OperationArgs(std::move(args)), node, {}, {}});
    return Added<Args>(*this);
  }
  // Keeps buffers apart that something outside of the program moves between.
  void keepApart(std::initializer_list<BufferId> buffers) {
    for (BufferId id : buffers) memory_.use(id, int(operations_.size()));
  }
  void mark(Mark m) { ends_[int(m)] = operations_.size(); }
  std::size_t end(Mark m) const { return ends_[int(m)]; }

  std::size_t size() const { return operations_.size(); }
  const std::vector<Operation>& operations() const { return operations_; }
  void place(bool share) { memory_.place(share); }
  const MemoryPlan& memory() const { return memory_; }
  template <class T = float>
  T* at(BufferId id) const {
    return id == kNoBuffer ? nullptr : reinterpret_cast<T*>(arena_ + memory_.offset(id));
  }

  // Once the plan is placed: the operations get the addresses of their buffers.
  void bind(std::byte* arena);
  // The operations from..to-1 on `batch` examples. Allocates nothing.
  void run(Backend&, std::size_t from, std::size_t to, int batch, const BatchMemory&, const Augmentation&);

 private:
  std::vector<Operation> operations_;
  MemoryPlan memory_;
  std::size_t ends_[kMarks]{};
  std::byte* arena_ = nullptr;
};

}  // namespace selfcompress
