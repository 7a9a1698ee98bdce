// Results that are written past the caches. A large tensor is out of them before the next operation reads it, and
// stored into them each of its lines would be read first only to be overwritten. Not depthwise convolutions: they do
// too little between two stores, and got slower on one thread.
#pragma once

#include <cstdint>

namespace selfcompress::cpu {

inline constexpr std::int64_t kPastCaches = 2 << 20;

// Whether that many floats are written past the caches: kPastCaches and more, or as set, for tests.
bool writesPastCaches(std::int64_t floats);
void setPastCaches(std::int64_t floats);

}  // namespace selfcompress::cpu
