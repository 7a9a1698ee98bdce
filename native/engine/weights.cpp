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
  Weights result(table, {});
  std::swap(result.channels_, result.perChannel_);
  result.isTransposed_ = true, result.columnFactors_ = factors;
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

float Weights::at(std::int64_t row, std::int64_t column) const {
  const std::size_t r = std::size_t(row);
  if (!plain_.empty()) return plain_[r * std::size_t(channels_) + std::size_t(column)];
  std::int32_t code = 0;
  model::unpackCodes(bits_, firstBit_[r] + std::uint64_t(column) * depths_[r], depths_[r], &code, 1);
  return float(code) * scales_[r];
}

void Weights::unpack(std::int64_t channel, std::int64_t first, std::int64_t count, float* values) const {
  if (isTransposed_) {
    const float factor = columnFactors_.empty() ? 1.0f : columnFactors_[std::size_t(channel)];
    for (std::int64_t i = 0; i < count; i++) values[i] = at(first + i, channel) * factor;
    return;
  }
  if (!plain_.empty()) {
    std::copy_n(plain_.begin() + channel * perChannel_ + first, count, values);
    return;
  }
  const std::size_t c = std::size_t(channel);
  std::int32_t codes[256];
  for (std::int64_t done = 0; done < count; done += 256) {
    const std::size_t some = std::size_t(std::min<std::int64_t>(256, count - done));
    model::unpackCodes(bits_, firstBit_[c] + std::uint64_t(first + done) * depths_[c], depths_[c], codes, some);
    for (std::size_t i = 0; i < some; i++) values[std::size_t(done) + i] = float(codes[i]) * scales_[c];
  }
}

std::size_t Weights::bytes() const {
  return plain_.size() * sizeof(float) + bits_.size() + depths_.size() + firstBit_.size() * sizeof(std::uint64_t) +
         (scales_.size() + columnFactors_.size()) * sizeof(float);
}

}  // namespace selfcompress::engine
