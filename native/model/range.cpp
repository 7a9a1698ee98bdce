// "range", "range-fast" and "scaled": codes through the adaptive range coder.
// "range": one stream of coded bits: two plain bits with the mode, the lag where it is not given by the shape (a bit,
// ten plain bits less one), the codes row by row, the exponents of rows that are not all 0 (channel_values.h).
// "range-fast" is the same without the slow mode. "scaled": scale and offset as float32, then such a stream without
// exponents.
#include <bit>

#include "model/channel_values.h"
#include "model/code_model.h"
#include "model/codec.h"

namespace selfcompress::model {

namespace {

constexpr std::uint32_t kDefaultLag = 2;  // of tensors without kernel places: a lag that adds nothing
constexpr int kLagBits = 10;

bool lagIsGiven(const RowShape& shape) { return shape.places > 1; }
std::uint32_t givenLag(const RowShape& shape) { return std::uint32_t(std::min<std::int64_t>(shape.places, kMaxLag)); }

// The distance within a row, up to 128, at which codes that are not 0 coincide most, as in images that were flattened.
std::uint32_t bestLag(const TensorView& tensor) {
  constexpr std::int64_t kMost = 128, kSample = 1 << 17;
  const std::int64_t row = tensor.shape.perChannel(),
                     rows = std::min(tensor.shape.channels, std::max<std::int64_t>(1, kSample / row));
  const std::int64_t length = std::min(row, kSample);
  std::uint32_t best = kDefaultLag;
  double most = 0;
  for (std::int64_t lag = kDefaultLag; lag <= std::min(kMost, length / 2); lag++) {
    std::int64_t both = 0;
    for (std::int64_t r = 0; r < rows; r++) {
      const std::int32_t* codes = tensor.codes + r * row;
      for (std::int64_t i = lag; i < length; i++) both += (codes[i] != 0) & (codes[i - lag] != 0);
    }
    const double share = double(both) / double(rows * (length - lag));
    if (share <= most * 1.02) continue;
    most = share;
    best = std::uint32_t(lag);
  }
  return best;
}

template <class Coder, ContextMode kMode>
void codeRows(Coder& coder, const RowShape& shape, std::uint32_t lag, std::int32_t* codes, std::vector<bool>& live) {
  const auto row = std::size_t(shape.perChannel());
  CodeModel<Coder, kMode> model(coder, shape, lag);
  for (std::size_t c = 0; c < live.size(); c++) live[c] = model.row(codes + c * row);
}

// Mode, lag and codes; tells which rows have codes other than 0.
template <class Coder>
std::vector<bool> codeCodes(Coder& coder, const RowShape& shape, ContextMode mode, std::uint32_t lag,
                            std::int32_t* codes) {
  mode = ContextMode(codePlain(coder, std::uint32_t(mode), 2));
  if (mode != ContextMode::kNone && !lagIsGiven(shape)) {
    if (coder.raw(32768, lag != kDefaultLag)) lag = 1 + codePlain(coder, lag - 1, kLagBits);
    else lag = kDefaultLag;
  }
  std::vector<bool> live(std::size_t(shape.channels));
  switch (mode) {
    case ContextMode::kNone:
      codeRows<Coder, ContextMode::kNone>(coder, shape, lag, codes, live);
      break;
    case ContextMode::kNeighbours:
      codeRows<Coder, ContextMode::kNeighbours>(coder, shape, lag, codes, live);
      break;
    case ContextMode::kMixed:
      codeRows<Coder, ContextMode::kMixed>(coder, shape, lag, codes, live);
      break;
    default:
      fail("a known mode", "a range-coded tensor", std::uint32_t(mode));
  }
  return live;
}

// The shortest of the first `modes` modes, the first where several are; `finish` adds what follows the codes.
template <class Finish>
Bytes shortest(const TensorView& tensor, std::uint32_t modes, Finish finish) {
  std::vector<std::int32_t> codes(tensor.codes, tensor.codes + tensor.shape.elements());
  const std::uint32_t lag = lagOf(tensor);
  Bytes best;
  for (std::uint32_t mode = 0; mode < modes; mode++) {
    RangeEncoder coder;
    finish(coder, codeCodes(coder, tensor.shape, ContextMode(mode), lag, codes.data()));
    Bytes bytes = coder.finish();
    if (mode == 0 || bytes.size() < best.size()) best = std::move(bytes);
  }
  return best;
}

template <std::uint32_t kModes>
Bytes encodeRange(const TensorView& tensor) {
  return shortest(tensor, kModes, [&](RangeEncoder& coder, const std::vector<bool>& live) {
    std::vector<float> exponents(tensor.exponents, tensor.exponents + tensor.shape.channels);
    codeExponents(coder, exponents, [&](std::size_t c) { return live[c]; });
  });
}

void decodeRange(ByteSpan payload, TensorTarget& target) {
  RangeDecoder coder(payload);
  const std::vector<bool> live =
      codeCodes(coder, target.shape, ContextMode::kNone, givenLag(target.shape), target.codes);
  codeExponents(coder, std::span(target.exponents, live.size()), [&](std::size_t c) { return live[c]; });
}

Bytes encodeScaled(const TensorView& tensor) {
  ByteWriter out;
  out.little(std::bit_cast<std::uint32_t>(tensor.scale));
  out.little(std::bit_cast<std::uint32_t>(tensor.offset));
  out.append(shortest(tensor, kContextModes, [](RangeEncoder&, const std::vector<bool>&) {}));
  return std::move(out.bytes());
}

void decodeScaled(ByteSpan payload, TensorTarget& target) {
  ByteReader in(payload, "a scaled tensor");
  target.scale = std::bit_cast<float>(in.little<std::uint32_t>());
  target.offset = std::bit_cast<float>(in.little<std::uint32_t>());
  RangeDecoder coder(in.take(in.left()));
  codeCodes(coder, target.shape, ContextMode::kNone, givenLag(target.shape), target.codes);
}

}  // namespace

std::uint32_t lagOf(const TensorView& tensor) {
  return lagIsGiven(tensor.shape) ? givenLag(tensor.shape) : bestLag(tensor);
}

const Codec kRange{"range", Content::kCodes, true, encodeRange<kContextModes>, decodeRange};
const Codec kFastRange{"range-fast", Content::kCodes, false, encodeRange<2>, decodeRange};
const Codec kScaledRange{"scaled", Content::kScaled, true, encodeScaled, decodeScaled};

}  // namespace selfcompress::model
