// Which channels live: states and lists, from each operator's channel rule.
#include <numeric>

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

// A unit whose candidate is zero is zero. A constant that is not starts something, and what comes of it varies.
void Emitter::recurrentState(int i, const ChannelRule& rule) {
  const int units = shape(output(i)).channels, first = rule.recurrence.candidate * units;
  const float *bits = parameters().value(i, Role::kBitDepth), *bias = parameters().value(i, Role::kBias);
  auto states = [&](int count) { return device().allocate<std::int32_t>(std::size_t(count)); };
  std::int32_t *own = states(units), *candidates = states(units), *rows = states(rule.rows(units));
  program_.add(i, StateFromBits{units, bits ? bits + first : nullptr, bias ? bias + first : nullptr, nullptr, 1, own});
  program_.add(i, StateOfSum{units, state(input(i)) + first, own, candidates});
  std::vector<std::int32_t> index(static_cast<std::size_t>(units));
  std::iota(index.begin(), index.end(), 0);
  program_.add(i, StateJoin{units, 1, constant(index), true, candidates, channels(output(i)).state});
  for (int gate = 0; gate < rule.recurrence.gates; gate++)
    program_.add(i, StateCopy{units, 1, gate * units, state(output(i)), rows});
  recurrentStates_[std::size_t(i)] = {rows, candidates};
}

void Emitter::mappedState(int i, const ChannelRule& rule) {
  if (rule.normalises) {
    program_.add(i, StateThroughNorm{shape(output(i)).channels, state(input(i)), parameters().value(i, Role::kNormBias),
                                     training() ? nullptr : parameters().value(i, Role::kRunningMean),
                                     channels(output(i)).state});
    return;
  }
  if (rule.mixing == ChannelRule::Mixing::kAll) return;  // zeroed memory: all live
  if (rule.mixing != ChannelRule::Mixing::kNone) {
    program_.add(i, StateThroughLayerNorm{shape(output(i)).channels, rule.mixing == ChannelRule::Mixing::kRmsNorm,
                                          state(input(i)), parameters().value(i, Role::kNormWeight),
                                          parameters().value(i, Role::kNormBias), channels(output(i)).state});
    return;
  }
  if (!rule.keepsZero) {
    program_.add(i,
                 StateThroughActivation{shape(output(i)).channels, false, state(input(i)), channels(output(i)).state});
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

void Emitter::tiedState(int i, const ChannelRule& rule) {
  const int count = shape(output(i)).channels;
  std::int32_t* const out = channels(output(i)).state;
  // The state of an input for every channel of the output.
  auto stateOfInput = [&](int k) {
    const int t = input(i, k);
    if (shape(t).channels == count) return state(t);
    std::int32_t* repeated = device().allocate<std::int32_t>(std::size_t(count));
    program_.add(i, StateCopy{1, count, 0, state(t), repeated});
    return static_cast<const std::int32_t*>(repeated);
  };
  const std::int32_t* a = stateOfInput(0);
  for (int k = 1; k < inputCount(i); k++) {
    const std::int32_t* b = stateOfInput(k);
    if (rule.onlyFirst) {  // the others divide: zeros among them are constants that are not
      std::int32_t* divisor = device().allocate<std::int32_t>(std::size_t(count));
      program_.add(i, StateThroughActivation{count, false, b, divisor});
      b = divisor;
    }
    if (rule.kind == ChannelRule::Kind::kSum) program_.add(i, StateOfSum{count, a, b, out});
    else program_.add(i, StateOfProduct{count, a, b, false, out});
    a = out;
  }
}

void Emitter::stateOf(int i) {
  const ChannelRule rule = node(i).op->channels(context(i));
  const int from = rule.parts.size() == 1 ? input(i, rule.parts[0].input) : input(i);
  const int channels = shape(output(i)).channels, in = shape(from).channels;
  const bool through = !rule.normalises && !rule.varies && rule.keepsZero && rule.mixing == ChannelRule::Mixing::kNone;
  const bool same = rule.kind == ChannelRule::Kind::kMap && through && rule.parts.size() == 1 &&
                    rule.parts[0].repeat == 1 && rule.parts[0].count == in && channels == in;
  Tensor& out = tensors_[std::size_t(output(i))];
  if (same) {
    out.channels = tensors_[std::size_t(from)].channels;
    return;
  }
  out.channels = newChannels(channels);
  switch (rule.kind) {
    case ChannelRule::Kind::kFresh:
      if (rule.recurs()) recurrentState(i, rule);
      else freshState(i, rule);
      break;
    case ChannelRule::Kind::kMap:
      if (rule.varies) joinedState(i, rule);
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
