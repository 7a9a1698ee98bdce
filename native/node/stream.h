// The native stream of one JavaScript thread: a worker thread that does queued work in order and settles promises.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace selfcompress::node {

class Stream {
 public:
  explicit Stream(Napi::Env);  // starts nothing; the thread starts with the first work
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // What the promise is fulfilled with, made on the JavaScript thread.
  using Result = std::function<Napi::Value(Napi::Env)>;
  // Queues `work`, which runs on the worker thread after all that was queued before. An exception of `work` rejects the
  // promise with an Error. `keep` stays referenced until then. While work is pending the process stays alive.
  Napi::Promise queue(Napi::Env, std::vector<Napi::Reference<Napi::Value>> keep, std::function<void()> work,
                      Result result = {});

 private:
  struct Job;
  void start(Napi::Env);
  void loop();
  void stop();
  static void settle(napi_env, napi_value, void* stream, void* job);

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  bool stopping_ = false;
  int pending_ = 0;  // on the JavaScript thread
  napi_threadsafe_function done_ = nullptr;
  Napi::Env env_;
};

}  // namespace selfcompress::node
