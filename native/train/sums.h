// Channels as sums of others: a constant, and terms with a factor each. Where the terms cancel, the channel is a
// constant whatever they are, as in x + p - p. What is normalised over the positions of an example is its shift and a
// term whose mean over them is zero.
#pragma once

#include "train/channel_values.h"

namespace selfcompress {

struct Sum {
  struct Term {  // a channel of a tensor
    int tensor = 0, channel = 0;
    auto operator<=>(const Term&) const = default;
  };
  Constant constant;
  std::vector<std::pair<Term, double>> terms;  // in order of the terms, factors are not 0
};

// Filled node by node, in the order of the network.
class Sums {
 public:
  // `known`: of all tensors before the node that is added.
  Sums(const NetworkDescription&, const Topology&, const ChannelAnalysis&, const ChannelValues& known);

  // Of what node i puts out; channels that turn out to be constants are set in `out`, where those that are known stand.
  // Returns which these are.
  std::vector<bool> add(int i, const NodeValues&, std::vector<MaybeConstant>& out);

  // Whether channels first..past-1 of a tensor add up to zero at each position, or over all of them.
  bool addUpToZero(int tensor, int first, int past, bool overPositions) const;

 private:
  Sum of(int tensor, int channel) const;
  Sum mapped(int i, const NodeValues&, int channel, const Sum& in) const;
  Sum tied(int i, int channel) const;
  std::vector<Sum> sumsOf(int i, const NodeValues&) const;

  const NetworkDescription& network_;
  const Topology& topology_;
  const ChannelAnalysis& channels_;
  const ChannelValues& known_;
  std::vector<std::vector<Sum>> of_;  // of every tensor; empty: each channel is a term of its own, or a constant
};

}  // namespace selfcompress
