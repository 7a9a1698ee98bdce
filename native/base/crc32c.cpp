#include "base/crc32c.h"

#include <array>

#include "base/little_endian.h"
#include "base/table_at_start.h"

namespace selfcompress {

namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[k][b]: what byte b does to the register when k more bytes follow it.
constexpr Tables makeTables() {
  Tables tables{};
  for (std::uint32_t b = 0; b < 256; b++) {
    std::uint32_t value = b;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0x82F63B78u : 0u);
    tables[0][b] = value;
  }
  for (std::size_t k = 1; k < 8; k++)
    for (std::size_t b = 0; b < 256; b++) tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 255];
  return tables;
}

SELFCOMPRESS_TABLE Tables kTables = tableOf([] { return makeTables(); });

}  // namespace

std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t previous) {
  std::uint32_t crc = ~previous;
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint64_t v = loadLittle64(at) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; k++) crc ^= kTables[7 - k][(v >> (8 * k)) & 255];
  }
  for (; left; at++, left--) crc = (crc >> 8) ^ kTables[0][(crc ^ *at) & 255];
  return ~crc;
}

}  // namespace selfcompress
