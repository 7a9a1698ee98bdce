// Which channels live: states and lists, from each operator's channel rule.
#include "graph/channel_analysis.h"
#include "graph/emitter.h"

namespace selfcompress {

ChannelInfo Emitter::newChannels(int count) {
  auto list = [&] {
    return ChannelList{in_.device.allocate<std::int32_t>(std::size_t(count)), in_.device.allocate<std::int32_t>(1)};
  };
  return {in_.device.allocate<std::int32_t>(std::size_t(count)), list(), list()};
}

void Emitter::listChannels(int node, const ChannelInfo& channels, int count) {
  program_.add(node, ListChannels{count, true, channels.state, const_cast<std::int32_t*>(channels.notZero.index),
                                  const_cast<std::int32_t*>(channels.notZero.count)});
  program_.add(node, ListChannels{count, false, channels.state, const_cast<std::int32_t*>(channels.live.index),
                                  const_cast<std::int32_t*>(channels.live.count)});
}

void Emitter::freshState(int i, const ChannelRule& rule) {
  const int t = input(i), count = shape(output(i)).channels, inChannels = shape(t).channels;
  reads_[std::size_t(i)] = tensors_[std::size_t(t)].channels;
  if (rule.repeat > 1) {  // every position of a channel is an input
    reads_[std::size_t(i)] = newChannels(inChannels * rule.repeat);
    program_.add(i, StateCopy{inChannels, rule.repeat, 0, state(t), reads_[std::size_t(i)].state});
    listChannels(i, reads_[std::size_t(i)], inChannels * rule.repeat);
  }
  StateFromBits args;
  args.channels = count;
  args.bitDepth = parameters().value(i, Role::kBitDepth), args.bias = parameters().value(i, Role::kBias);
  if (rule.depthwise(inChannels)) args.depthwiseInput = state(t), args.multiplier = count / inChannels;
  args.output = channels(output(i)).state;
  program_.add(i, args);
}

void Emitter::mappedState(int i, const ChannelRule& rule) {
  if (rule.normalises) {
    program_.add(i, StateThroughNorm{shape(output(i)).channels, state(input(i)), parameters().value(i, Role::kNormBias),
                                     training() ? nullptr : parameters().value(i, Role::kRunningMean),
                                     channels(output(i)).state});
    return;
  }
  int first = 0;
  for (const ChannelRule::Part& part : rule.parts) {
    program_.add(i, StateCopy{part.count, part.repeat, first, state(input(i, part.input)) + part.first,
                              channels(output(i)).state});
    first += part.count * part.repeat;
  }
}

// States of all inputs in one array, from which each channel of the output takes its own.
void Emitter::joinedState(int i, const ChannelRule& rule) {
  std::vector<int> first;
  int total = 0;
  for (int k = 0; k < inputCount(i); k++) first.push_back(total), total += shape(input(i, k)).channels;
  std::int32_t* all = device().allocate<std::int32_t>(std::size_t(total));
  for (int k = 0; k < inputCount(i); k++)
    program_.add(i, StateCopy{shape(input(i, k)).channels, 1, first[std::size_t(k)], state(input(i, k)), all});
  std::vector<std::int32_t> index;
  const bool join = rule.kind == ChannelRule::Kind::kJoin;
  for (const ChannelRule::Source& s : rule.sources)
    index.push_back(s.input < 0 ? -1 : first[std::size_t(s.input)] + s.channel);
  if (!join) forEachMapped(rule, [&](int, int k, int c) { index.push_back(first[std::size_t(k)] + c); });
  // Constants that are joined may be different ones: such a channel is not known to be one.
  program_.add(i, StateJoin{shape(output(i)).channels, join ? rule.perChannel : 1, constant(index), true, all,
                            channels(output(i)).state});
}

void Emitter::tiedState(int i, const ChannelRule&) {
  const int count = shape(output(i)).channels;
  for (int k = 1; k < inputCount(i); k++)
    program_.add(i, StateOfSum{count, k == 1 ? state(input(i)) : channels(output(i)).state, state(input(i, k)),
                               channels(output(i)).state});
}

void Emitter::stateOf(int i) {
  const ChannelRule rule = node(i).op->channels(context(i));
  const int from = rule.parts.size() == 1 ? input(i, rule.parts[0].input) : input(i);
  const int channels = shape(output(i)).channels, in = shape(from).channels;
  const bool same = rule.kind == ChannelRule::Kind::kMap && !rule.normalises && rule.parts.size() == 1 &&
                    rule.parts[0].repeat == 1 && rule.parts[0].count == in && channels == in && !rule.mixes;
  Tensor& out = tensors_[std::size_t(output(i))];
  if (same) {
    out.channels = tensors_[std::size_t(from)].channels;
    return;
  }
  out.channels = newChannels(channels);
  switch (rule.kind) {
    case ChannelRule::Kind::kFresh:
      freshState(i, rule);
      break;
    case ChannelRule::Kind::kMap:
      if (rule.mixes) joinedState(i, rule);
      else mappedState(i, rule);
      break;
    case ChannelRule::Kind::kJoin:
      joinedState(i, rule);
      break;
    case ChannelRule::Kind::kSum:
    case ChannelRule::Kind::kProduct:
      tiedState(i, rule);
      break;
  }
  listChannels(i, out.channels, channels);
}

void Emitter::emitStates() {
  tensors_[0].channels = newChannels(shape(0).channels);  // zeroed memory: all live
  listChannels(-1, tensors_[0].channels, shape(0).channels);
  for (int i = 0; i < int(in_.network.nodes.size()); i++) stateOf(i);
}

}  // namespace selfcompress
