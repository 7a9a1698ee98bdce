// The model of whole-number codes behind "range" and "scaled": which probabilities the bits of a code have, given the
// codes before it. The same text encodes and decodes (range_coder.h). native/model/README.md has the mathematics.
#pragma once

#include <bit>
#include <cmath>
#include <vector>

#include "model/codec.h"
#include "model/mixer.h"

namespace selfcompress::model {

// How much of the neighbourhood the probabilities look at. The encoder takes whichever is shortest.
enum class ContextMode : std::uint32_t { kNone, kNeighbours, kMixed };
inline constexpr std::uint32_t kContextModes = 3;

inline constexpr std::uint32_t kMaxLag = 1024;
inline constexpr std::size_t kMaxSlots = 1 << 16;

// Rows of codes that are left to their neighbours' contexts: of each code its sign and how large it is, in one byte;
// the row being coded and the two before it, with zeros before and behind each.
class CodeRows {
 public:
  CodeRows(std::size_t length, std::size_t before) : length_(length), memory_(3 * (before + length + 1)) {
    for (std::size_t i = 0; i < 3; i++) rows_[i] = memory_.data() + i * (before + length + 1) + before;
  }
  void next() {
    std::rotate(rows_.begin(), rows_.begin() + 2, rows_.end());
    std::fill_n(rows_[0], length_, std::int8_t(0));
  }
  std::int8_t* row() const { return rows_[0]; }
  const std::int8_t* above() const { return rows_[1]; }
  const std::int8_t* second() const { return rows_[2]; }

 private:
  std::size_t length_;
  std::vector<std::int8_t> memory_;
  std::array<std::int8_t*, 3> rows_;
};

// What a code's contexts are made of.
struct Neighbourhood {
  int left, near, lag, above, aboveLeft, aboveRight, second;  // sizes of the codes around it
  int weighted() const {                                      // 0 to 63
    return std::min(63, (2 * (left + lag + above) + near + aboveLeft + aboveRight + second) * 3 / 4);
  }
  std::size_t pattern() const {
    return std::size_t(left > 0) | std::size_t(near > 0) << 1 | std::size_t(lag > 0) << 2 |
           std::size_t(above > 0) << 3 | std::size_t(aboveLeft > 0) << 4 | std::size_t(aboveRight > 0) << 5 |
           std::size_t(second > 0) << 6;
  }
};

// The `lag` of a tensor (below): the places of a kernel, else the distance at which its codes coincide most.
std::uint32_t lagOf(const TensorView&);

template <class Coder, ContextMode kMode>
class CodeModel {
 public:
  // `lag`: how far back in the row the code at the same place of the neighbouring input (or image row) lies; 1 to
  // kMaxLag.
  CodeModel(Coder& coder, const RowShape& shape, std::uint32_t lag)
      : coder_(coder),
        shape_(shape),
        lag_(lag),
        near_(shape.places > 1 ? wholeRoot(shape.places) : 2),
        rows_(std::size_t(shape.perChannel()), std::max<std::size_t>(lag, std::size_t(near_))) {
    if (kMode != ContextMode::kMixed) return;
    inputs_.resize(std::min(kMaxSlots, std::size_t(shape.inputs)));
    positions_.resize(std::min(kMaxSlots, std::size_t(shape.perChannel())));
    for (int e = 1; e <= kMixedSizes; e++) sizes_[std::size_t(e)].inputs.resize(inputs_.size());
  }

  // The next row: perChannel codes. Tells whether any of them is not 0.
  bool row(std::int32_t* codes) {
    return row(codes, [](std::size_t, auto) {});
  }
  // before(at, code) is called ahead of the code at that place and may change it; code(value) codes a value there,
  // which is only sound while the coder learns nothing.
  template <class Before>
  bool row(std::int32_t* codes, Before before) {
    rows_.next();
    rowZero_ = Adaptive(zero_.p16(), 8);
    for (int e = 1; e <= kMixedSizes; e++) sizes_[std::size_t(e)].row = Adaptive(sizes_[std::size_t(e)].all.p16(), 8);
    bool any = false;
    std::size_t at = 0;
    for (std::int64_t input = 0; input < shape_.inputs; input++)
      for (std::int64_t place = 0; place < shape_.places; place++, at++) {
        auto codeHere = [&](std::int32_t value) {
          return code(value, at, std::size_t(input) % kMaxSlots, std::size_t(std::min<std::int64_t>(place, 31)));
        };
        before(at, codeHere);
        codes[at] = codeHere(codes[at]);
        any = any || codes[at] != 0;
      }
    return any;
  }

