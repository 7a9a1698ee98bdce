#include "node/stream.h"

#include <new>
#include <string>

#include "selfcompress/backend.h"

namespace selfcompress::node {

struct Stream::Job {
  napi_deferred deferred = nullptr;
  Work work;
  bool begun = false;
  std::string failure;
  bool failed = false;

  void attempt(const std::function<void()>& part) {
    try {
      if (part && !failed) part();
    } catch (const OutOfMemory& error) {
      failed = true, failure = error.what();
    } catch (const std::bad_alloc&) {
      failed = true, failure = "Out of memory";
    } catch (const std::exception& error) {
      failed = true, failure = error.what();
    }
  }
  void begin() {
    if (!begun) attempt(work.begin);
    begun = true;
  }
};

Stream::Stream(Napi::Env env) : env_(env) {
  // Runs before the environment is taken down: no work of ours may outlive it.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Stream*>(self)->stop(); }, this);
}

Stream::~Stream() {
  napi_remove_env_cleanup_hook(
      env_, [](void* self) { static_cast<Stream*>(self)->stop(); }, this);
  stop();
}

void Stream::start(Napi::Env env) {
  napi_value name;
  if (napi_create_string_utf8(env, "selfcompress", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle, &done_) !=
          napi_ok)
    throw Napi::Error::New(env, "The native stream could not be started");
  thread_ = std::thread([this] { loop(); });
}

Napi::Promise Stream::queue(Napi::Env env, Work work) {
  if (stopping_) throw Napi::Error::New(env, "The environment is being closed");
  if (!thread_.joinable()) start(env);
  auto job = std::make_unique<Job>();
  job->work = std::move(work);
  napi_value promise;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  if (pending_++ == 0) napi_ref_threadsafe_function(env, done_);
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return Napi::Promise(env, promise);
}

void Stream::loop() {
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
    if (job->work.series) beginNext(job->work.series);
    job->attempt(job->work.run);
    job->work.run = job->work.begin = nullptr;  // what they hold is released here, before the promise settles
    if (napi_call_threadsafe_function(done_, job.get(), napi_tsfn_blocking) == napi_ok) job.release();
    else
      job.release();  // the environment is closing: its references may only be touched on its own thread, which is gone
  }
  napi_release_threadsafe_function(done_, napi_tsfn_release);
}

// Only this thread takes jobs out of the queue while it runs, so the job stays where it is; `stop` waits for this
// thread.
void Stream::beginNext(const void* series) {
  Job* next = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!stopping_ && !jobs_.empty() && jobs_.front()->work.series == series) next = jobs_.front().get();
  }
  if (next) next->begin();
}

void Stream::settle(napi_env rawEnv, napi_value, void* self, void* data) {
  if (!rawEnv) return;  // closing: as above
  std::unique_ptr<Job> job(static_cast<Job*>(data));
  Stream& stream = *static_cast<Stream*>(self);
  Napi::Env env(rawEnv);
  Napi::HandleScope scope(env);
  if (--stream.pending_ == 0) napi_unref_threadsafe_function(env, stream.done_);
  // A thread that is being terminated refuses calls: then nobody waits for this promise any more, and errors are
  // dropped.
  try {
    if (!job->failed) {
      napi_resolve_deferred(env, job->deferred, job->work.result ? job->work.result(env) : env.Undefined());
      return;
    }
  } catch (const Napi::Error& error) {
    job->failure = error.Message();
  } catch (const std::exception& error) {
    job->failure = error.what();
  }
  napi_value message, error;
  if (napi_create_string_utf8(env, job->failure.data(), job->failure.size(), &message) == napi_ok &&
      napi_create_error(env, nullptr, message, &error) == napi_ok)
    napi_reject_deferred(env, job->deferred, error);
}

// On the JavaScript thread. The job that runs is finished; those that wait are dropped with their promises.
void Stream::stop() {
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
