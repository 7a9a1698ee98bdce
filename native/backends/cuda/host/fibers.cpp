#include "cuda/host/fibers.h"

#include <sys/mman.h>

#include <new>

namespace selfcompress::cuda::host {
namespace {

constexpr std::size_t kPage = 4096, kStack = 128 << 10;

// What a jump hands to the fiber that goes on: who left, and the fibers it belongs to.
struct Handover {
  Fiber* from;
  void (*main)();
};

}  // namespace

Fibers::~Fibers() {
  for (auto& fiber : all_) munmap(fiber->stack - kPage, kStack + kPage);
}

void Fibers::start(Fiber& fiber, std::size_t number) {
  // Tops of stacks at different offsets in their pages, so that a block's threads do not all meet in one set of the
  // cache.
  std::size_t stagger = (number % 29) * 128;
  fiber.context = boost::context::detail::make_fcontext(fiber.stack + kStack - stagger, kStack - stagger, entry);
}

Fiber* Fibers::take() {
  if (free_.empty()) {
    void* memory =
        mmap(nullptr, kStack + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, kPage, PROT_NONE);
    auto fiber = std::make_unique<Fiber>();
    fiber->stack = static_cast<unsigned char*>(memory) + kPage;
    start(*fiber, all_.size());
    all_.push_back(std::move(fiber));
    return all_.back().get();
  }
  Fiber* fiber = free_.back();
  free_.pop_back();
  return fiber;
}

void Fibers::jump(Fiber* to) {
  Handover handover{running_, main_};
  running_ = to;
  auto back = boost::context::detail::jump_fcontext(to->context, &handover);
  static_cast<Handover*>(back.data)->from->context = back.fctx;
}

void Fibers::entry(boost::context::detail::transfer_t come) {
  Handover handover = *static_cast<Handover*>(come.data);
  handover.from->context = come.fctx;
  handover.main();  // never returns
}

void Fibers::reset() {
  free_.clear();
  for (std::size_t i = 0; i < all_.size(); i++) {
    start(*all_[i], i);
    free_.push_back(all_[i].get());
  }
  running_ = &root_;
}

}  // namespace selfcompress::cuda::host
