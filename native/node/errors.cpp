#include "node/errors.h"

#include <stdexcept>

#include "base/errors.h"
#include "model/error.h"
#include "selfcompress/backend.h"
#include "selfcompress/environment.h"

namespace selfcompress::node {
namespace {

std::string sentence(const std::string& what, const std::string& argument, const std::string& got) {
  return "Expected " + what + " for " + argument + " but received " + got;
}

}  // namespace

void throwType(Napi::Env env, const std::string& what, const std::string& argument, const std::string& got) {
  throw makeError<Napi::TypeError>(env, kArgumentError, sentence(what, argument, got));
}
void throwRange(Napi::Env env, const std::string& what, const std::string& argument, const std::string& got) {
  throw makeError<Napi::RangeError>(env, kArgumentError, sentence(what, argument, got));
}

Failure failureOf(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const DescriptionError& error) {
    return {true, kArgumentError, error.what()};
  } catch (const std::out_of_range& error) {  // tokens that a network does not know, or more than it can take
    return {true, kArgumentError, error.what()};
  } catch (const model::ModelFileError& error) {
    return {false, kModelFileError, error.what()};
  } catch (const EnvironmentError& error) {
    return {false, kEnvironmentError, error.what()};
  } catch (const OutOfMemory& error) {
    return {false, kMemoryError, error.what()};
  } catch (const std::bad_alloc&) {
    return {false, kMemoryError, "Out of memory"};
  } catch (const std::exception& error) {
    return {false, kNativeError, error.what()};
  } catch (...) {
    return {false, kNativeError, "An exception of unknown type"};
  }
}

void throwInJavaScript(napi_env env, std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Napi::Error& error) {
    return error.ThrowAsJavaScriptException();
  } catch (...) {
  }
  const Failure failure = failureOf(exception);
  if (failure.isRange) makeError<Napi::RangeError>(env, failure.code, failure.message).ThrowAsJavaScriptException();
  else makeError<Napi::Error>(env, failure.code, failure.message).ThrowAsJavaScriptException();
}

}  // namespace selfcompress::node
