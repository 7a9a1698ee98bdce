// Errors that say what was expected, of which argument, and what was received.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace selfcompress {

// A description that cannot be a network, or data that do not fit one. The message names the node and has the form of
// every error of the library: "Expected <what> for <argument> but received <value>".
class DescriptionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline std::string quoted(std::string_view text) { return std::string("\"").append(text).append("\""); }

[[noreturn]] inline void failDescription(const std::string& what, const std::string& argument, const std::string& got) {
  throw DescriptionError("Expected " + what + " for " + argument + " but received " + got);
}

}  // namespace selfcompress
