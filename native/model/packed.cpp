// "packed": every code in the bits of its channel's depth, two's complement, least significant bit first.
// Payload: varint h, h bytes of depths and exponents (channel_values.h), then one stream of bits, channel by channel.
#include "model/packed.h"

#include <algorithm>

#include "model/channel_values.h"

namespace selfcompress::model {

namespace {

Bytes encode(const TensorView& tensor) {
  const auto channels = std::size_t(tensor.shape.channels);
  const auto row = std::size_t(tensor.shape.perChannel());
  std::vector<std::uint8_t> depths(channels);
  std::uint64_t bits = 0;
  for (std::size_t c = 0; c < channels; c++) {
    const auto [low, high] = extremes(tensor.codes + c * row, row);
    depths[c] = std::uint8_t(depthOf(low, high));
    bits += depths[c] * std::uint64_t(row);
  }
  RangeEncoder coder;
  std::vector<float> exponents(tensor.exponents, tensor.exponents + channels);
  codeDepths(coder, depths);
  codeExponents(coder, exponents, [&](std::size_t c) { return depths[c] > 0; });
  const Bytes head = coder.finish();

  ByteWriter out;
  out.varint(head.size());
  out.append(head);
  const std::size_t start = out.size();
  out.bytes().resize(start + std::size_t((bits + 7) / 8) + sizeof(std::uint64_t));
  std::uint8_t* to = out.bytes().data() + start;
  BitPacker packer(to);
  for (std::size_t c = 0; c < channels; c++) packer.pack(tensor.codes + c * row, row, depths[c]);
  packer.finish();
  out.bytes().resize(start + std::size_t((bits + 7) / 8));
  return std::move(out.bytes());
}

void decode(ByteSpan payload, TensorTarget& target) {
  const PackedView view = readPacked(payload, target.shape);
  const auto row = std::size_t(target.shape.perChannel());
  std::copy(view.exponents.begin(), view.exponents.end(), target.exponents);
  std::uint64_t bit = 0;
  for (std::size_t c = 0; c < view.depths.size(); c++) {
    unpackCodes(view.bits, bit, view.depths[c], target.codes + c * row, row);
    bit += view.depths[c] * std::uint64_t(row);
  }
}

}  // namespace

std::pair<std::int32_t, std::int32_t> extremes(const std::int32_t* codes, std::size_t count) {
  std::int32_t low = 0, high = 0;
  for (std::size_t i = 0; i < count; i++) {
    low = std::min(low, codes[i]);
    high = std::max(high, codes[i]);
  }
  return {low, high};
}

PackedView readPacked(ByteSpan payload, const RowShape& shape) {
  ByteReader in(payload, "a packed tensor");
  const std::uint64_t headLength = in.varint();
  RangeDecoder coder(in.take(headLength));
  PackedView view;
  view.depths.resize(std::size_t(shape.channels));
  view.exponents.resize(std::size_t(shape.channels));
  codeDepths(coder, view.depths);
  codeExponents(coder, view.exponents, [&](std::size_t c) { return view.depths[c] > 0; });
  std::uint64_t bits = 0;
  for (const std::uint8_t depth : view.depths) bits += depth * std::uint64_t(shape.perChannel());
  view.bits = in.take((bits + 7) / 8);
  while (in.left())
    if (in.byte()) fail("zero bytes", "the end of a packed tensor", "others");
  return view;
}

// Every code is cut out of the eight bytes that hold its first bit; the last codes of the stream out of a copy with
// zeros behind it.
void unpackCodes(ByteSpan bits, std::uint64_t firstBit, int depth, std::int32_t* codes, std::size_t count) {
  if (depth == 0) return void(std::fill_n(codes, count, 0));
  const int up = 64 - depth;
  const auto cut = [&](const std::uint8_t* bytes, std::uint64_t bit) {
    return std::int32_t(std::int64_t(loadLittle64(bytes + (bit >> 3)) >> (bit & 7) << up) >> up);
  };
  const std::uint64_t whole =
      bits.size() < 8 ? 0 : std::uint64_t(bits.size() - 7) * 8;  // first bits with 8 bytes there
  std::size_t i = 0;
  std::uint64_t bit = firstBit;
  if (bit < whole) {
    const std::size_t fast =
        std::size_t(std::min<std::uint64_t>(count, (whole - bit + unsigned(depth) - 1) / unsigned(depth)));
    for (; i < fast; i++, bit += unsigned(depth)) codes[i] = cut(bits.data(), bit);
  }
  if (i == count) return;
  std::uint8_t tail[24] = {};
  const std::size_t from = bits.size() < 8 ? 0 : bits.size() - 8;
  std::copy(bits.begin() + std::ptrdiff_t(from), bits.end(), tail);
  for (; i < count; i++, bit += unsigned(depth)) codes[i] = cut(tail, bit - from * 8);
}

const Codec kPacked{"packed", Content::kCodes, true, encode, decode};

}  // namespace selfcompress::model
