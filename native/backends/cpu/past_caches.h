// Results that are written past the caches: of convolutions without moments, batch norms, 2x2 max pooling backward and
// the quantizer. A large tensor is out of the caches before the next operation reads it, and stored into them each of
// its lines would be read first only to be overwritten. Depthwise convolutions do too little between two stores: they
// got slower on one thread.
#pragma once

#include <cstdint>

namespace selfcompress::cpu {

inline constexpr std::int64_t kPastCaches = 2 << 20;

// Whether that many floats are written past the caches: kPastCaches and more, or as set, for tests.
bool writesPastCaches(std::int64_t floats);
void setPastCaches(std::int64_t floats);

}  // namespace selfcompress::cpu
