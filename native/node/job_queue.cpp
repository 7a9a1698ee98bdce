#include "node/job_queue.h"

namespace selfcompress::node {

void JobQueue::start(Events events) {
  thread_ = std::thread([this, events = std::move(events)] { loop(events); });
}

void JobQueue::push(std::unique_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void JobQueue::loop(const Events& events) {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (stopping_) break;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job->begin();
    if (job->series) beginNext(job->series);
    job->run();
    if (job->reports) events.done(std::move(job));
  }
  events.end();
}

// Only this thread takes jobs out of the queue while it runs, so the job stays where it is; `stop` waits for this
// thread.
void JobQueue::beginNext(const void* series) {
  Job* next = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!stopping_ && !jobs_.empty() && jobs_.front()->series == series) next = jobs_.front().get();
  }
  if (next) next->begin();
}

void JobQueue::stop() {
  if (stopping_) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  jobs_.clear();
}

}  // namespace selfcompress::node
