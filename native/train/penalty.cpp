#include "train/penalty.h"

#include "train/rate.h"

#include <map>

namespace selfcompress {
namespace {

// The slices of other layers that leave with each channel of a layer, as BitPenalty wants them: those of one group of
// one layer, so many times, are one reader.
void addReaders(Emitter& e, const ChannelAnalysis& channels, int i, BitPenalty& args) {
  std::map<std::tuple<int, int, int>, int> known;  // node, group, times -> index
  std::vector<PenaltyReader> readers;
  std::vector<std::int32_t> start{0}, index;
  for (const std::vector<Reader>& slices : channels.readersOfRows(i)) {
    std::map<std::pair<int, int>, int> times;
    for (const Reader& slice : slices) {
      const ChannelRule& rule = channels.rule(slice.node);
      const int inputs = e.shape(e.input(slice.node)).channels * rule.repeat;
      times[{slice.node, slice.input / (inputs / rule.groups)}]++;
    }
    for (const auto& [slice, count] : times) {
      auto [at, isNew] = known.try_emplace({slice.first, slice.second, count}, int(readers.size()));
      if (isNew) {
        const ChannelRule& rule = channels.rule(slice.first);
        const int outs = rule.rows(e.shape(e.output(slice.first)).channels) / rule.groups;
        const float* bitDepth = e.parameters().value(slice.first, Role::kBitDepth);
        readers.push_back({bitDepth ? bitDepth + slice.second * outs : nullptr, outs, float(count * rule.kernelArea)});
      }
      index.push_back(at->second);
    }
    start.push_back(std::int32_t(index.size()));
  }
  args.readerCount = int(readers.size());
  args.readers = e.constant(readers);
  args.start = e.constant(start), args.index = e.constant(index);
  args.readerBits = e.device().allocate<double>(readers.empty() ? 1 : readers.size());
}

}  // namespace

void emitPenalty(Emitter& e, const NetworkDescription& network, const ChannelAnalysis& channels,
                 const NetworkOptions& options, double originalWeights, float* layerBits) {
  for (int i = 0; i < int(network.nodes.size()); i++) {
    if (!e.node(i).op->isWeightLayer) continue;
    if (options.penalty == SizePenalty::kRate && e.parameters().find(i, Role::kBitDepth)) continue;
    const ChannelRule& rule = channels.rule(i);
    BitPenalty args;
    args.channels = rule.rows(e.shape(e.output(i)).channels);
    args.bitDepth = e.parameters().value(i, Role::kBitDepth);
    args.kernelArea = rule.kernelArea * rule.repeat, args.groups = rule.groups;
    const int read = rule.recurs() ? e.output(i) : e.input(i);
    args.inChannels = rule.readsNothing ? 1 : e.shape(read).channels;
    args.inputState = rule.readsNothing ? nullptr : e.state(read);
    args.originalWeights = originalWeights;
    args.gamma = &e.scalars()->gamma;
    args.layerBits = layerBits + i;
    if (args.bitDepth) {
      float* penalty = e.device().allocate<float>(std::size_t(args.channels));
      args.penalty = penalty;
      e.setPenalty(i, penalty);
      if (options.penalty == SizePenalty::kCoupled) addReaders(e, channels, i, args);
    }
    e.program().add(i, args);
  }
  if (options.penalty == SizePenalty::kRate) emitRate(e, network, channels, options, originalWeights, layerBits);
}

}  // namespace selfcompress
