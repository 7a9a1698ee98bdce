// Removal of dead channels, without a change of the network's function.
//
// Channels of one class (graph/channel_analysis.h) leave together. A class goes when every layer that sums over
// channels sees a constant in its place: exactly zero, or a constant that can be folded into that layer's bias (read by
// the same weights at every position, the same in training and evaluation). Then it leaves weights, biases, norms, bit
// depths, exponents, the moments of all of these, and the input slices of every reader. A grouped convolution loses
// whole groups, or the same number of channels in every group.
//
// Where parameters have averages (NetworkOptions::ema), a channel leaves when it can in both networks, and each keeps
// its function: what is a constant is folded into the biases of each by its own weights.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>

#include "graph/parameters.h"
#include "train/channel_values.h"

namespace selfcompress {

// All tensors of a network by name: parameters and moments.
using State = std::map<std::string, std::vector<float>>;
// The same in memory of others.
using StateView = std::map<std::string, std::span<const float>>;

// Weights that a state does not hold, when they are asked for.
using WeightSource = std::function<std::vector<float>(const Parameter&)>;

struct Pruning {
  NetworkDescription network;
  std::vector<std::vector<int>> kept;                 // of every tensor of the old network: its channels that are left
  std::vector<std::vector<MaybeConstant>> constants;  // of every tensor and channel of the old network
  std::vector<std::vector<MaybeConstant>> averageConstants;  // the same of the averages, where there are some
};

// What can go, from the values of all parameters but weights: those that are asked for are of layers that read nothing
// but constants. nullopt: nothing. `averages`: the same of the averages, by the names of their parameters.
std::optional<Pruning> findRemovable(const NetworkDescription&, const Topology&, const ChannelAnalysis&,
                                     const Parameters&, const std::vector<LayerRule>&, const State& small,
                                     const WeightSource& = {}, const State* averages = nullptr,
                                     const WeightSource& averageWeights = {});

// The state of the smaller network: `state` cut, after constants were folded into the biases of their readers.
State pruneState(const NetworkDescription& before, const Topology&, const ChannelAnalysis&, const Parameters&,
                 const Pruning&, State state);

// From the same values.
ChannelValues channelValues(const NetworkDescription&, const Topology&, const ChannelAnalysis&, const Parameters&,
                            const State& small, const WeightSource& = {});

// The small parameters of a node; those that the state does not hold are empty.
NodeValues valuesOf(const Parameters&, int node, const State& small);

// The weights of a layer as its kernels see them.
std::vector<float> quantizedWeights(const Parameters&, int node, const std::vector<float>& weights, const State& small);

// What a row of weights makes of a channel that is 1 everywhere: the sum of its weights for that channel, `weights`,
// that read something.
double sumOfWeights(const ChannelRule&, const float* weights);

}  // namespace selfcompress
