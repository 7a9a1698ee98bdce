// What the files of the addon share: per-environment data, and the one place where C++ exceptions become JavaScript
// errors.
#pragma once

#include <napi.h>

#include <exception>
#include <memory>

#include "train/network.h"
#include "node/stream.h"

namespace selfcompress::node {

struct AddonData {
  explicit AddonData(Napi::Env env) : stream(env), backend(cpu::makeBackend(cpu::chooseIsa())) {}
  Stream stream;
  std::shared_ptr<Backend> backend;  // of the raw operations
};

inline AddonData& addonData(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

// Throws what a C++ exception says, in JavaScript.
inline void throwInJavaScript(napi_env env, std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (const DescriptionError& error) {
    Napi::RangeError::New(env, error.what()).ThrowAsJavaScriptException();
  } catch (const OutOfMemory& error) {
    Napi::Error::New(env, error.what()).ThrowAsJavaScriptException();
  } catch (const std::bad_alloc&) {
    Napi::Error::New(env, "Out of memory").ThrowAsJavaScriptException();
  } catch (const std::exception& error) {
    Napi::Error::New(env, error.what()).ThrowAsJavaScriptException();
  }
}

// Calls `body` and turns what it throws into a pending JavaScript exception.
template <class Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (...) {
    try {
      throwInJavaScript(env, std::current_exception());
    } catch (...) {  // the thread is being terminated: there is nobody to tell
    }
  }
  return nullptr;
}

using Method = Napi::Value (*)(const Napi::CallbackInfo&);
template <Method method>
napi_value callback(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value { return method(Napi::CallbackInfo(env, info)); });
}
template <Method method>
void exportFunction(Napi::Object exports, const char* name) {
  napi_value function;
  napi_create_function(exports.Env(), name, NAPI_AUTO_LENGTH, callback<method>, nullptr, &function);
  exports.Set(name, Napi::Value(exports.Env(), function));
}

void exportInfo(Napi::Object exports);
void exportDataSet(Napi::Object exports);
void exportNetwork(Napi::Object exports);
void exportModelFile(Napi::Object exports);
void exportRawQuantize(Napi::Object exports);
void exportRawConv2d(Napi::Object exports);
void exportRawImages(Napi::Object exports);
void exportRawTraining(Napi::Object exports);

}  // namespace selfcompress::node
