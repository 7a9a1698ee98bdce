// The native stream of one JavaScript thread: a worker thread that does queued work in order and settles promises.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

#include "node/job_queue.h"

namespace selfcompress::node {

class Stream {
 public:
  explicit Stream(Napi::Env);  // starts nothing; the thread starts with the first work
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // What the promise is fulfilled with, made on the JavaScript thread.
  using Result = std::function<Napi::Value(Napi::Env)>;
  struct Work {
    std::vector<Napi::Reference<Napi::Value>> keep;  // stays referenced until the promise settles
    std::function<void()> run;
    Result result;
    // Optional first half of the work. Where the work queued just before belongs to the same series, it may run before
    // that one's `run`: a device then has the next step while the host waits for the last one. At most one is ahead.
    std::function<void()> begin;
    const void* series = nullptr;
  };
  // Queues work, which runs on the worker thread after all that was queued before. An exception of it rejects the
  // promise with an Error that has a code (errors.h) and the stack of the call. While work is pending the process stays
  // alive.
  Napi::Promise queue(Napi::Env, Work);
  // Lets go of an object on the worker thread, after all that was queued before.
  void discard(std::shared_ptr<void> object);

 private:
  struct Job;
  void start(Napi::Env);
  static void stopHook(void* stream);
  static void settle(napi_env, napi_value, void* stream, void* job);

  JobQueue jobs_;
  int pending_ = 0;  // on the JavaScript thread
  napi_threadsafe_function done_ = nullptr;
  Napi::Env env_;
};

}  // namespace selfcompress::node
