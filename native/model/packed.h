// The parts of a packed tensor, for readers that map the file and unpack rows when they need them.
#pragma once

#include <utility>

#include "model/codec.h"

namespace selfcompress::model {

struct PackedView {
  std::vector<std::uint8_t> depths;  // [channels]; the codes of channel c take perChannel * depths[c] bits
  std::vector<float> exponents;      // [channels]; 0 where the depth is 0
  ByteSpan bits;                     // of the file
};

// Fails where the payload does not hold a tensor of this shape.
PackedView readPacked(ByteSpan payload, const RowShape& shape);

// `count` codes of `depth` bits (0 to 32) that begin at bit `firstBit` of `bits`; all of them lie within.
void unpackCodes(ByteSpan bits, std::uint64_t firstBit, int depth, std::int32_t* codes, std::size_t count);

// Smallest and largest of the codes and 0.
std::pair<std::int32_t, std::int32_t> extremes(const std::int32_t* codes, std::size_t count);

// Appends codes to a stream of bits. Writes whole words: eight bytes more than the bits need must be there.
class BitPacker {
 public:
  explicit BitPacker(std::uint8_t* to) : to_(to) {}
  void pack(const std::int32_t* codes, std::size_t count, int depth) {
    if (depth == 0) return;
    const std::uint64_t mask = (std::uint64_t(1) << depth) - 1;
    for (std::size_t i = 0; i < count; i++) {
      held_ |= (std::uint64_t(std::uint32_t(codes[i])) & mask) << used_;
      used_ += depth;
      if (used_ < 32) continue;
      storeLittle(to_, std::uint32_t(held_));
      to_ += 4;
      held_ >>= 32;
      used_ -= 32;
    }
  }
  void finish() { storeLittle(to_, held_); }

 private:
  std::uint8_t* to_;
  std::uint64_t held_ = 0;
  int used_ = 0;
};

}  // namespace selfcompress::model
