// CRC-32C (Castagnoli): reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF (RFC 3720, appendix
// B.4).
#pragma once

#include <cstdint>
#include <span>

namespace selfcompress {

// The checksum of `bytes` after what gave `previous`: crc32c(b, crc32c(a)) is the checksum of a followed by b.
std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t previous = 0);

}  // namespace selfcompress
