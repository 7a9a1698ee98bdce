// A thread that does jobs in the order in which they were queued. Knows nothing of JavaScript.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace selfcompress::node {

class JobQueue {
 public:
  class Job {
   public:
    virtual ~Job() = default;
    // Neither throws. `begin` comes before `run`; it may come before the `run` of the job queued just before, if both
    // are of one series.
    virtual void begin() = 0;
    virtual void run() = 0;
    const void* series = nullptr;
    bool reports = true;  // whether `done` takes it; if not, it ends on the queue's thread
  };
  // On the queue's thread: takes a job that is done; and the end of that thread.
  struct Events {
    std::function<void(std::unique_ptr<Job>)> done;
    std::function<void()> end;
  };

  ~JobQueue() { stop(); }
  // `start`, `push` and `stop` belong to one thread, that of the owner.
  bool started() const { return thread_.joinable(); }
  bool stopped() const { return stopping_; }
  void start(Events);
  void push(std::unique_ptr<Job>);
  // The job that runs is finished; those that wait are dropped.
  void stop();

 private:
  void loop(const Events&);
  void beginNext(const void* series);

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  bool stopping_ = false;
};

}  // namespace selfcompress::node
