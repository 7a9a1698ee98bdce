// Numbers in memory, least significant byte first, on every machine and at any address.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace selfcompress {

template <class T>
T loadLittle(const std::uint8_t* from) {
  if constexpr (std::endian::native == std::endian::little) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  } else {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); i++) value = T(value | T(T(from[i]) << (8 * i)));
    return value;
  }
}

template <class T>
void storeLittle(std::uint8_t* to, T value) {
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(to, &value, sizeof(T));
  } else {
    for (std::size_t i = 0; i < sizeof(T); i++) to[i] = std::uint8_t(value >> (8 * i));
  }
}

inline std::uint32_t loadLittle32(const std::uint8_t* from) { return loadLittle<std::uint32_t>(from); }
inline std::uint64_t loadLittle64(const std::uint8_t* from) { return loadLittle<std::uint64_t>(from); }

}  // namespace selfcompress
