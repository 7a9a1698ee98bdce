// Images with their labels or targets, in host memory.
#pragma once

#include <cstdint>
#include <vector>

#include "selfcompress/tensor.h"

namespace selfcompress {

struct DataSet {
  Shape shape;
  std::int64_t count = 0;
  std::vector<std::uint8_t> bytes;   // [count][C][H][W], or
  std::vector<float> floats;         // the same; exactly one of the two is filled
  std::vector<std::int32_t> labels;  // [count] or empty
  int classes = 0;
  std::vector<float> targets;  // [count][features] or empty
  std::int64_t features = 0;
  std::vector<float> mean, invStd;  // [C]
};

}  // namespace selfcompress
