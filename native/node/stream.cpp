#include "node/stream.h"

#include <new>
#include <string>

namespace selfcompress::node {

struct Stream::Job {
  napi_deferred deferred = nullptr;
  std::vector<Napi::Reference<Napi::Value>> keep;
  std::function<void()> work;
  Result result;
  std::string failure;
  bool failed = false;
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

Napi::Promise Stream::queue(Napi::Env env, std::vector<Napi::Reference<Napi::Value>> keep, std::function<void()> work,
                            Result result) {
  if (stopping_) throw Napi::Error::New(env, "The environment is being closed");
  if (!thread_.joinable()) start(env);
  auto job = std::unique_ptr<Job>(new Job{nullptr, std::move(keep), std::move(work), std::move(result), "", false});
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
    try {
      job->work();
    } catch (const std::bad_alloc&) {
      job->failed = true, job->failure = "Out of memory";
    } catch (const std::exception& error) {
      job->failed = true, job->failure = error.what();
    }
    job->work = nullptr;  // what it holds is released here, before the promise settles
    if (napi_call_threadsafe_function(done_, job.get(), napi_tsfn_blocking) == napi_ok) job.release();
    else
      job.release();  // the environment is closing: its references may only be touched on its own thread, which is gone
  }
  napi_release_threadsafe_function(done_, napi_tsfn_release);
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
      napi_resolve_deferred(env, job->deferred, job->result ? job->result(env) : env.Undefined());
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
