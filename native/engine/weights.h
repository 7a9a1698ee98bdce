// The weights of a layer as the engine keeps them: codes in the bits of their channel's depth, or floats.
#pragma once

#include "engine/operator.h"
#include "model/bytes.h"

namespace selfcompress::engine {

class Weights {
 public:
  // `factors` (empty: 1) multiply the output channels.
  Weights(const Tensors&, const std::vector<float>& factors);
  // Input and output channels of a table of weights exchanged, [channels][rows] -> [rows][channels], which is kept as
  // it is in the file.
  static Weights transposed(const Tensors& table, const std::vector<float>& factors);

  std::int64_t channels() const { return channels_; }
  std::int64_t perChannel() const { return perChannel_; }
  // The weights of one output channel, in the order of the file; or `count` of them.
  void unpack(std::int64_t channel, float* values) const { unpack(channel, 0, perChannel_, values); }
  void unpack(std::int64_t channel, std::int64_t first, std::int64_t count, float* values) const;
  std::size_t bytes() const;

 private:
  Weights() = default;
  void packCodes(const model::CodeTensor&);

  float at(std::int64_t row, std::int64_t column) const;

  std::int64_t channels_ = 0, perChannel_ = 0;
  bool isTransposed_ = false;         // rows of what is kept are the elements of a channel
  std::vector<float> columnFactors_;  // of the channels where it is; empty: 1
  std::vector<float> plain_;          // or:
  model::Bytes bits_;
  std::vector<std::uint8_t> depths_;     // [rows]
  std::vector<std::uint64_t> firstBit_;  // [rows]
  std::vector<float> scales_;            // [rows]
};

}  // namespace selfcompress::engine
