// Heads of ordinary models, one after another: what the coder of heads has seen before the first byte. Part of the
// format.
#pragma once

#include <cstdint>

namespace selfcompress::model {

inline constexpr std::uint8_t kHeadPrimer[] = {0};

}  // namespace selfcompress::model
