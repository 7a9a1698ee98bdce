// Tensors of a model file: what the table says of one, and its contents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/error.h"
#include "model/limits.h"

namespace selfcompress::model {

enum class Content {
  kCodes,   // whole numbers with an exponent per channel: element = code * 2^exponent
  kFloats,  // float32
  kScaled   // whole numbers with one scale and one offset: element = offset + scale * code, in float32
};

inline const char* nameOf(Content content) {
  return content == Content::kCodes ? "codes" : content == Content::kFloats ? "floats" : "scaled codes";
}

// How a codec sees a tensor. Elements lie row by row, a row being one output channel: [channels][inputs][places].
// A tensor of one axis is a single row.
struct RowShape {
  std::int64_t channels = 1, inputs = 1, places = 1;
  std::int64_t perChannel() const { return inputs * places; }
  std::int64_t elements() const { return channels * perChannel(); }
};

inline RowShape rowShape(const std::vector<std::int64_t>& axes) {
  if (axes.size() < 2) return {1, axes.empty() ? 1 : axes[0], 1};
  RowShape shape{axes[0], axes[1], 1};
  for (std::size_t i = 2; i < axes.size(); i++) shape.places *= axes[i];
  return shape;
}

// Product of axes of at least 1, checked to be at most `limit`.
inline std::int64_t checkedElements(const std::vector<std::int64_t>& axes, std::uint64_t limit, const char* argument) {
  if (axes.size() > kMaxRank) fail("at most " + std::to_string(kMaxRank) + " axes", argument, axes.size());
  std::uint64_t product = 1;
  for (const std::int64_t axis : axes) {
    if (axis < 1) fail("axes of at least 1", argument, axis);
    if (std::uint64_t(axis) > limit / product)
      fail("at most " + std::to_string(limit) + " elements", argument, "more than that");
    product *= std::uint64_t(axis);
  }
  return std::int64_t(product);
}

struct CodeTensor {
  RowShape shape;
  std::vector<std::int32_t> codes;
  std::vector<float> exponents;  // one per channel; 0 where all codes of the channel are 0
};

struct ScaledTensor {
  RowShape shape;
  std::vector<std::int32_t> codes;
  float scale = 1, offset = 0;
};

// One row of the table.
struct TensorEntry {
  int node = -1;     // index of the node that it belongs to; -1: of no node
  std::string role;  // "weight", "bias", ...; a name of its own where node is -1
  std::vector<std::int64_t> axes;
  std::string encoding;                  // name of a codec
  std::uint64_t offset = 0, length = 0;  // bytes of the file
};

}  // namespace selfcompress::model
