// How much a reader is willing to believe.
#pragma once

#include <cstdint>

namespace selfcompress::model {

// A file that asks for more is refused before anything is allocated for it. All are limits of one file.
struct Limits {
  std::uint64_t weights = std::uint64_t(1) << 28;    // elements of all tensors together
  std::uint64_t nodes = std::uint64_t(1) << 16;      // of the structure
  std::uint64_t tensors = std::uint64_t(1) << 18;    // entries of the table
  std::uint64_t headBytes = std::uint64_t(1) << 22;  // structure, metadata and table, uncoded
  std::uint64_t textBytes = std::uint64_t(1) << 26;  // all strings, each as often as it is referred to, and 32 more
};

// A payload has at least one byte for this many elements (zero bytes are added where a codec needs fewer), so that
// memory is bounded by the bytes that are there.
inline constexpr std::uint64_t kElementsPerByte = 1 << 16;
inline constexpr int kMaxRank = 8;

}  // namespace selfcompress::model
