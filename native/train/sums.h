// Channels as sums of others: a constant, and terms with a factor each. Where the terms cancel, the channel is a
// constant whatever they are, as in x + p - p.
#pragma once

#include "graph/channel_analysis.h"
#include "train/uniform.h"

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
  Sums(const NetworkDescription&, const Topology&, const ChannelAnalysis&);

  // Of what node i puts out; channels that turn out to be constants are set in `out`, where those that are known stand.
  // `isUniform`: which channels of a tensor before it are.
  void add(int i, const NodeValues&, const Uniform& isUniform, std::vector<MaybeConstant>& out);
  std::vector<std::vector<bool>> cancels;  // of every tensor and channel: such a constant

 private:
  Sum of(int tensor, int channel) const;
  Sum mapped(int i, const NodeValues&, int channel, const Sum& in) const;
  Sum tied(int i, int channel) const;
  std::vector<Sum> sumsOf(int i, const NodeValues&, const Uniform&) const;

  const NetworkDescription& network_;
  const Topology& topology_;
  const ChannelAnalysis& channels_;
  std::vector<std::vector<Sum>> of_;  // of every tensor; empty: each channel is a term of its own, or a constant
  std::vector<std::vector<MaybeConstant>> constants_;
};

}  // namespace selfcompress
