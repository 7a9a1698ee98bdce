// Blocks in random order, a block's threads in random order, and what they wait for.
#include "cuda/host/scheduler.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <numeric>

namespace selfcompress::cuda::host {
namespace {

std::string coordinates(uint3 i) {
  std::string text("(");
  return text + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}
std::string lineOf(const std::source_location& site) {
  std::string file = site.file_name();
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(site.line());
}

std::atomic<std::uint32_t> launches{0};

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  std::uint64_t value = std::strtoull(text, &end, 10);
  if (*end) throw std::runtime_error(std::string("Expected a number for ") + variable + " but received '" + text + "'");
  return value;
}

}  // namespace

Settings settingsFromEnvironment() {
  Settings s;
  s.seed = number("SELFCOMPRESS_CUDA_SEED", s.seed);
  s.accessesPerSwitch = int(number("SELFCOMPRESS_CUDA_SWITCH", std::uint64_t(s.accessesPerSwitch)));
  return s;
}
Settings& settings() { return Scheduler::ofThisThread().settings; }

void fault(const std::string& what) {
  std::string text;
  if (current) {
    const Block& b = *current->block;
    text =
        std::string(b.operation) + ", block " + coordinates(b.index) + ", thread " + coordinates(current->index) + ": ";
  }
  throw KernelFault(text + what);
}
void preempt() { Scheduler::ofThisThread().preempt(); }
int blockBarrier(const char* name, int predicate, std::source_location site) {
  return Scheduler::ofThisThread().barrier(name, predicate, site);
}
void warpCall(WarpCall& call) { Scheduler::ofThisThread().warpCall(call); }
void execute(const Launch& launch) { Scheduler::ofThisThread().run(launch); }

Scheduler& Scheduler::ofThisThread() {
  static thread_local Scheduler scheduler;
  return scheduler;
}

Scheduler::Scheduler() : settings(settingsFromEnvironment()), fibers_(fiberMain) { random_.seed(settings.seed); }

void Scheduler::run(const Launch& launch) {
  launch_ = &launch;
  if (settings.seed != seededWith_) random_.seed(seededWith_ = settings.seed);
  epoch_ = ++launches;
  block_.size = launch.block, block_.grid = launch.grid, block_.operation = launch.operation;
  block_.sharedBytes = launch.sharedBytes;
  std::size_t padded = (launch.sharedBytes + 15) / 16 * 16;
  if (shared_.size() * 16 < padded) shared_.resize(padded / 16), sharedWords_.assign(padded / 4, Word{});
  block_.shared = reinterpret_cast<unsigned char*>(shared_.data());
  std::size_t blocks = std::size_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  order_.resize(blocks);
  std::iota(order_.begin(), order_.end(), std::uint32_t(0));
  for (std::size_t i = blocks; i > 1; i--) std::swap(order_[i - 1], order_[random_.below(std::uint32_t(i))]);
  for (std::uint32_t b : order_) runBlock(b);
}

void Scheduler::startBlock(std::uint32_t number) {
  const dim3& grid = block_.grid;
  block_.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
  fillWithPoison(block_.shared, block_.sharedBytes);
  blockEpoch_++;
  unsigned count = block_.size.x * block_.size.y * block_.size.z;
  if (threads_.size() < count) threads_.resize(count);
  warps_.assign((count + 31) / 32, Warp{});
  ready_.clear();
  threadCount_ = count, arrived_ = returned_ = 0, barrierOr_ = 0;
  for (unsigned i = 0; i < count; i++) {
    Thread& t = threads_[i];
    t.index = {i % block_.size.x, i / block_.size.x % block_.size.y, i / block_.size.x / block_.size.y};
    t.block = &block_, t.number = i, t.state = Thread::State::kReady, t.fiber = nullptr, t.call = nullptr;
    t.inShared = {blockEpoch_, number, 0, 0, std::uint16_t(i)};
    t.inGlobal = {epoch_, number, 0, 0, std::uint16_t(i)};
    t.copies.clear(), t.group = 0;
    ready_.push_back(&t);
  }
}

void Scheduler::runBlock(std::uint32_t number) {
  startBlock(number);
  drawAccesses();
  current = take();
  current->fiber = fibers_.take();
  fibers_.jump(current->fiber);
  current = nullptr;
  if (!error_) return;
  fibers_.reset();
  std::rethrow_exception(std::exchange(error_, nullptr));
}

// A fiber runs threads from their start to their end, one after the other, until it is left for one that was suspended.
void Scheduler::fiberMain() {
  Scheduler& s = ofThisThread();
  for (;;) {
    Thread* next = nullptr;
    try {
      s.launch_->body();
      next = s.threadReturned();
    } catch (...) {
      s.error_ = std::current_exception();
    }
    if (next && !next->fiber) {
      next->fiber = s.fibers_.running();
      current = next;
      continue;
    }
    if (!s.error_) s.fibers_.giveBack(s.fibers_.running());
    current = next;
    s.fibers_.jump(next ? next->fiber : s.fibers_.root());
  }
}

Thread* Scheduler::take() {
  std::uint32_t i = random_.below(std::uint32_t(ready_.size()));
  Thread* t = ready_[i];
  ready_[i] = ready_.back();
  ready_.pop_back();
  return t;
}

void Scheduler::leave() {
  if (ready_.empty()) fault("nothing can go on: " + whoWaits());
  Thread* next = take();
  if (next == current) return;
  current = next;
  if (!next->fiber) next->fiber = fibers_.take();
  fibers_.jump(next->fiber);
}

