// Channels that are the same at every position of an example, though not the same in every example: those of tensors
// with a single position, and what operators make of them that make a constant of a constant.
#pragma once

#include "graph/channel_analysis.h"

namespace selfcompress {

// Filled node by node, in the order of the network.
class Uniform {
 public:
  Uniform(const Topology&, const ChannelAnalysis&);

  // Of what node i puts out, where these are the constants of all tensors up to that.
  void add(int i, const std::vector<std::vector<MaybeConstant>>& constants);
  bool operator()(int tensor, int channel) const { return of[std::size_t(tensor)][std::size_t(channel)]; }
  std::vector<std::vector<bool>> of;  // every tensor and channel

 private:
  int input(int i, int k) const { return topology_.inputs[std::size_t(i)][std::size_t(k)]; }
  bool allOf(int tensor, int first, int past) const;
  void mapped(int i, const ChannelRule&, const std::vector<std::vector<MaybeConstant>>& constants);

  const Topology& topology_;
  const ChannelAnalysis& channels_;
};

}  // namespace selfcompress
