#include "train/rate.h"

#include <map>

namespace selfcompress {
namespace {

// A row or column of a layer.
struct Slice {
  int node = 0, index = 0;
  auto operator<=>(const Slice&) const = default;
};

// One layer's counts and what they are taken from.
struct Layer {
  RateCounts counts;
  std::vector<std::vector<Slice>> readers, makers;  // columns that read each of its rows, rows that make each column
  int columns() const { return int(counts.groups * counts.perChannel / counts.kernelArea); }
};

RateCounts countsOf(Emitter& e, const ChannelRule& rule, int i, double originalWeights, float* layerBits) {
  const Parameters& p = e.parameters();
  const Parameter &weight = *p.find(i, Role::kWeight), &bits = *p.find(i, Role::kBitDepth);
  RateCounts args;
  args.channels = int(bits.count), args.groups = rule.groups, args.perChannel = weight.count / bits.count;
  args.kernelArea = rule.kernelArea;
  args.weight = weight.value, args.bitDepth = bits.value, args.exponent = p.value(i, Role::kExponent);
  args.inputState = rule.readsNothing ? nullptr : e.state(rule.recurs() ? e.output(i) : e.input(i));
  args.inputRepeat = rule.repeat;
  args.originalWeights = originalWeights, args.layerBits = layerBits + i;
  args.rows = e.device().allocate<RateCount>(std::size_t(args.channels));
  args.columns = e.device().allocate<RateCount>(std::size_t(args.groups * args.perChannel / args.kernelArea));
  args.lengths = e.device().allocate<RateLengths>(1);
  return args;
}

// Which columns of which layers read each row, and the other way round. Readers that do not compress have no codes.
void connect(const ChannelAnalysis& channels, std::vector<Layer>& layers) {
  for (int i = 0; i < int(layers.size()); i++) {
    Layer& maker = layers[std::size_t(i)];
    if (!maker.counts.rows) continue;
    const std::vector<std::vector<Reader>> readers = channels.readersOfRows(i);
    for (int row = 0; row < int(readers.size()); row++)
      for (const Reader& slice : readers[std::size_t(row)]) {
        Layer& reader = layers[std::size_t(slice.node)];
        if (!reader.counts.columns) continue;
        maker.readers[std::size_t(row)].push_back({slice.node, slice.input});
        reader.makers[std::size_t(slice.input)].push_back({i, row});
      }
  }
}

// A layer's rows or columns in sets that keep a channel together, and what leaves with it.
class Sets {
 public:
  void add(const std::vector<const RateCount*>& members, const std::vector<RateSlice>& freed) {
    members_.insert(members_.end(), members.begin(), members.end());
    freed_.insert(freed_.end(), freed.begin(), freed.end());
    memberStart_.push_back(std::int32_t(members_.size())), freedStart_.push_back(std::int32_t(freed_.size()));
  }
  RateSets emit(Emitter& e, const std::vector<std::int32_t>& of) const {
    return {e.constant(of), e.constant(members_), e.constant(freed_), e.constant(memberStart_),
            e.constant(freedStart_)};
  }

 private:
  std::vector<const RateCount*> members_;
  std::vector<RateSlice> freed_;
  std::vector<std::int32_t> memberStart_{0}, freedStart_{0};
};

// Each row alone: one that is gone is gone for all its readers.
RateSets rowSets(Emitter& e, const std::vector<Layer>& layers, const Layer& layer) {
  Sets sets;
  std::vector<std::int32_t> of;
  int count = 0;
  for (std::size_t row = 0; row < layer.readers.size(); row++) {
    of.push_back(layer.readers[row].empty() ? -1 : count);
    if (layer.readers[row].empty()) continue;
    std::vector<RateSlice> freed;
    for (const Slice& s : layer.readers[row]) {
      const RateCounts& reader = layers[std::size_t(s.node)].counts;
      freed.push_back({reader.columns + s.index, reader.lengths});
    }
    sets.add({layer.counts.rows + row}, freed), count++;
  }
  return sets.emit(e, of);
}

// All columns that the same rows make: those have readers until the last is gone.
RateSets columnSets(Emitter& e, const std::vector<Layer>& layers, const Layer& layer) {
  std::map<std::vector<Slice>, std::vector<int>> columnsOf;  // by the rows that make them
  for (int j = 0; j < int(layer.makers.size()); j++) columnsOf[layer.makers[std::size_t(j)]].push_back(j);
  Sets sets;
  std::vector<std::int32_t> of(layer.makers.size(), -1);
  int count = 0;
  for (const auto& [makers, columns] : columnsOf) {
    if (makers.empty()) continue;
    std::vector<const RateCount*> members;
    std::vector<RateSlice> freed;
    for (int j : columns) of[std::size_t(j)] = count, members.push_back(layer.counts.columns + j);
    for (const Slice& s : makers) {
      const RateCounts& maker = layers[std::size_t(s.node)].counts;
      freed.push_back({maker.rows + s.index, maker.lengths});
    }
    sets.add(members, freed), count++;
  }
  return sets.emit(e, of);
}

void emitSlopes(Emitter& e, int i, const std::vector<Layer>& layers, float coupling) {
  const Layer& layer = layers[std::size_t(i)];
  const RateCounts& c = layer.counts;
  RatePenalty args;
  args.channels = c.channels, args.groups = c.groups, args.perChannel = c.perChannel, args.kernelArea = c.kernelArea;
  args.inputState = c.inputState, args.inputRepeat = c.inputRepeat, args.originalWeights = c.originalWeights;
  args.coupling = coupling, args.gamma = &e.scalars()->gamma;
  args.lengths = c.lengths;
  args.rowSets = rowSets(e, layers, layer), args.columnSets = columnSets(e, layers, layer);
  args.slope = e.device().allocate<float>(2);
  args.row = e.device().allocate<float>(std::size_t(c.channels));
  args.element = e.device().allocate<float>(std::size_t(c.groups * c.perChannel));
  e.program().add(i, args);
  e.rate(i) = {{args.slope, args.row, args.element, c.groups}, c.rows};
}

}  // namespace

void emitRate(Emitter& e, const NetworkDescription& network, const ChannelAnalysis& channels,
              const NetworkOptions& options, double originalWeights, float* layerBits) {
  std::vector<Layer> layers(network.nodes.size());
  for (int i = 0; i < int(layers.size()); i++) {
    if (!e.parameters().find(i, Role::kBitDepth)) continue;
    Layer& layer = layers[std::size_t(i)];
    layer.counts = countsOf(e, channels.rule(i), i, originalWeights, layerBits);
    layer.readers.resize(std::size_t(layer.counts.channels));
    layer.makers.resize(std::size_t(layer.columns()));
    e.program().add(i, layer.counts);
  }
  connect(channels, layers);
  for (int i = 0; i < int(layers.size()); i++)
    if (layers[std::size_t(i)].counts.rows) emitSlopes(e, i, layers, options.coupling);
}

}  // namespace selfcompress
