// Settings that environment variables give.
#pragma once

#include <stdexcept>

namespace selfcompress {

// The value of an environment variable that cannot be used; the message names the variable, what it wants and what it
// got.
class EnvironmentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace selfcompress
