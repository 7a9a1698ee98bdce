// Fibers over Boost.Context: stacks that are kept and used again, and the switch from one to another.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <memory>
#include <vector>

namespace selfcompress::cuda::host {

struct Fiber {
  boost::context::detail::fcontext_t context = nullptr;
  unsigned char* stack = nullptr;  // lowest address, with an inaccessible page below
};

// Not thread-safe: one for each thread of the operating system.
class Fibers {
 public:
  explicit Fibers(void (*main)()) : main_(main) {}
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  // A fiber that starts main() when it is jumped to, or goes on after the jump that left it after giveBack().
  Fiber* take();
  void giveBack(Fiber* fiber) { free_.push_back(fiber); }
  // Returns when somebody jumps back to the fiber that runs now.
  void jump(Fiber* to);
  Fiber* root() { return &root_; }  // the caller of it all
  Fiber* running() const { return running_; }
  // After an error: all fibers start anew, what they were doing is dropped. Called on the root.
  void reset();

 private:
  static void entry(boost::context::detail::transfer_t);
  void start(Fiber&, std::size_t number);

  void (*main_)();
  Fiber root_;
  Fiber* running_ = &root_;
  std::vector<std::unique_ptr<Fiber>> all_;
  std::vector<Fiber*> free_;
};

}  // namespace selfcompress::cuda::host