void Scheduler::drawAccesses() {
  int mean = settings.accessesPerSwitch;
  accessesLeft = mean > 0 ? 1 + random_.below(2 * std::uint32_t(mean)) : 0xffffffffu;
}

void Scheduler::preempt() {
  drawAccesses();
  if (!current) return;
  ready_.push_back(current);
  leave();
}

Thread* Scheduler::threadReturned() {
  Thread& t = *current;
  t.state = Thread::State::kReturned;
  returned_++;
  warps_[t.number / 32].returned |= 1u << t.number % 32;
  if (arrived_ > 0)
    fault("returned while " + std::to_string(arrived_) + " threads wait at " + barrierName_ + " (" +
          lineOf(barrierSite_) + ")");
  const Warp& warp = warps_[t.number / 32];
  for (int lane = 0; lane < 32; lane++)
    if (warp.waiting >> lane & 1 && warp.calls[lane]->mask >> (t.number % 32) & 1)
      fault("returned while lane " + std::to_string(lane) + " of its warp waits for it in " + warp.calls[lane]->name +
            " (" + lineOf(warp.calls[lane]->site) + ")");
  if (returned_ == threadCount_) return nullptr;
  if (ready_.empty()) fault("nothing can go on after it returned: " + whoWaits());
  return take();
}

int Scheduler::barrier(const char* name, int predicate, const std::source_location& site) {
  Thread& t = *current;
  if (returned_ > 0)
    fault(std::string(name) + " (" + lineOf(site) + ") after " + std::to_string(returned_) +
          " threads of the block have returned");
  if (arrived_ == 0) barrierSite_ = site, barrierName_ = name;
  else if (site.line() != barrierSite_.line() || site.column() != barrierSite_.column())
    fault(std::string(name) + " (" + lineOf(site) + ") while other threads wait at " + barrierName_ + " (" +
          lineOf(barrierSite_) + ")");
  barrierOr_ |= predicate != 0;
  if (++arrived_ < threadCount_) {
    t.state = Thread::State::kAtBarrier;
    leave();
    return barrierResult_;
  }
  barrierResult_ = barrierOr_;
  arrived_ = 0, barrierOr_ = 0;
  for (unsigned i = 0; i < threadCount_; i++) {
    Thread& other = threads_[i];
    other.inShared.phase++, other.inGlobal.phase++;
    if (&other != &t) other.state = Thread::State::kReady, ready_.push_back(&other);
  }
  return barrierResult_;
}

void Scheduler::warpCall(WarpCall& call) {
  Thread& t = *current;
  Warp& warp = warps_[t.number / 32];
  std::uint32_t lane = t.number % 32, bit = 1u << lane, first = t.number - lane;
  std::uint32_t present = threadCount_ - first >= 32 ? ~0u : (1u << (threadCount_ - first)) - 1;
  auto here = [&] { return std::string(call.name) + " (" + lineOf(call.site) + ")"; };
  if (!(call.mask & bit)) fault(here() + " with a mask that leaves out the calling lane " + std::to_string(lane));
  if (call.mask & ~present) fault(here() + " with a mask of lanes that the block does not have");
  if (call.mask & warp.returned) fault(here() + " waits for a lane that has returned");
  if (std::uint32_t others = warp.waiting & call.mask) {
    const WarpCall& other = *warp.calls[__builtin_ctz(others)];
    if (other.mask != call.mask || other.combine != call.combine || other.name != call.name ||
        other.site.line() != call.site.line())
      fault(here() + " while lane " + std::to_string(__builtin_ctz(others)) + " waits in " + other.name + " (" +
            lineOf(other.site) + "): a warp's collective operation has to be one call with one mask");
  }
  warp.calls[lane] = &call;
  warp.waiting |= bit;
  if ((warp.waiting & call.mask) != call.mask) {
    t.state = Thread::State::kInWarpCall, t.call = &call;
    leave();
    return;
  }
  finish(warp, call, first);
}

void Scheduler::finish(Warp& warp, WarpCall& call, unsigned first) {
  WarpCall* lanes[32];
  for (unsigned i = 0; i < 32; i++) lanes[i] = call.mask >> i & 1 ? warp.calls[i] : nullptr;
  if (call.combine) call.combine(lanes);
  warp.waiting &= ~call.mask;
  std::uint32_t mask = call.mask;
  if (call.orders) {
    warp.phase++;
    for (unsigned i = first; i < std::min(first + 32, threadCount_); i++)
      threads_[i].inShared.warpPhase = threads_[i].inGlobal.warpPhase = warp.phase;
  }
  for (unsigned i = 0; i < 32; i++) {
    if (!(mask >> i & 1) || &threads_[first + i] == current) continue;
    Thread& other = threads_[first + i];
    other.state = Thread::State::kReady, other.call = nullptr;
    ready_.push_back(&other);
  }
}

std::string Scheduler::whoWaits() const {
  std::string text;
  if (arrived_ > 0)
    text = std::to_string(arrived_) + " of " + std::to_string(threadCount_) + " threads wait at " + barrierName_ +
           " (" + lineOf(barrierSite_) + ")";
  for (unsigned i = 0; i < threadCount_; i++)
    if (threads_[i].state == Thread::State::kInWarpCall)
      return text + (text.empty() ? "" : ", ") + "thread " + coordinates(threads_[i].index) + " waits in " +
             threads_[i].call->name + " (" + lineOf(threads_[i].call->site) + ")";
  return text;
}

}  // namespace selfcompress::cuda::host
