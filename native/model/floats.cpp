// "f32", "f16", "bf16": floats as they are, little-endian, element by element; the shorter ones rounded to even.
#include <bit>

#include "model/codec.h"
#include "model/half.h"

namespace selfcompress::model {

namespace {

void checkLength(ByteSpan payload, std::size_t needed) {
  if (payload.size() != needed) fail(std::to_string(needed) + " bytes", "a tensor of floats", payload.size());
}

template <class Short, Short (*narrow)(float)>
Bytes encode(const TensorView& tensor) {
  const auto count = std::size_t(tensor.shape.elements());
  Bytes bytes(count * sizeof(Short));
  for (std::size_t i = 0; i < count; i++) storeLittle(bytes.data() + i * sizeof(Short), narrow(tensor.floats[i]));
  return bytes;
}

template <class Short, float (*widen)(Short)>
void decode(ByteSpan payload, TensorTarget& target) {
  const auto count = std::size_t(target.shape.elements());
  checkLength(payload, count * sizeof(Short));
  for (std::size_t i = 0; i < count; i++)
    target.floats[i] = widen(loadLittle<Short>(payload.data() + i * sizeof(Short)));
}

std::uint32_t bitsOf(float value) { return std::bit_cast<std::uint32_t>(value); }
float floatOf(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace

const Codec kFloat32{"f32", Content::kFloats, false, encode<std::uint32_t, bitsOf>, decode<std::uint32_t, floatOf>};
const Codec kFloat16{"f16", Content::kFloats, false, encode<std::uint16_t, halfOf>, decode<std::uint16_t, fromHalf>};
const Codec kBrainFloat16{"bf16", Content::kFloats, false, encode<std::uint16_t, brainOf>,
                          decode<std::uint16_t, fromBrain>};

}  // namespace selfcompress::model
