// A backend whose operations do not run before somebody has to wait for them, on the reference: what a device may do to
// a program that relies on an order it did not ask for.
//
// Operations wait in one queue, the copies of `stage` in another; nothing but `useStaged` puts them in order. kLate: a
// copy runs only when operations wait for it, so an operation that forgot to wait reads old data. kEarly: it runs at
// once, so that memory written too soon spoils operations that still need it.
//
// Its convolutions take no moments of their output, unlike those of the reference: norms must give the same without.
#pragma once

#include <deque>
#include <functional>

#include "selfcompress/backend.h"

namespace test {

using namespace selfcompress;

class QueuedBackend final : public Backend {
 public:
  enum class Copies { kLate, kEarly };
  explicit QueuedBackend(Copies copies) : copies_(copies), inner_(makeReferenceBackend()) {}
  ~QueuedBackend() override { drain(); }
  std::string name() const override { return "queued"; }

  void* allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory) override { inner_->release(memory); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    auto* first = static_cast<const std::byte*>(host);
    add([=, this, data = std::vector<std::byte>(first, first + bytes)] { inner_->upload(device, data.data(), bytes); });
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    drain();
    inner_->download(host, device, bytes);
  }
  void zero(void* device, std::size_t bytes) override {
    add([=, this] { inner_->zero(device, bytes); });
  }
  void synchronize() override { drain(); }

  bool readsHostMemory() const override { return false; }
  void stage(int slot, void* device, const void* staging, std::size_t bytes) override {
    Copy copy{slot, [=, this] { inner_->upload(device, staging, bytes); }};
    if (copies_ == Copies::kEarly) copy.run();
    else staged_.push_back(std::move(copy));
  }
  void useStaged(int slot) override {
    add([=, this] { runCopies(slot); });
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    add([=, this] { inner_->download(to, from, bytes); });
  }
  void fetch(void* staging, const void* device, std::size_t bytes) override { copy(staging, device, bytes); }
  void finish(int slot) override { finished_[slot] = queued_; }
  void waitFor(int slot) override {
    while (done_ < finished_[slot]) runNext();
  }

  bool beginRecording() override {
    recording_ = std::make_unique<Tasks>();
    return true;
  }
  std::unique_ptr<Recording> endRecording() override { return std::move(recording_); }
  void cancelRecording() override { recording_.reset(); }
  void replay(Recording& recording) override {
    for (const auto& task : static_cast<Tasks&>(recording).list) add(task);
  }

  std::size_t conv2dWorkspace(const Conv2dGeometry& g, int batch) const override {
    return inner_->conv2dWorkspace(g, batch);
  }

#define SELFCOMPRESS_QUEUED(Operation)    \
  void run(const Operation& a) override { \
    add([=, this] { inner_->run(a); });   \
  }
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_QUEUED)
#undef SELFCOMPRESS_QUEUED

 private:
  using Task = std::function<void()>;
  struct Copy {
    int slot;
    Task run;
  };
  struct Tasks final : Recording {
    std::vector<Task> list;
  };
  void add(Task task) {
    if (recording_) return recording_->list.push_back(std::move(task));
    tasks_.push_back(std::move(task));
    queued_++;
  }
  void runNext() {
    tasks_.front()();
    tasks_.pop_front();
    done_++;
  }
  void runCopies(int slot) {
    for (const Copy& copy : staged_)
      if (copy.slot == slot) copy.run();
    std::erase_if(staged_, [=](const Copy& copy) { return copy.slot == slot; });
  }
  void drain() {
    while (!tasks_.empty()) runNext();
  }

  Copies copies_;
  std::unique_ptr<Backend> inner_;
  std::deque<Task> tasks_;
  std::deque<Copy> staged_;
  std::unique_ptr<Tasks> recording_;
  std::int64_t queued_ = 0, done_ = 0, finished_[kStagingSlots] = {};
};

}  // namespace test
