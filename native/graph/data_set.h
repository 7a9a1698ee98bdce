// Images, or rows of tokens, with their labels or targets, in host memory.
#pragma once

#include <cstdint>
#include <vector>

#include "selfcompress/tensor.h"

namespace selfcompress {

// The label of a position that does not count.
inline constexpr std::int32_t kIgnoredLabel = -1;

struct DataSet {
  Shape shape;  // of an example; of tokens {1, 1, length}
  std::int64_t count = 0;
  std::vector<std::uint8_t> bytes;  // [count][C][H][W], or
  std::vector<float> floats;        // the same, or
  std::vector<std::int32_t>
      tokens;          // [count][length], or with `windows` a text of count + length of them; one is filled
  int vocabulary = 0;  // tokens are below it
  // Example i is the window of `length` tokens that begins at token i of the text; its labels are the tokens that
  // follow each of them.
  bool windows = false;
  std::vector<std::int32_t> labels;  // [count][labelsPerExample], or empty
  int labelsPerExample = 1;          // more: one for each position
  bool ignores = false;              // some labels are kIgnoredLabel
  int classes = 0;
  struct LabelPart {
    int labels = 1, classes = 0;
  };
  // For networks with several outputs: how many of the labels of an example each of them has, and its classes.
  std::vector<LabelPart> labelParts;  // empty: one output has all of them
  std::vector<float> targets;         // [count][features] or empty
  std::int64_t features = 0;
  std::vector<float> mean, invStd;  // [C]; of images

  std::vector<LabelPart> partsOfLabels() const {
    if (!hasLabels() || !labelParts.empty()) return labelParts;
    return {{labelsPerExample, classes}};
  }
  bool hasTokens() const { return !tokens.empty(); }
  bool hasLabels() const { return windows || !labels.empty(); }
  const std::int32_t* tokensOf(std::int64_t example) const {
    return tokens.data() + example * (windows ? 1 : std::int64_t(shape.width));
  }
  const std::int32_t* labelsOf(std::int64_t example) const {
    return windows ? tokensOf(example) + 1 : labels.data() + example * labelsPerExample;
  }
};

}  // namespace selfcompress
