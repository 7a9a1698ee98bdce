// Raw quantizer operations on plain arrays, in place, without a copy.
#include "node/raw.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;

struct Common {
  float *weight, *bitDepth, *exponent;
  int channels;
  std::int64_t perChannel, count;
};

Common readCommon(const Fields& f, TypedArrays& arrays) {
  Common c{};
  c.bitDepth = arrays.floats(f, "bitDepth", -1, Access::kRead);
  std::size_t channels = arrays.lengthOf("bitDepth");
  if (channels < 1 || channels > std::size_t(kMostChannels))
    throwRange(f.env(), "one bit depth for each of 1 to 2^24 channels", f.path("bitDepth"),
               "length " + std::to_string(channels));
  c.channels = int(channels);
  c.exponent = arrays.floats(f, "exponent", c.channels, Access::kRead);
  c.weight = arrays.floats(f, "weight", -1, Access::kRead);
  c.count = std::int64_t(arrays.lengthOf("weight"));
  if (c.count % c.channels)
    throwRange(f.env(), "a multiple of the " + std::to_string(channels) + " channels", f.path("weight"),
               "length " + std::to_string(c.count));
  c.perChannel = c.count / c.channels;
  return c;
}

template <class Args>
Napi::Value queue(const Napi::CallbackInfo& info, const TypedArrays& arrays, const Args& args) {
  return queueRaw(info, arrays, [=](Backend& backend) { backend.run(args); });
}

Napi::Value forward(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"weight", "bitDepth", "exponent", "output"});
  TypedArrays arrays;
  arrays.allowSame("weight", "output");
  Common c = readCommon(f, arrays);
  float* output = arrays.floats(f, "output", c.count, Access::kWrite);
  return queue(info, arrays, QuantizeForward{c.channels, c.perChannel, c.weight, c.bitDepth, c.exponent, output});
}

Napi::Value backward(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly(
      {"weight", "bitDepth", "exponent", "gradOutput", "penalty", "gradWeight", "gradBitDepth", "gradExponent"});
  TypedArrays arrays;
  arrays.allowSame("gradOutput", "gradWeight");
  Common c = readCommon(f, arrays);
  QuantizeBackward a{c.channels, c.perChannel, c.weight, c.bitDepth, c.exponent,
                     nullptr,    nullptr,      nullptr,  nullptr,    nullptr};
  a.gradOutput = arrays.floats(f, "gradOutput", c.count, Access::kRead);
  a.penalty = arrays.optionalFloats(f, "penalty", c.channels, Access::kRead);
  a.gradWeight = arrays.floats(f, "gradWeight", c.count, Access::kWrite);
  a.gradBitDepth = arrays.floats(f, "gradBitDepth", c.channels, Access::kWrite);
  a.gradExponent = arrays.floats(f, "gradExponent", c.channels, Access::kWrite);
  return queue(info, arrays, a);
}

Napi::Value codes(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"weight", "bitDepth", "exponent", "codes", "codeBits"});
  TypedArrays arrays;
  Common c = readCommon(f, arrays);
  std::int32_t* values = arrays.integers(f, "codes", c.count, Access::kWrite);
  std::int32_t* bits = arrays.integers(f, "codeBits", c.channels, Access::kWrite);
  return queue(info, arrays, QuantizeCodes{c.channels, c.perChannel, c.weight, c.bitDepth, c.exponent, values, bits});
}

}  // namespace

void exportRawQuantize(Napi::Object exports) {
  exportRaw<forward>(exports, "quantizeForward");
  exportRaw<backward>(exports, "quantizeBackward");
  exportRaw<codes>(exports, "quantizeCodes");
}

}  // namespace selfcompress::node
