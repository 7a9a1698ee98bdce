// One analysis of channels, from the operators' rules (ops/channels.h): which channels hang together, which weights
// read them, and what has to live for them to live. Behind the coupled penalty, the clamp of bit depths and removal.
#pragma once

#include "graph/infer.h"

namespace selfcompress {

// A slice of a layer's weights: those that read one of its inputs. For a linear layer behind an image, each position of
// a channel is an input.
struct Reader {
  int node = 0, input = 0;
  auto operator<=>(const Reader&) const = default;
};

// One channel of a layer with weights.
struct LayerChannel {
  int node = 0, channel = 0;
  auto operator<=>(const LayerChannel&) const = default;
};

// What has to live for a channel to be anything but a constant: one of these sets, all of its members. An empty set is
// always alive (the network's input, a layer that does not compress); no set at all never.
using LifeTerms = std::vector<std::vector<LayerChannel>>;

class ChannelAnalysis {
 public:
  // `compresses(node)`: whether channels of that layer can die.
  ChannelAnalysis(const NetworkDescription&, const Topology&, const std::vector<bool>& compresses);

  const ChannelRule& rule(int node) const { return rules_[std::size_t(node)]; }
  // Channels of one class leave together or not at all.
  int classOf(int tensor, int channel) const { return find(ids_[std::size_t(tensor)][std::size_t(channel)]); }
  int classCount() const { return int(parent_.size()); }
  // Readers of every channel of a tensor, through operators that keep channels apart and through depthwise layers; each
  // once, whatever the number of paths. One pass from the output to the input.
  std::vector<std::vector<Reader>> readersOf(int tensor) const;
  // The same for every row of a node's weights: the slices of others that may leave with it.
  std::vector<std::vector<Reader>> readersOfRows(int node) const;
  // For every channel of a tensor.
  const std::vector<LifeTerms>& lifeOf(int tensor) const { return life_[std::size_t(tensor)]; }
  // Of a node's sums of products: what has to live for both of its sides to be seen.
  LifeTerms lifeOf(int node, const ChannelRule::Contraction&) const;
  // Whether a channel of the tensor reaches the output without a layer of weights between.
  bool reachesOutput(int tensor) const { return reaches_[std::size_t(tensor)]; }

 private:
  int find(int i) const;
  void join(int a, int b);
  void addTensor(int count);
  void classesOf(int node);
  void lifeOfNode(int node, const std::vector<bool>& compresses);
  void lifeOfTie(int node, std::vector<LifeTerms>& life, std::vector<LifeTerms>& notZero) const;
  void findReaders();
  void readersOfNode(int node);
  void findReach();

  const NetworkDescription& network_;
  const Topology& topology_;
  std::vector<ChannelRule> rules_;
  mutable std::vector<int> parent_;
  std::vector<std::vector<int>> ids_;         // of every tensor
  std::vector<std::vector<LifeTerms>> life_;  // of every tensor
  // The same for not being zero, once constants that decay are gone: what a function with f(0) != 0 makes of a dead
  // channel is a constant, and as a factor it leaves the other one alive.
  std::vector<std::vector<LifeTerms>> notZero_;
  std::vector<std::vector<std::vector<Reader>>> readers_;  // of every tensor and channel, sorted
  std::vector<bool> reaches_;
};

// Calls f(outChannel, input, inChannel) for every pair of channels that a kMap rule connects.
template <class F>
void forEachMapped(const ChannelRule& rule, F f) {
  int out = 0;
  for (const ChannelRule::Part& part : rule.parts)
    for (int c = 0; c < part.count; c++)
      for (int r = 0; r < part.repeat; r++) f(out++, part.input, part.first + c);
}

// The same for every output channel and each of its sources, of a kJoin rule. Channels of zeros are left out.
template <class F>
void forEachJoined(const ChannelRule& rule, F f) {
  for (std::size_t i = 0; i < rule.sources.size(); i++)
    if (rule.sources[i].input >= 0) f(int(i) / rule.perChannel, rule.sources[i].input, rule.sources[i].channel);
}

// Calls f(first, past) for each set of channels that a rule mixes.
template <class F>
void forEachMixed(const ChannelRule& rule, int channels, F f) {
  if (rule.mixed.empty()) f(0, channels);
  int first = 0;
  for (int count : rule.mixed) f(first, first + count), first += count;
}

}  // namespace selfcompress
