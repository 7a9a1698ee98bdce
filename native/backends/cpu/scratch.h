// Room for intermediate sums, kept from call to call: one at a time for each type and calling thread.
#pragma once

#include <vector>

namespace selfcompress::cpu {

template <class T>
std::vector<T>& scratch(std::size_t count) {
  thread_local std::vector<T> values;
  values.assign(count, T());
  return values;
}

}  // namespace selfcompress::cpu
