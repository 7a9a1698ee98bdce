// Mean and variance of a channel from the sums of its parts, which are always the same and added in order: the result
// does not depend on who took them.
#pragma once

#include <algorithm>

#include "cpu/kernels.h"

namespace selfcompress::cpu {

// The moments of all parts, in double precision, about the pivot of the first one.
class MomentSum {
 public:
  void add(const PartialMoments& part) {
    if (count_ == 0) pivot_ = double(part.pivot);
    const double shift = double(part.pivot) - pivot_, sum = double(part.sum), count = double(part.count);
    sum_ += sum + count * shift;
    squares_ += double(part.squares) + shift * (2 * sum + count * shift);
    count_ += count;
  }
  ChannelMoments result() const {
    const double mean = sum_ / count_, variance = squares_ / count_ - mean * mean;
    return {pivot_ + mean, variance < 0 ? 0 : variance};
  }

 private:
  double pivot_ = 0, sum_ = 0, squares_ = 0, count_ = 0;
};

// Images of a block that count.
inline int lanesOf(int batch, std::int64_t block) {
  return int(std::min<std::int64_t>(kLanes, batch - block * kLanes));
}

// A whole plane is taken in pieces: over a longer one the sums in float, and the pivot, would be worse.
inline constexpr int kPieceVectors = 256;
inline int piecesOf(int pixels) { return (pixels + kPieceVectors - 1) / kPieceVectors; }
inline PartialMoments pieceMoments(const Kernels& kernels, const float* plane, int pixels, int lanes, int piece) {
  int first = piece * kPieceVectors;
  MomentRun run{std::int64_t(first) * kLanes, std::min(kPieceVectors, pixels - first), lanes};
  return kernels.moments(plane, &run, 1);
}

}  // namespace selfcompress::cpu
