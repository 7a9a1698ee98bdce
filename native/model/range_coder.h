// A binary arithmetic coder (range coder with carry, 32 bits) and adaptive probabilities. Encoder and decoder have the
// same interface, so that a format is written down once, as a template over the coder:
//   int bit = coder.bit(model, bit);   // the encoder writes and returns `bit`; the decoder ignores it and returns its
//   own
// An interval [low, low + range) of the numbers below 2^32 stands for what has been coded. A bit whose probability of
// being 1 is p / 2^16 takes the lower part, (range >> 16) * p wide, for a 1 and the rest for a 0.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "model/bytes.h"

namespace selfcompress::model {

// 2^16 / (n + 1.5), rounded down: how far a probability moves at its n-th bit.
inline constexpr int kMaxCount = 1023;
inline constexpr auto kRates = [] {
  std::array<std::uint16_t, kMaxCount + 1> rates{};
  for (std::uint32_t n = 0; n <= kMaxCount; n++) rates[n] = std::uint16_t((2u << 16) / (2 * n + 3));
  return rates;
}();

// Coded probabilities stay within these, of 2^16.
inline constexpr std::uint32_t kLeast = 16, kMost = 65536 - 16;
inline constexpr std::uint32_t clampProbability(std::uint32_t p) { return p < kLeast ? kLeast : p > kMost ? kMost : p; }

// The probability of a 1 in 22 bits, and how often it was used: it follows at the rate 1 / (uses + 1.5), which makes it
// the share of ones so far, until uses reaches a limit; from then on it forgets.
class Adaptive {
 public:
  Adaptive() = default;
  // Starts at p (of 2^16) as if seen `count` times.
  constexpr Adaptive(std::uint32_t p, std::uint32_t count) : state_(p << 16 | count) {}
  std::uint32_t p16() const { return state_ >> 16; }
  bool unused() const { return (state_ & 1023) == 0; }
  void update(int bit, std::uint32_t limit) {
    const std::uint32_t count = state_ & 1023;
    const auto p = std::int64_t(state_ >> 10);
    const std::int64_t step = ((std::int64_t(bit) << 22) - bit - p) * kRates[count] >> 16;
    state_ = std::uint32_t(p + step) << 10 | (count < limit ? count + 1 : count);
  }

 private:
  std::uint32_t state_ = 32768u << 16;
};

class RangeEncoder {
 public:
  static constexpr bool kDecodes = false;
  int raw(std::uint32_t p16, int bit) {
    const std::uint32_t bound = (range_ >> 16) * p16;
    if (bit) {
      range_ = bound;
    } else {
      low_ += bound;
      range_ -= bound;
    }
    while (range_ < (1u << 24)) shift();
    return bit;
  }
  int bit(Adaptive& model, int bit, std::uint32_t limit = 255) {
    raw(clampProbability(model.p16()), bit);
    model.update(bit, limit);
    return bit;
  }
  // Ends with the fewest bytes: the decoder takes missing ones for zeros.
  Bytes finish() {
    for (int kept = 0; kept <= 32; kept += 8) {
      const std::uint64_t mask = 0xFFFFFFFFu >> kept;
      const std::uint64_t value = kept == 32 ? low_ : (low_ + mask) & ~mask;
      if (value - low_ >= range_) continue;
      low_ = value;
      break;
    }
    for (int i = 0; i < 4; i++) shift();
    while (!out_.empty() && out_.back() == 0) out_.pop_back();
    return std::move(out_);
  }

 private:
  void shift() {
    if (low_ >> 32)
      for (std::size_t i = out_.size(); i-- > 0 && ++out_[i] == 0;) continue;
    out_.push_back(std::uint8_t(low_ >> 24));
    low_ = (low_ & 0xFFFFFF) << 8;
    range_ <<= 8;
  }
  std::uint64_t low_ = 0;
  std::uint32_t range_ = 0xFFFFFFFF;
  Bytes out_;
};

class RangeDecoder {
 public:
  static constexpr bool kDecodes = true;
  explicit RangeDecoder(ByteSpan bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {
    for (int i = 0; i < 4; i++) next();
  }
  int raw(std::uint32_t p16, int = 0) {
    const std::uint32_t bound = (range_ >> 16) * p16;
    const int bit = code_ < bound;
    if (bit) {
      range_ = bound;
    } else {
      code_ -= bound;
      range_ -= bound;
    }
    while (range_ < (1u << 24)) {
      range_ <<= 8;
      next();
    }
    return bit;
  }
  int bit(Adaptive& model, int = 0, std::uint32_t limit = 255) {
    const int bit = raw(clampProbability(model.p16()));
    model.update(bit, limit);
    return bit;
  }

 private:
  void next() { code_ = code_ << 8 | (at_ < end_ ? *at_++ : 0); }
  const std::uint8_t *at_, *end_;
  std::uint32_t code_ = 0, range_ = 0xFFFFFFFF;
};

// The low `count` bits of a number, highest first, each as likely as not.
template <class Coder>
std::uint32_t codePlain(Coder& coder, std::uint32_t value, int count) {
  std::uint32_t result = 0;
  for (int i = count - 1; i >= 0; i--) result = result << 1 | std::uint32_t(coder.raw(32768, int(value >> i & 1)));
  return result;
}

// Whole numbers, small ones likely: with v + 1 = 1 followed by n binary digits, n ones and a zero, each with a
// probability of its own, the first digit with one for every n, the others plainly.
class AdaptiveNumber {
 public:
  template <class Coder>
  std::uint32_t code(Coder& coder, std::uint32_t value) {
    const int width = Coder::kDecodes ? 0 : std::bit_width(std::uint64_t(value) + 1) - 1;
    int n = 0;
    while (coder.bit(length_[std::size_t(n)], n < width))
      if (++n > 31) fail("numbers below 2^32", "a coded number", "a longer one");
    if (n == 0) return 0;
    const std::uint32_t digits = std::uint32_t(std::uint64_t(value) + 1 - (std::uint64_t(1) << width));
    const auto first = std::uint32_t(coder.bit(first_[std::size_t(n)], int(digits >> (n - 1) & 1)));
    const std::uint32_t rest = codePlain(coder, digits, n - 1);
    return std::uint32_t((std::uint64_t(1) << n) + (std::uint64_t(first) << (n - 1)) + rest - 1);
  }
  // 0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...
  template <class Coder>
  std::int32_t codeSigned(Coder& coder, std::int32_t value) {
    const std::uint32_t folded = code(coder, (std::uint32_t(value) << 1) ^ std::uint32_t(value >> 31));
    return std::int32_t(folded >> 1) ^ -std::int32_t(folded & 1);
  }

 private:
  std::array<Adaptive, 33> length_, first_;
};

}  // namespace selfcompress::model
