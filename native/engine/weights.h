// The weights of a layer as the engine keeps them: codes in the bits of their channel's depth, or floats.
#pragma once

#include "engine/operator.h"
#include "model/bytes.h"

namespace selfcompress::engine {

class Weights {
 public:
  // `factors` (empty: 1) multiply the output channels.
  Weights(const Tensors&, const std::vector<float>& factors);
  // Input and output channels of a table of weights exchanged, [channels][rows] -> [rows][channels]: floats.
  static Weights transposed(const Tensors& table, const std::vector<float>& factors);

  std::int64_t channels() const { return channels_; }
  std::int64_t perChannel() const { return perChannel_; }
  // The weights of one output channel, in the order of the file.
  void unpack(std::int64_t channel, float* values) const;
  std::size_t bytes() const;

 private:
  Weights() = default;
  void packCodes(const model::CodeTensor&);

  std::int64_t channels_ = 0, perChannel_ = 0;
  std::vector<float> plain_;  // or:
  model::Bytes bits_;
  std::vector<std::uint8_t> depths_;     // [channels]
  std::vector<std::uint64_t> firstBit_;  // [channels]
  std::vector<float> scales_;            // [channels]
};

}  // namespace selfcompress::engine
