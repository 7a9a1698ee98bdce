#include "train/rate.h"

namespace selfcompress {
namespace {

// One layer's counts and what they are taken from.
struct Layer {
  RateCounts counts;
  std::vector<std::vector<RateSlice>> readers, makers;  // of its rows, of its columns
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
    for (std::size_t row = 0; row < readers.size(); row++)
      for (const Reader& slice : readers[row]) {
        Layer& reader = layers[std::size_t(slice.node)];
        if (!reader.counts.columns) continue;
        maker.readers[row].push_back({reader.counts.columns + slice.input, reader.counts.lengths});
        reader.makers[std::size_t(slice.input)].push_back({maker.counts.rows + row, maker.counts.lengths});
      }
  }
}

const RateSlice* flatten(Emitter& e, const std::vector<std::vector<RateSlice>>& lists, const std::int32_t*& start) {
  std::vector<RateSlice> slices;
  std::vector<std::int32_t> starts{0};
  for (const std::vector<RateSlice>& list : lists) {
    slices.insert(slices.end(), list.begin(), list.end());
    starts.push_back(std::int32_t(slices.size()));
  }
  start = e.constant(starts);
  return e.constant(slices);
}

void emitSlopes(Emitter& e, int i, const Layer& layer, float coupling) {
  const RateCounts& c = layer.counts;
  RatePenalty args;
  args.channels = c.channels, args.groups = c.groups, args.perChannel = c.perChannel, args.kernelArea = c.kernelArea;
  args.inputState = c.inputState, args.inputRepeat = c.inputRepeat, args.originalWeights = c.originalWeights;
  args.coupling = coupling, args.gamma = &e.scalars()->gamma;
  args.rows = c.rows, args.columns = c.columns, args.lengths = c.lengths;
  args.readers = flatten(e, layer.readers, args.readerStart);
  args.makers = flatten(e, layer.makers, args.makerStart);
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
    if (layers[std::size_t(i)].counts.rows) emitSlopes(e, i, layers[std::size_t(i)], options.coupling);
}

}  // namespace selfcompress
