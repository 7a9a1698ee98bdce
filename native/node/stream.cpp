#include "node/stream.h"

#include <exception>
#include <string>

#include "node/errors.h"

namespace selfcompress::node {

struct Stream::Job final : JobQueue::Job {
  napi_deferred deferred = nullptr;
  Work work;
  Napi::ObjectReference error;  // made at the call, whose stack it has
  bool begun = false;
  std::exception_ptr failure;

  void attempt(const std::function<void()>& part) {
    try {
      if (part && !failure) part();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  void begin() override {
    if (!begun) attempt(work.begin);
    begun = true;
  }
  void run() override {
    attempt(work.run);
    work.run = work.begin = nullptr;  // what they hold is released here, before the promise settles
  }
};

namespace {

void define(Napi::Object object, const char* name, const std::string& text, napi_property_attributes visible) {
  object.DefineProperty(
      Napi::PropertyDescriptor::Value(name, Napi::String::New(object.Env(), text),
                                      napi_property_attributes(napi_writable | napi_configurable | visible)));
}

// The error of the call, with what went wrong later. Engines that write the first lines of a stack when the error is
// made have not seen the message.
Napi::Value completed(Napi::Object error, const Failure& failure) {
  define(error, "message", failure.message, napi_default);
  define(error, "code", failure.code, napi_enumerable);
  if (failure.isRange) {  // known only now: the error was made with the call
    const Napi::Object global = error.Env().Global();
    global.Get("Object")
        .As<Napi::Object>()
        .Get("setPrototypeOf")
        .As<Napi::Function>()
        .Call({error, global.Get("RangeError").As<Napi::Object>().Get("prototype")});
  }
  Napi::Value stack = error.Get("stack");
  std::string text = stack.IsString() ? stack.As<Napi::String>().Utf8Value() : "";
  if (text.find(failure.message) == std::string::npos) {
    std::size_t frames = text.find("\n    at ");
    define(error, "stack",
           (failure.isRange ? "RangeError: " : "Error: ") + failure.message +
               (frames == std::string::npos ? "" : text.substr(frames)),
           napi_default);
  }
  return error;
}

}  // namespace

void Stream::stopHook(void* stream) {
  Stream& self = *static_cast<Stream*>(stream);
  self.env_ = Napi::Env(
      nullptr);  // whose hooks are gone once they have run: Deno ends the process over one that is removed then
  self.jobs_.stop();
}

Stream::Stream(Napi::Env env) : env_(env) {
  // Runs before the environment is taken down: no work of ours may outlive it.
  napi_add_env_cleanup_hook(env, stopHook, this);
}

Stream::~Stream() {
  if (napi_env(env_) != nullptr) napi_remove_env_cleanup_hook(env_, stopHook, this);
  jobs_.stop();
}

void Stream::start(Napi::Env env) {
  napi_value name;
  if (napi_create_string_utf8(env, "selfcompress", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle, &done_) !=
          napi_ok)
    throw makeError<Napi::Error>(env, kNativeError, "The native stream could not be started");
  jobs_.start({[done = done_](std::unique_ptr<JobQueue::Job> job) {
                 // The job belongs to `settle` now. Where the environment is closing it is left: its references may
                 // only be touched on its own thread, which is gone.
                 napi_call_threadsafe_function(done, static_cast<Job*>(job.release()), napi_tsfn_blocking);
               },
               [done = done_] { napi_release_threadsafe_function(done, napi_tsfn_release); }});
}

Napi::Promise Stream::queue(Napi::Env env, Work work) {
  if (jobs_.stopped()) throw makeError<Napi::Error>(env, kClosedError, "The environment is being closed");
  if (!jobs_.started()) start(env);
  auto job = std::make_unique<Job>();
  job->series = work.series;
  job->work = std::move(work);
  job->error = Napi::Persistent(Napi::Error::New(env, "").Value());
  napi_value promise;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  if (pending_++ == 0) napi_ref_threadsafe_function(env, done_);
  jobs_.push(std::move(job));
  return Napi::Promise(env, promise);
}

void Stream::discard(std::shared_ptr<void> object) {
  struct Discard final : JobQueue::Job {
    std::shared_ptr<void> object;
    void begin() override {}
    void run() override { object.reset(); }
  };
  if (!jobs_.started() || jobs_.stopped()) return;
  auto job = std::make_unique<Discard>();
  job->object = std::move(object), job->reports = false;
  jobs_.push(std::move(job));
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
    try {
      if (!job->failure) {
        napi_resolve_deferred(env, job->deferred, job->work.result ? job->work.result(env) : env.Undefined());
        return;
      }
    } catch (const Napi::Error& error) {
      napi_reject_deferred(env, job->deferred, error.Value());
      return;
    } catch (...) {
      job->failure = std::current_exception();
    }
    napi_reject_deferred(env, job->deferred, completed(job->error.Value(), failureOf(job->failure)));
  } catch (...) {
  }
}

}  // namespace selfcompress::node
