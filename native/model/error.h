// The one error of the model file.
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>

namespace selfcompress::model {

// A file that is no whole, unchanged model of a known version, or a model that cannot be written. The message has the
// form of every error of the library: "Expected <what> for <argument> but received <value>".
class ModelFileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const std::string& expected, const std::string& argument, const std::string& received) {
  throw ModelFileError("Expected " + expected + " for " + argument + " but received " + received);
}
template <std::integral Number>
[[noreturn]] void fail(const std::string& expected, const std::string& argument, Number received) {
  fail(expected, argument, std::to_string(received));
}

}  // namespace selfcompress::model
