// Two-byte floats: IEEE 754 binary16 and bfloat16 (the upper half of a binary32). Rounding is to nearest, ties to even;
// a NaN stays a NaN and keeps what fits of its payload.
#pragma once

#include <bit>
#include <cstdint>

namespace selfcompress::model {

inline float fromBrain(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t(bits) << 16); }

inline std::uint16_t brainOf(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) {
    const auto top = std::uint16_t(bits >> 16);
    return top & 0x7F ? top : std::uint16_t(top | 0x40);
  }
  return std::uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float fromHalf(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
  if (exponent) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float tiny = float(fraction) * 0x1p-24f;
  return sign ? -tiny : tiny;
}

inline std::uint16_t halfOf(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = std::uint16_t(bits >> 16 & 0x8000);
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) {
    const std::uint32_t fraction = magnitude >> 13 & 1023;
    return std::uint16_t(sign | 0x7C00 | (fraction ? fraction : 512));
  }
  if (magnitude >= 0x477FF000) return std::uint16_t(sign | 0x7C00);  // rounds to 2^16 or more
  if (magnitude < 0x38800000) {                                      // below 2^-14: multiples of 2^-24
    // Adding 0.5 puts the multiple into the low bits of a float whose last place is 2^-24.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return std::uint16_t(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000));
  }
  const std::uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return std::uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

}  // namespace selfcompress::model