 private:
  static constexpr int kMixedSizes = 3;  // decisions "is larger than 1, 3, 7" are mixed, those above coded directly
  static constexpr std::int32_t kRate = 14, kSignRate = 8;
  static constexpr std::uint32_t kLong = 1023, kShort = 255;

  struct Size {
    Adaptive all, row;
    std::array<Adaptive, 2> bySign;
    std::array<Adaptive, 128> neighbours;
    std::array<Adaptive, 64> weighted;
    std::vector<Adaptive> inputs;
    std::array<MixerWeights<6>, 2> weights{MixerWeights<6>(9830), MixerWeights<6>(9830)};
  };
  struct Digits {
    std::array<Adaptive, 8> first;  // the first three digits, as a tree
    std::array<Adaptive, 32> rest;  // the others, by their place
  };

  static std::int64_t wholeRoot(std::int64_t places) {
    std::int64_t root = 1;
    while ((root + 1) * (root + 1) <= places && root < kMaxLag) root++;
    return root;
  }
  // A probability that was never used starts where `from` is, as if seen `count` times.
  static Adaptive* started(Adaptive& state, const Adaptive& from, std::uint32_t count) {
    if (state.unused()) state = Adaptive(from.p16(), count);
    return &state;
  }
  static std::size_t signAt(int value) { return std::size_t((value > 0) - (value < 0) + 1); }

  std::int32_t code(std::int32_t value, std::size_t at, std::size_t input, std::size_t place) {
    std::int8_t* row = rows_.row() + at;
    Neighbourhood around{};
    if constexpr (kMode != ContextMode::kNone) {
      const std::int8_t *above = rows_.above() + at, *second = rows_.second() + at;
      around = {std::abs(row[-1]),  std::abs(row[-near_]), std::abs(row[-std::ptrdiff_t(lag_)]),
                std::abs(above[0]), std::abs(above[-1]),   std::abs(above[1]),
                std::abs(second[0])};
    }
    const int weighted = around.weighted();
    if (!codeIsNotZero(value != 0, around, weighted, at, input, place)) return 0;
    const int negative = codeSign(value < 0, at, place);
    const std::uint32_t magnitude = value < 0 ? 0u - std::uint32_t(value) : std::uint32_t(value);
    const std::uint32_t result = codeMagnitude(magnitude, negative, around, weighted, input);
    if (result > 0x7FFFFFFFu + std::uint32_t(negative)) fail("codes of 32 bits", "a coded tensor", result);
    if constexpr (kMode != ContextMode::kNone) {
      if (learnsNothing(coder_)) return 0;
      const auto size = std::int8_t(std::bit_width(result));
      *row = negative ? std::int8_t(-size) : size;
    }
    return std::int32_t(negative ? 0u - result : result);
  }

  int codeIsNotZero(int bit, const Neighbourhood& around, int weighted, std::size_t at, std::size_t input,
                    std::size_t place) {
    if constexpr (kMode == ContextMode::kNone) return coder_.bit(zero_, bit, kLong);
    if constexpr (kMode == ContextMode::kNeighbours) return coder_.bit(weighted_[std::size_t(weighted)], bit, kLong);
    const std::array<Adaptive*, 6> used{&zero_,
                                        &rowZero_,
                                        started(inputs_[input], zero_, 3),
                                        started(positions_[at % kMaxSlots], zero_, 3),
                                        started(patterns_[around.pattern()], zero_, 2),
                                        started(weighted_[std::size_t(weighted) * 32 + place], zero_, 2)};
    bit = mixed(zeroWeights_, used, bit, kRate);
    if (learnsNothing(coder_)) return bit;
    zero_.update(bit, kLong);
    rowZero_.update(bit, kShort);
    used[2]->update(bit, kShort);
    used[3]->update(bit, kShort);
    used[4]->update(bit, kLong);
    used[5]->update(bit, kLong);
    return bit;
  }

