// Which channels live: states, lists, and the size penalty that follows from them.
#include "graph/compiler.h"

namespace selfcompress {

Compiler::Compiler(const NetworkDescription& network, const NetworkOptions& options, const Topology& topology,
                   const Parameters& parameters, Backend& backend, DeviceMemory& device, StepScalars* scalars,
                   float* layerBits, Program& program, Mode mode)
    : network_(network),
      options_(options),
      topology_(topology),
      parameters_(parameters),
      backend_(backend),
      device_(device),
      scalars_(scalars),
      layerBits_(layerBits),
      program_(program),
      mode_(mode),
      originalWeights_(options.originalWeights),
      tensors_(topology.shapes.size()),
      quantized_(network.nodes.size(), kNoBuffer),
      penalty_(network.nodes.size()),
      inputs_(network.nodes.size()),
      saved_(network.nodes.size()) {
  if (originalWeights_ <= 0)
    for (const Parameter& p : parameters.all())
      if (p.role == Role::kWeight) originalWeights_ += double(p.count);
  for (int i = 0; i < int(network.nodes.size()); i++) {
    bool trained = isWeightLayer(node(i)) || (node(i).kind == NodeKind::kBatchNorm && node(i).affine);
    for (int t : topology.inputs[std::size_t(i)]) trained = trained || tensor(t).needsGradient;
    tensor(i + 1).needsGradient = trained;
  }
}

ChannelInfo Compiler::newChannels(int count) {
  auto list = [&] {
    return ChannelList{device_.allocate<std::int32_t>(std::size_t(count)), device_.allocate<std::int32_t>(1)};
  };
  return {device_.allocate<std::int32_t>(std::size_t(count)), list(), list()};
}

void Compiler::listChannels(const ChannelInfo& channels, int count) {
  program_.add({}, [=](const Execution& x) {
    x.backend.run(ListChannels{count, true, channels.state, const_cast<std::int32_t*>(channels.notZero.index),
                               const_cast<std::int32_t*>(channels.notZero.count)});
    x.backend.run(ListChannels{count, false, channels.state, const_cast<std::int32_t*>(channels.live.index),
                               const_cast<std::int32_t*>(channels.live.count)});
  });
}

ChannelInfo Compiler::featuresOf(int t) {
  int features = int(shape(t).elements());
  ChannelInfo info = newChannels(features);
  StateCopy args{shape(t).channels, shape(t).pixels(), 0, tensor(t).channels.state, info.state};
  program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  listChannels(info, features);
  return info;
}

void Compiler::stateOf(int i) {
  const NodeDescription& n = node(i);
  Tensor& out = tensor(i + 1);
  const ChannelInfo in = tensor(inputOf(i)).channels;
  int channels = shape(i + 1).channels;
  switch (n.kind) {
    case NodeKind::kActivation:
    case NodeKind::kPool:
    case NodeKind::kGlobalAveragePool:
    case NodeKind::kDropout:
      out.channels = in;
      return;  // the same channels
    default:
      break;
  }
  out.channels = newChannels(channels);
  std::int32_t* state = out.channels.state;
  if (isWeightLayer(n)) {
    StateFromBits args;
    args.channels = channels;
    args.bitDepth = parameters_.value(i, Role::kBitDepth), args.bias = parameters_.value(i, Role::kBias);
    int inChannels = shape(inputOf(i)).channels;
    inputs_[std::size_t(i)] =
        n.kind == NodeKind::kLinear && shape(inputOf(i)).pixels() > 1 ? featuresOf(inputOf(i)) : in;
    if (n.kind == NodeKind::kConv2d && inChannels > 1 && n.groups == inChannels)
      args.depthwiseInput = in.state, args.multiplier = channels / inChannels;
    args.output = state;
    program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  } else if (n.kind == NodeKind::kBatchNorm) {
    StateThroughNorm args{channels, in.state, parameters_.value(i, Role::kNormBias),
                          training() ? nullptr : parameters_.value(i, Role::kRunningMean), state};
    program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  } else if (n.kind == NodeKind::kAdd) {
    StateOfSum args{channels, in.state, tensor(inputOf(i, 1)).channels.state, state};
    program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  } else {  // flatten, concat
    int first = 0;
    for (int t : topology_.inputs[std::size_t(i)]) {
      int repeat = n.kind == NodeKind::kFlatten ? shape(t).pixels() : 1;
      StateCopy args{shape(t).channels, repeat, first, tensor(t).channels.state, state};
      first += shape(t).channels * repeat;
      program_.add({}, [=](const Execution& x) { x.backend.run(args); });
    }
  }
  listChannels(out.channels, channels);
}

// Weight layers that read the channels of tensor t, through layers that keep them apart.
std::vector<BitPenaltyConsumer> Compiler::consumersOf(int t, int featuresPerChannel) const {
  std::vector<BitPenaltyConsumer> found;
  for (int i : topology_.readers[std::size_t(t)]) {
    if (isWeightLayer(node(i))) {
      Conv2dGeometry g = geometryOf(node(i), shape(t));
      int features = featuresPerChannel * (node(i).kind == NodeKind::kLinear ? shape(t).pixels() : 1);
      found.push_back(
          {parameters_.value(i, Role::kBitDepth), g.outChannels, g.kernelHeight * g.kernelWidth, g.groups, features});
    } else {
      int features = featuresPerChannel * (node(i).kind == NodeKind::kFlatten ? shape(t).pixels() : 1);
      auto more = consumersOf(i + 1, features);
      found.insert(found.end(), more.begin(), more.end());
    }
  }
  return found;
}

void Compiler::penaltyOf(int i) {
  Conv2dGeometry g = geometryOf(node(i), shape(inputOf(i)));
  BitPenalty args;
  args.channels = g.outChannels;
  args.bitDepth = parameters_.value(i, Role::kBitDepth);
  args.kernelArea = g.kernelHeight * g.kernelWidth;
  args.groups = g.groups;
  args.inChannels = g.inChannels;
  args.inputState = tensor(inputOf(i)).channels.state;
  args.originalWeights = originalWeights_;
  args.gamma = &scalars_->gamma;
  args.layerBits = layerBits_ + i;
  if (args.bitDepth) args.penalty = penalty_[std::size_t(i)] = device_.allocate<float>(std::size_t(g.outChannels));
  if (node(i).kind == NodeKind::kLinear &&
      shape(inputOf(i)).pixels() > 1) {  // reads every pixel of a channel: K inputs each
    args.inChannels = shape(inputOf(i)).channels;
    args.kernelArea = shape(inputOf(i)).pixels();
  }
  if (options_.coupledPenalty && args.bitDepth) {
    auto consumers = consumersOf(i + 1, 1);
    if (consumers.size() > std::size_t(kMaxPenaltyConsumers))
      throw DescriptionError("Expected at most " + std::to_string(kMaxPenaltyConsumers) + " layers that read \"" +
                             node(i).name + "\" for penalty \"coupled\" but received " +
                             std::to_string(consumers.size()));
    args.consumerCount = int(consumers.size());
    std::copy(consumers.begin(), consumers.end(), args.consumers);
  }
  program_.add({}, [=](const Execution& x) { x.backend.run(args); });
}

bool Compiler::reachesOutput(int t) const {
  if (t == topology_.output) return true;
  for (int i : topology_.readers[std::size_t(t)])
    if (!isWeightLayer(node(i)) && reachesOutput(i + 1)) return true;
  return false;
}

void Compiler::compileStates() {
  tensor(0).channels = newChannels(shape(0).channels);  // zeroed memory: all live
  listChannels(tensor(0).channels, shape(0).channels);
  for (int i = 0; i < int(network_.nodes.size()); i++) stateOf(i);
  if (training())
    for (int i = 0; i < int(network_.nodes.size()); i++)
      if (isWeightLayer(node(i))) penaltyOf(i);
}

}  // namespace selfcompress
