// Groups of a groupNorm, and what a norm makes of values that are all known.
#pragma once

#include <cmath>

#include "ops/op.h"

namespace selfcompress::ops {

// Channels of each group; empty: the fields do not make any.
inline std::vector<int> groupSizes(const NodeDescription& node, int channels) {
  std::vector<int> sizes = node.list("sizes");
  const int groups = node.integer("groups");
  if (sizes.empty() && channels % groups == 0) sizes.assign(std::size_t(groups), channels / groups);
  return sizes;
}
// Channels that the statistics of a group count: those that it had when the network was made.
inline int groupDivisor(const NodeDescription& node, int channels) {
  const int divisor = node.integer("divisor");
  return divisor ? divisor : channels / node.integer("groups");
}

// Element i of a set, of which `divisor` elements were made and the others are zeros; with a mean of 0 if it is `rms`.
inline double normalised(std::span<const Constant> set, std::size_t i, double divisor, bool rms, double epsilon,
                         double Constant::*mode) {
  double mean = 0, variance = 0;
  for (const Constant& value : set) mean += rms ? 0 : value.*mode / divisor;
  for (const Constant& value : set) variance += (value.*mode - mean) * (value.*mode - mean) / divisor;
  variance += (divisor - double(set.size())) * mean * mean / divisor;
  return (set[i].*mode - mean) / std::sqrt(variance + epsilon);
}

// What scale and shift of a channel make of a value.
inline double scaled(const NodeValues& v, int channel, double value) {
  const auto scale = v[Role::kNormWeight], shift = v[Role::kNormBias];
  const auto i = std::size_t(channel);
  return value * (scale.empty() ? 1 : double(scale[i])) + (shift.empty() ? 0 : double(shift[i]));
}

// Of a zero among values that are not known: the shift, where nothing is scaled.
inline MaybeConstant shiftWithoutScale(const NodeValues& v, int channel) {
  const auto scale = v[Role::kNormWeight], shift = v[Role::kNormBias];
  const auto i = std::size_t(channel);
  if (scale.empty() || scale[i] != 0) return std::nullopt;
  return Constant{double(shift[i]), double(shift[i])};
}

}  // namespace selfcompress::ops
