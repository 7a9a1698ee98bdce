// Errors as JavaScript sees them: every one has a `code` that programs can tell it by.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

namespace selfcompress::node {

inline constexpr const char* kArgumentError = "ERR_SELFCOMPRESS_ARGUMENT";        // a wrong argument
inline constexpr const char* kEnvironmentError = "ERR_SELFCOMPRESS_ENVIRONMENT";  // a wrong environment variable
inline constexpr const char* kMemoryError = "ERR_SELFCOMPRESS_MEMORY";            // memory that cannot be had
inline constexpr const char* kDeviceError = "ERR_SELFCOMPRESS_DEVICE";            // a device that is not there
inline constexpr const char* kDisposedError = "ERR_SELFCOMPRESS_DISPOSED";        // a network that was disposed
inline constexpr const char* kModelFileError = "ERR_SELFCOMPRESS_MODEL_FILE";     // bytes that are no model file
inline constexpr const char* kClosedError = "ERR_SELFCOMPRESS_CLOSED";            // the environment is being closed
inline constexpr const char* kNativeError = "ERR_SELFCOMPRESS_NATIVE";            // anything else

// Of class TypeError, RangeError or Error.
template <class Class>
Napi::Error makeError(Napi::Env env, const char* code, const std::string& message) {
  Class error = Class::New(env, message);
  error.Value().DefineProperty(
      Napi::PropertyDescriptor::Value("code", Napi::String::New(env, code),
                                      napi_property_attributes(napi_writable | napi_enumerable | napi_configurable)));
  return error;
}

// `Expected <what> for <argument> but received <got>`
[[noreturn]] void throwType(Napi::Env, const std::string& what, const std::string& argument, const std::string& got);
[[noreturn]] void throwRange(Napi::Env, const std::string& what, const std::string& argument, const std::string& got);

// What a C++ exception that is not a Napi::Error is in JavaScript.
struct Failure {
  bool isRange = false;
  const char* code = kNativeError;
  std::string message;
};
Failure failureOf(std::exception_ptr);

// Throws what a C++ exception says, in JavaScript.
void throwInJavaScript(napi_env, std::exception_ptr);

}  // namespace selfcompress::node
