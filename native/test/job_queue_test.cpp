// The queue of one JavaScript thread, without JavaScript: order, series, and its end. Run it under the thread sanitizer
// as well (npm run test:sanitize -- thread).
#include "node/job_queue.h"

#include <atomic>
#include <string>

#include "test/support.h"

using namespace test;
using selfcompress::node::JobQueue;

namespace {

struct Log {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;
  int done = 0;
  bool ended = false;
  void add(const std::string& line) {
    std::lock_guard lock(mutex);
    lines.push_back(line);
    changed.notify_all();
  }
  void waitForLine(const std::string& line) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return std::find(lines.begin(), lines.end(), line) != lines.end(); });
  }
  void waitForDone(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done >= count; });
  }
};

class TestJob final : public JobQueue::Job {
 public:
  TestJob(Log& log, std::string name, const void* in = nullptr, std::function<void()> work = {})
      : log_(log), name_(std::move(name)), work_(std::move(work)) {
    series = in;
  }
  void begin() override {
    if (!begun_) log_.add("begin " + name_);
    begun_ = true;
  }
  void run() override {
    if (work_) work_();
    log_.add("run " + name_);
  }

 private:
  Log& log_;
  std::string name_;
  std::function<void()> work_;
  bool begun_ = false;
};

JobQueue::Events eventsOf(Log& log) {
  return {[&log](std::unique_ptr<JobQueue::Job> job) {
            job.reset();
            std::lock_guard lock(log.mutex);
            log.done++;
            log.changed.notify_all();
          },
          [&log] {
            std::lock_guard lock(log.mutex);
            log.ended = true;
          }};
}

}  // namespace

TEST_CASE("jobs run in the order in which they were queued") {
  Log log;
  JobQueue queue;
  CHECK_FALSE(queue.started());
  queue.start(eventsOf(log));
  std::vector<std::string> expected;
  for (int i = 0; i < 500; i++) {
    const std::string name = std::to_string(i);
    queue.push(std::make_unique<TestJob>(log, name));
    expected.push_back("begin " + name), expected.push_back("run " + name);
  }
  log.waitForDone(500);
  queue.stop();
  CHECK(log.lines == expected);
  CHECK(log.ended);
}

TEST_CASE("the next job of a series begins before the one that runs, another's does not") {
  Log log;
  JobQueue queue;
  std::atomic<bool> go{false};
  const int series = 0, other = 0;
  queue.start(eventsOf(log));
  queue.push(std::make_unique<TestJob>(log, "gate", nullptr, [&] {
    while (!go) std::this_thread::yield();
  }));
  queue.push(std::make_unique<TestJob>(log, "1", &series));
  queue.push(std::make_unique<TestJob>(log, "2", &series));
  queue.push(std::make_unique<TestJob>(log, "3", &other));
  queue.push(std::make_unique<TestJob>(log, "4"));
  go = true;
  log.waitForDone(5);
  queue.stop();
  CHECK(log.lines == std::vector<std::string>{"begin gate", "run gate", "begin 1", "begin 2", "run 1", "run 2",
                                              "begin 3", "run 3", "begin 4", "run 4"});
}

TEST_CASE("stopping waits for the job that runs and drops the others") {
  for (int trial = 0; trial < 50; trial++) {
    Log log;
    {
      JobQueue queue;
      queue.start(eventsOf(log));
      const int series = 0;
      for (int i = 0; i < 20; i++) queue.push(std::make_unique<TestJob>(log, std::to_string(i), &series));
      if (trial % 2) log.waitForLine("run 3");
      queue.stop();
      CHECK(queue.stopped());
      queue.stop();
    }
    CHECK(log.ended);
    const auto runs = std::count_if(log.lines.begin(), log.lines.end(), [](auto& l) { return l.rfind("run", 0) == 0; });
    CHECK(runs == log.done);
  }
  JobQueue never;
  never.stop();
}
