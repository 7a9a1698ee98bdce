// What a codec is. To add one: a file that defines a Codec, and a line in codecs.cpp.
#pragma once

#include <span>
#include <string>

#include "model/bytes.h"
#include "model/tensor.h"

namespace selfcompress::model {

// The contents of one tensor, all of them or those of its Content.
struct TensorView {
  RowShape shape;
  const std::int32_t* codes = nullptr;  // kCodes, kScaled
  const float* exponents = nullptr;     // kCodes: [channels]
  float scale = 1, offset = 0;          // kScaled
  const float* floats = nullptr;        // kFloats
};

// Where a decoder writes; memory of the caller for shape.elements() elements.
struct TensorTarget {
  RowShape shape;
  std::int32_t* codes = nullptr;
  float* exponents = nullptr;  // [channels]
  float scale = 1, offset = 0;
  float* floats = nullptr;
};

// A program that only reads files (the one for browsers) drops the encoders, and with them the code behind them.
#if defined(SELFCOMPRESS_INFERENCE_ONLY)
struct Encode {
  constexpr Encode(Bytes (*)(const TensorView&)) {}
};
#else
using Encode = Bytes (*)(const TensorView& tensor);
#endif

struct Codec {
  const char* name;
  Content content;
  bool automatic;  // tried where the writer may choose
  Encode encode;
  // Must fail on, or make sense of, any bytes whatever. Zero bytes at the end may have been added (kElementsPerByte).
  void (*decode)(ByteSpan payload, TensorTarget& target);
};

std::span<const Codec* const> codecs();
// nullptr where there is none of that name.
const Codec* findCodec(const std::string& name);

extern const Codec kPacked, kRange, kFastRange, kFloat32, kFloat16, kBrainFloat16, kScaledRange;

}  // namespace selfcompress::model
