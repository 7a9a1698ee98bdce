// What is known of the values of every channel of every tensor, whatever the network reads.
#pragma once

#include "graph/channel_analysis.h"

namespace selfcompress {

struct ChannelValues {
  std::vector<std::vector<MaybeConstant>> constants;
  std::vector<std::vector<bool>> uniform;  // the same at every position of an example (train/uniform.h)
  std::vector<std::vector<bool>> cancels;  // a constant that what it is made of cancels to (train/sums.h)

  bool isZero(int tensor, int channel) const;
  // Of channels of a node's inputs.
  bool areZero(const std::vector<int>& inputs, const std::vector<ChannelRule::Source>&) const;
  bool areUniform(const std::vector<int>& inputs, const std::vector<ChannelRule::Source>&) const;
};

}  // namespace selfcompress
