// Runs launches on the calling thread of the operating system; threads.h is its face to kernels.
#pragma once

#include <exception>
#include <utility>

#include "cuda/host/fibers.h"
#include "cuda/host/memory.h"

namespace selfcompress::cuda::host {

class FastRandom {  // xorshift64*
 public:
  void seed(std::uint64_t s) {
    state_ = (s + 1) * 0x9e3779b97f4a7c15ull;
    if (!state_) state_ = 1;
  }
  std::uint32_t below(std::uint32_t n) { return std::uint32_t((std::uint64_t(next()) * n) >> 32); }

 private:
  std::uint32_t next() {
    state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
    return std::uint32_t((state_ * 0x2545f4914f6cdd1dull) >> 32);
  }
  std::uint64_t state_ = 1;
};

class Scheduler {
 public:
  static Scheduler& ofThisThread();
  Settings settings;

  void run(const Launch&);
  void preempt();
  int barrier(const char* name, int predicate, const std::source_location&);
  void warpCall(WarpCall&);
  const Block& block() const { return block_; }
  Word* sharedWords() { return sharedWords_.data(); }

 private:
  struct Warp {
    std::uint32_t waiting = 0, returned = 0;  // lanes
    std::uint16_t phase = 0;
    WarpCall* calls[32] = {};
  };
  struct alignas(16) Line {
    unsigned char bytes[16];
  };

  Scheduler();
  static void fiberMain();
  void startBlock(std::uint32_t number);
  void runBlock(std::uint32_t number);
  Thread* take();            // one that can go on
  void leave();              // to another thread; returns when this one goes on
  Thread* threadReturned();  // the next one, nullptr after the last
  void drawAccesses();
  void finish(Warp&, WarpCall&, unsigned firstThread);
  std::string whoWaits() const;

  Fibers fibers_;
  FastRandom random_;
  std::uint64_t seededWith_ = 0;
  const Launch* launch_ = nullptr;
  std::uint32_t epoch_ = 0, blockEpoch_ = 0;  // launches, blocks run so far
  std::vector<std::uint32_t> order_;

  Block block_;
  std::vector<Line> shared_;
  std::vector<Word> sharedWords_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<Thread*> ready_;
  unsigned threadCount_ = 0, arrived_ = 0, returned_ = 0;
  int barrierOr_ = 0, barrierResult_ = 0;
  const char* barrierName_ = "";
  std::source_location barrierSite_;
  std::exception_ptr error_;
};

}  // namespace selfcompress::cuda::host
