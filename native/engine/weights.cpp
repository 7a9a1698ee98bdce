#include "engine/weights.h"

#include <cmath>

#include "model/channel_values.h"
#include "model/packed.h"

namespace selfcompress::engine {

Weights::Weights(const Tensors& tensors, const std::vector<float>& factors) {
  const std::size_t index = tensors.index(Role::kWeight);
  const model::RowShape shape = tensors.reader().shape(index);
  channels_ = shape.channels, perChannel_ = shape.perChannel();
  auto factor = [&](std::int64_t c) { return factors.empty() ? 1.0f : factors[std::size_t(c)]; };
  if (tensors.reader().content(index) != model::Content::kCodes) {
    plain_ = tensors.reader().floats(index);
    for (std::int64_t i = 0; i < channels_ * perChannel_; i++) plain_[std::size_t(i)] *= factor(i / perChannel_);
    return;
  }
  const model::CodeTensor codes = tensors.reader().codes(index);
  packCodes(codes);
  for (std::int64_t c = 0; c < channels_; c++)
    scales_.push_back(std::exp2(codes.exponents[std::size_t(c)]) * factor(c));
}

Weights Weights::transposed(const Tensors& table, const std::vector<float>& factors) {
  const Weights given(table, {});
  Weights result;
  result.channels_ = given.perChannel_, result.perChannel_ = given.channels_;
  result.plain_.resize(std::size_t(given.channels_ * given.perChannel_));
  std::vector<float> row(std::size_t(given.perChannel_));
  for (std::int64_t c = 0; c < given.channels_; c++) {
    given.unpack(c, row.data());
    for (std::size_t r = 0; r < row.size(); r++)
      result.plain_[r * std::size_t(given.channels_) + std::size_t(c)] = factors.empty() ? row[r] : row[r] * factors[r];
  }
  return result;
}

void Weights::packCodes(const model::CodeTensor& tensor) {
  const std::size_t row = std::size_t(perChannel_);
  std::uint64_t bits = 0;
  for (std::size_t c = 0; c < std::size_t(channels_); c++) {
    const auto [low, high] = model::extremes(tensor.codes.data() + c * row, row);
    depths_.push_back(std::uint8_t(model::depthOf(low, high)));
    firstBit_.push_back(bits);
    bits += depths_.back() * std::uint64_t(row);
  }
  bits_.resize(std::size_t((bits + 7) / 8) + 16);  // the packer writes whole words
  model::BitPacker packer(bits_.data());
  for (std::size_t c = 0; c < std::size_t(channels_); c++) packer.pack(tensor.codes.data() + c * row, row, depths_[c]);
  packer.finish();
}

void Weights::unpack(std::int64_t channel, float* values) const {
  const std::size_t c = std::size_t(channel), row = std::size_t(perChannel_);
  if (!plain_.empty()) {
    std::copy_n(plain_.begin() + channel * perChannel_, row, values);
    return;
  }
  std::int32_t codes[256];
  for (std::size_t first = 0; first < row; first += 256) {
    const std::size_t count = std::min<std::size_t>(256, row - first);
    model::unpackCodes(bits_, firstBit_[c] + first * depths_[c], depths_[c], codes, count);
    for (std::size_t i = 0; i < count; i++) values[first + i] = float(codes[i]) * scales_[c];
  }
}

std::size_t Weights::bytes() const {
  return plain_.size() * sizeof(float) + bits_.size() + depths_.size() + firstBit_.size() * sizeof(std::uint64_t) +
         scales_.size() * sizeof(float);
}

}  // namespace selfcompress::engine
