// What the files of the addon share: per-environment data, and how functions and methods are called.
#pragma once

#include <napi.h>

#include <exception>
#include <memory>

#include "node/errors.h"
#include "node/intrinsics.h"
#include "node/stream.h"
#include "train/network.h"

namespace selfcompress::node {

struct AddonData {
  // Throws EnvironmentError where SELFCOMPRESS_ISA or SELFCOMPRESS_THREADS cannot be used.
  explicit AddonData(Napi::Env env)
      : intrinsics(env),
        stream(env),
        backend(cpu::makeBackend(cpu::chooseIsa())),
        synchronous(cpu::makeBackend(cpu::chooseIsa())) {
    cpu::threads();
  }
  Intrinsics intrinsics;
  Stream stream;
  std::shared_ptr<Backend> backend;      // of the raw operations, for the stream's thread
  std::unique_ptr<Backend> synchronous;  // of those that end in Sync, for the JavaScript thread
  Napi::FunctionReference modelClass;    // engine.cpp
  Napi::FunctionReference decoderClass;  // decoder.cpp
};

inline AddonData& addonData(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

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
void exportFunction(Napi::Object exports, const char* name, void* data = nullptr) {  // data: CallbackInfo::Data
  napi_value function;
  napi_create_function(exports.Env(), name, NAPI_AUTO_LENGTH, callback<method>, data, &function);
  exports.Set(name, Napi::Value(exports.Env(), function));
}

void exportInfo(Napi::Object exports);
void exportDataSet(Napi::Object exports);
void exportNetwork(Napi::Object exports);
void exportModelFile(Napi::Object exports);
void exportEngine(Napi::Object exports);
void exportDecoder(Napi::Object exports);
void exportCSource(Napi::Object exports);
void exportSqueeze(Napi::Object exports);
void exportRawQuantize(Napi::Object exports);
void exportRawConv2d(Napi::Object exports);
void exportRawImages(Napi::Object exports);
void exportRawMatmul(Napi::Object exports);
void exportRawElements(Napi::Object exports);
void exportRawTraining(Napi::Object exports);

}  // namespace selfcompress::node
