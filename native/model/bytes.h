// Reading and writing the plain bytes of a head: nothing is read past the end, nothing is allocated on a count's word.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/little_endian.h"
#include "model/error.h"

namespace selfcompress::model {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

class ByteWriter {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(value); }
  // LEB128: seven bits a byte, least significant first, the top bit set on all but the last.
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) byte(std::uint8_t(value | 128));
    byte(std::uint8_t(value));
  }
  // 0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...
  void signedVarint(std::int64_t value) { varint((std::uint64_t(value) << 1) ^ std::uint64_t(value >> 63)); }
  template <class T>
  void little(T value) {
    for (std::size_t i = 0; i < sizeof(T); i++) byte(std::uint8_t(value >> (8 * i)));
  }
  void append(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) {
    varint(text.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  std::size_t size() const { return bytes_.size(); }
  Bytes& bytes() { return bytes_; }

 private:
  Bytes bytes_;
};

class ByteReader {
 public:
  // `what` names these bytes in errors.
  ByteReader(ByteSpan bytes, const char* what) : bytes_(bytes), what_(what) {}
  std::size_t left() const { return bytes_.size() - at_; }
  std::size_t position() const { return at_; }
  const char* what() const { return what_; }
  ByteSpan take(std::uint64_t count) {
    if (count > left()) fail(std::to_string(count) + " more bytes", what_, std::to_string(left()));
    const ByteSpan part = bytes_.subspan(at_, std::size_t(count));
    at_ += std::size_t(count);
    return part;
  }
  std::uint8_t byte() { return take(1)[0]; }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const std::uint8_t b = byte();
      if (shift == 63 && b > 1) fail("a number below 2^64", what_, "a longer one");
      value |= std::uint64_t(b & 127) << shift;
      if (b < 128) {
        if (b == 0 && shift) fail("the shortest form of a number", what_, "a zero as its last byte");
        return value;
      }
    }
  }
  std::int64_t signedVarint() {
    const std::uint64_t v = varint();
    return std::int64_t(v >> 1) ^ -std::int64_t(v & 1);
  }
  // A number of things that take at least `each` bytes apiece of what is left.
  std::size_t count(const char* things, std::uint64_t limit, std::size_t each = 1) {
    const std::uint64_t value = varint();
    if (value > limit) fail("at most " + std::to_string(limit) + " " + things, what_, std::to_string(value));
    if (value > left() / each)
      fail("bytes for " + std::to_string(value) + " " + things, what_, std::to_string(left()) + " bytes");
    return std::size_t(value);
  }
  template <class T>
  T little() {
    return loadLittle<T>(take(sizeof(T)).data());
  }
  void end() const {
    if (left()) fail("the end", what_, std::to_string(left()) + " more bytes");
  }

 private:
  ByteSpan bytes_;
  const char* what_;
  std::size_t at_ = 0;
};

}  // namespace selfcompress::model
