// A model file as integers: steps over codes of 8 bits (docs/integer.md).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/axes.h"
#include "engine/integer/arithmetic.h"
#include "model/reader.h"

namespace selfcompress::engine::integer {

// value = scale * (code - zero)
struct CodeScale {
  float scale = 1;
  int zero = 0;
};

// Codes of one image, [height][width][channels].
struct Value {
  Shape shape;
  CodeScale code;
  std::int64_t offset = 0;  // in the memory that all values share
};

enum class StepKind { kConv, kMaxPool, kAveragePool, kAdd, kMultiply, kCopy };

struct Step {
  StepKind kind = StepKind::kCopy;
  std::string name;  // of the node
  std::vector<int> inputs;
  int output = 0;
  // What the kind needs.
  sc_conv conv{};
  std::vector<std::int8_t> weights;  // [out channels][kernel height][kernel width][channels of the group]
  std::vector<std::uint8_t> bits;    // [out channels], of two's complement
  std::vector<sc_channel> channels;
  sc_pool pool{};
  std::vector<sc_scale> scales;
  sc_binary binary{};
  sc_copy copy{};
  std::array<std::uint8_t, 256> table{};

  std::size_t perChannel() const { return bits.empty() ? 0 : weights.size() / bits.size(); }
};

struct Program {
  Axes input, output;
  std::vector<Value> values;  // 0: the input
  std::vector<Step> steps;
  int result = 0;            // the value that is the prediction
  std::int64_t memory = 0;   // bytes that all values share
  std::int64_t largest = 0;  // of one channel's weights
};

// Throws model::ModelFileError: of a file without ranges, and with every node that is not covered.
Program makeProgram(const model::ModelReader&);

// The scale of values from `low` to `high`; zero is among them.
CodeScale codeScale(double low, double high);
// factor as multiplier / 2^shift. Throws model::ModelFileError for one of 2^30 and more.
sc_scale fixedPoint(double factor, const std::string& where);

}  // namespace selfcompress::engine::integer
