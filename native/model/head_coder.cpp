#include "model/head_coder.h"

#include <algorithm>

#include "model/head_primer.h"
#include "model/mixer.h"

namespace selfcompress::model {

namespace {

constexpr std::size_t kInputs = 4;  // no context, the last byte, the last two bytes, the last three bytes
constexpr std::size_t kSlots = 1 << 14;
constexpr std::uint32_t kLimit = 30;
constexpr std::int32_t kRate = 20;
constexpr std::uint64_t kMostPerByte = 64;  // bytes that one coded byte may stand for

// Predicts the bits of a byte, highest first, from the bytes before it.
class ByteModel {
 public:
  ByteModel() : states_(kInputs * kSlots), weights_(256, MixerWeights<kInputs>(65536 * 2 / 5)) {}
  template <class Coder>
  std::uint8_t code(Coder& coder, std::uint8_t byte) {
    std::array<std::uint32_t, kInputs> contexts{};
    for (std::uint32_t order = 1; order < kInputs; order++) {
      const std::uint32_t last = history_ & (0xFFFFFFFFu >> (32 - 8 * order));
      contexts[order] = (last + order) * 0x9E3779B1u;
    }
    std::uint32_t node = 1;
    for (int i = 7; i >= 0; i--) {
      std::array<Adaptive*, kInputs> used;
      std::array<std::int32_t, kInputs> inputs;
      for (std::size_t order = 0; order < kInputs; order++) {
        const std::uint32_t slot = (contexts[order] + node * 0x85EBCA6Bu) >> 18;
        used[order] = &states_[order * kSlots + (order ? slot : node)];
        inputs[order] = stretch(used[order]->p16());
      }
      const int bit = codeMixed(coder, weights_[history_ & 255], inputs, byte >> i & 1, kRate);
      for (Adaptive* state : used) state->update(bit, kLimit);
      node = node << 1 | std::uint32_t(bit);
    }
    history_ = history_ << 8 | (node & 255);
    return std::uint8_t(node);
  }

 private:
  std::vector<Adaptive> states_;
  std::vector<MixerWeights<kInputs>> weights_;
  std::uint32_t history_ = 0;
};

// Teaches a model what heads look like, without coding anything.
struct Teacher {
  int raw(std::uint32_t, int bit) { return bit; }
};

// Made once: teaching takes longer than most heads.
const ByteModel& primedModel() {
  static const ByteModel primed = [] {
    ByteModel model;
    Teacher teacher;
    for (const std::uint8_t byte : kHeadPrimer) model.code(teacher, byte);
    return model;
  }();
  return primed;
}

}  // namespace

Bytes encodeHead(ByteSpan plain) {
  ByteModel model = primedModel();
  RangeEncoder coder;
  for (const std::uint8_t byte : plain) model.code(coder, byte);
  Bytes coded = coder.finish();
  const std::size_t least = (plain.size() + kMostPerByte - 1) / kMostPerByte;
  if (coded.size() < least) coded.resize(least);
  return coded;
}

Bytes decodeHead(ByteSpan coded, std::uint64_t length) {
  if (length / kMostPerByte > coded.size())
    fail("at most " + std::to_string(kMostPerByte) + " bytes for a coded one", "the length of the head", length);
  ByteModel model = primedModel();
  RangeDecoder coder(coded);
  Bytes plain(static_cast<std::size_t>(length));
  for (std::uint8_t& byte : plain) byte = model.code(coder, 0);
  return plain;
}

}  // namespace selfcompress::model
