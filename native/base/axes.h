// The axes of a value: channels, and any number of positions. What batch it belongs to is not said here.
#pragma once

#include <array>
#include <string>

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class ValueType {
  kFloat,
  kToken,  // whole numbers that name rows of an embedding
};

// One example of a value: `channels` features at each of `rank` axes of positions. Rank 0 is a vector, 1 a sequence, 2
// an image (height, width), 3 a volume (depth, height, width).
struct Axes {
  static constexpr int kMostRank = 3;
  int channels = 0;
  int rank = 0;
  std::array<int, kMostRank> positions{1, 1, 1};  // the first `rank` mean something, the others are 1
  ValueType type = ValueType::kFloat;

  static Axes vector(int channels) { return {channels, 0, {1, 1, 1}, ValueType::kFloat}; }
  static Axes image(int channels, int height, int width) {
    return {channels, 2, {height, width, 1}, ValueType::kFloat};
  }
  Axes withChannels(int count) const {
    Axes a = *this;
    a.channels = count;
    return a;
  }
  Axes withPositions(std::initializer_list<int> sizes) const {
    Axes a{channels, int(sizes.size()), {1, 1, 1}, type};
    std::size_t i = 0;
    for (int size : sizes) a.positions[i++] = size;
    return a;
  }

  std::int64_t positionCount() const { return std::int64_t(positions[0]) * positions[1] * positions[2]; }
  std::int64_t elements() const { return channels * positionCount(); }
  // The shape that kernels see: they know two axes of positions, and fold the others into them. A sequence is one row,
  // a volume's depth and height are one axis.
  Shape folded() const {
    switch (rank) {
      case 0:
        return {channels, 1, 1};
      case 1:
        return {channels, 1, positions[0]};
      case 2:
        return {channels, positions[0], positions[1]};
      default:
        return {channels, positions[0] * positions[1], positions[2]};
    }
  }
  std::string text() const {  // "3x32x32"
    std::string result = std::to_string(channels);
    for (int i = 0; i < rank; i++) {
      result += 'x';
      result += std::to_string(positions[std::size_t(i)]);
    }
    return result;
  }
  bool operator==(const Axes&) const = default;
};

}  // namespace selfcompress