  int codeSign(int bit, std::size_t at, std::size_t place) {
    if constexpr (kMode != ContextMode::kMixed) return coder_.bit(sign_, bit, kLong);
    const std::int8_t *row = rows_.row() + at, *above = rows_.above() + at, *second = rows_.second() + at;
    const std::array<Adaptive*, 3> used{&signs_[0][signAt(row[-1]) * 3 + signAt(row[-near_])],
                                        &signs_[1][signAt(above[0]) * 3 + signAt(second[0])],
                                        &signs_[2][signAt(row[-std::ptrdiff_t(lag_)]) * 32 + place]};
    bit = mixed(signWeights_, used, bit, kSignRate);
    if (learnsNothing(coder_)) return bit;
    for (Adaptive* state : used) state->update(bit, kShort);
    return bit;
  }

  // Binary digits of a magnitude: their number, then all but the first.
  std::uint32_t codeMagnitude(std::uint32_t magnitude, int negative, const Neighbourhood& around, int weighted,
                              std::size_t input) {
    const int width = std::bit_width(magnitude);
    int size = 1;
    while (size < 32 && codeIsLarger(width > size, size, negative, around, weighted, input)) size++;
    Digits& digits = digits_[std::size_t(size)];
    std::uint32_t result = 1;
    for (int i = 0; i < size - 1; i++) {
      const int digit = int(magnitude >> (size - 2 - i) & 1);
      const std::uint32_t begun = (1u << i) - 1;
      Adaptive& state = i < 3 ? digits.first[begun + (result & begun)] : digits.rest[std::size_t(i)];
      result = result << 1 | std::uint32_t(coder_.bit(state, digit, kLong));
    }
    return result;
  }

  int codeIsLarger(int bit, int size, int negative, const Neighbourhood& around, int weighted, std::size_t input) {
    Size& s = sizes_[std::size_t(size)];
    Adaptive& bySign = s.bySign[std::size_t(negative)];
    if constexpr (kMode == ContextMode::kNone) return coder_.bit(bySign, bit, kLong);
    const auto neighbours = std::size_t(std::min(around.left, 3) | std::min(around.lag, 3) << 2 |
                                        std::min(around.above, 3) << 4 | negative << 6);
    if (kMode == ContextMode::kNeighbours || size > kMixedSizes)
      return coder_.bit(s.neighbours[std::size_t(weighted | negative << 6)], bit, kLong);
    const std::array<Adaptive*, 6> used{&bySign,
                                        &s.all,
                                        &s.row,
                                        started(s.inputs[input], s.all, 3),
                                        started(s.neighbours[neighbours], bySign, 2),
                                        started(s.weighted[std::size_t(weighted)], s.all, 2)};
    bit = mixed(s.weights[std::size_t(negative)], used, bit, kRate);
    if (learnsNothing(coder_)) return bit;
    for (Adaptive* state : used) state->update(bit, kLong);
    return bit;
  }

  template <std::size_t Inputs>
  int mixed(MixerWeights<Inputs>& weights, const std::array<Adaptive*, Inputs>& used, int bit, std::int32_t rate) {
    std::array<std::int32_t, Inputs> inputs;
    for (std::size_t i = 0; i < Inputs; i++) inputs[i] = stretch(used[i]->p16());
    return codeMixed(coder_, weights, inputs, bit, rate);
  }

  Coder& coder_;
  RowShape shape_;
  std::uint32_t lag_;
  std::int64_t near_;  // the code above in a square kernel, or the last but one
  CodeRows rows_;
  Adaptive zero_, rowZero_;
  Adaptive sign_{32768, 40};
  std::array<Adaptive, 128> patterns_;
  std::array<Adaptive, 64 * 32> weighted_;
  std::vector<Adaptive> inputs_, positions_;
  MixerWeights<6> zeroWeights_{9830};
  std::array<std::array<Adaptive, 96>, 3> signs_ = [] {
    std::array<std::array<Adaptive, 96>, 3> signs;
    for (auto& some : signs) some.fill(Adaptive(32768, 40));
    return signs;
  }();
  MixerWeights<3> signWeights_{26214};
  std::array<Size, 33> sizes_;
  std::array<Digits, 33> digits_;
};

}  // namespace selfcompress::model
