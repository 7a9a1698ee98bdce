#include "engine/ops/winograd.h"

#include <algorithm>

namespace selfcompress::engine {
namespace {

// Floats of the points that a task holds: they stay in the second-level cache.
constexpr std::int64_t kTaskFloats = 56 * 1024;
constexpr int kMostTiles = 24;

// Of one image, the share of the time of direct sums below which this form is worth its larger weights.
constexpr double kWorthPoints = 0.85;

int tilesAlong(int outputs, int ofTile) { return (outputs + ofTile - 1) / ofTile; }
int tilesOf(const Conv2dGeometry& g, int outputs) {
  return tilesAlong(g.outHeight(), outputs) * tilesAlong(g.outWidth(), outputs);
}

// Beside the products at each point, a source channel takes about 10 and a target channel about 7 multiplications to
// transform a point; of one image, where a tile has few vectors, twice as many (measured on layers of 8 to 64
// channels).
double multiplications(const Conv2dGeometry& g, int outputs, const Kernels& kernels, Layout layout) {
  const double points = g.kernelHeight + outputs - 1, tiles = tilesOf(g, outputs), in = g.inChannels;
  if (layout == Layout::kLanes) {
    const double out = g.outChannels;
    return tiles * points * points * (in * out + 10 * in + 7 * out) * (16.0 / kernels.width);
  }
  const double inVectors = double(tilesAlong(g.inChannels, kernels.width)),
               outVectors = double(tilesAlong(g.outChannels, kernels.width));
  return tiles * points * points * (in * outVectors + 20 * inVectors + 18 * outVectors) +
         readCost(points * points * in * outVectors * kernels.width, kernels);
}

// The tile that takes the least time; larger ones round more, and have to be worth it.
int bestOutputs(const Conv2dGeometry& g, const Kernels& kernels, Layout layout) {
  const bool larger = kernels.mostPoints >= 8 && g.kernelHeight == 3;
  return larger && multiplications(g, 6, kernels, layout) < 0.85 * multiplications(g, 4, kernels, layout) ? 6 : 4;
}

bool hasForm(const Conv2dGeometry& g, const Kernels& kernels) {
  const int size = g.kernelHeight;
  return (size == 3 || (size == 5 && kernels.mostPoints >= 8)) && g.kernelWidth == size && g.strideH == 1 &&
         g.strideW == 1 && g.dilationH == 1 && g.dilationW == 1 && g.groups == 1;
}

EpilogueView ofChannel(EpilogueView view, std::int64_t channel) {
  for (const float** values : {&view.bias, &view.scale, &view.shift})
    if (*values) *values += channel;
  return view;
}

}  // namespace

double readCost(double weights, const Kernels& kernels) {
  constexpr double kOfVector = 3;  // multiplications of vectors
  return weights * sizeof(float) > kSecondCache ? kOfVector * weights / kernels.width : 0;
}

bool Winograd::isWorth(const Conv2dGeometry& g, const Kernels& kernels, Layout layout) {
  if (!hasForm(g, kernels)) return false;
  const double taps = double(g.kernelHeight) * g.kernelWidth * g.inChannels,
               pixels = double(g.outHeight()) * g.outWidth(),
               form = multiplications(g, bestOutputs(g, kernels, layout), kernels, layout);
  // Direct sums of blocks take more time the more planes they read, which compete for the sets of the cache.
  if (layout == Layout::kLanes)
    return form < pixels * taps * g.outChannels * (16.0 / kernels.width) * (1.1 + g.inChannels / 150.0);
  const double weights = taps * double(roundUp(g.outChannels, kernels.width));
  return form < kWorthPoints * (pixels * weights / kernels.width + readCost(weights, kernels));
}

Winograd::Winograd(const Conv2dGeometry& g, const Kernels& kernels, Layout layout)
    : g_(g), layout_(layout), taps_(std::int64_t(g.kernelHeight) * g.kernelWidth) {
  form_.outputs = bestOutputs(g, kernels, layout), form_.points = g.kernelHeight + form_.outputs - 1;
  form_.across = tilesAlong(g.outWidth(), form_.outputs);
  cost_ = multiplications(g, form_.outputs, kernels, layout);
  const int vector = blocks() ? 1 : kernels.width;
  inFloats_ = roundUp(g.inChannels, vector), outFloats_ = roundUp(g.outChannels, vector);
  area_ = std::int64_t(form_.points) * form_.points, tiles_ = tilesOf(g, form_.outputs);
  const std::int64_t perTile = area_ * imagesOf(layout) * (inFloats_ + outFloats_);
  const int most = int(std::clamp<std::int64_t>(kTaskFloats / perTile, 4, kMostTiles));
  int tasks = (tiles_ + most - 1) / most;
  // Tasks of one image are what threads share: an even number of them, where they are not too small.
  if (!blocks() && tiles_ >= 8) tasks += tasks % 2;
  perTask_ = (tiles_ + tasks - 1) / tasks;
  const int groups = (perTask_ + 3) / 4;
  group_ = blocks() ? (perTask_ + groups - 1) / groups : perTask_;
  blockChannels_ = blocks() ? kernels.tileSums / group_ : kernels.tileVectors * kernels.width;
}

void Winograd::makePanel(const Weights& weights, const Kernels& kernels, float* panel, float* rows) const {
  const std::int64_t perChannel = taps_ * g_.inChannels;
  if (outFloats_ > g_.outChannels) std::fill_n(panel, panelFloats(), 0.0f);
  for (int first = 0; first < g_.outChannels; first += blockChannels_) {
    const int count = std::min(blockChannels_, g_.outChannels - first);
    const std::int64_t step = std::min<std::int64_t>(blockChannels_, outFloats_ - first);
    for (int o = 0; o < count; o++) weights.unpack(first + o, rows + o * perChannel);
    TileWeights w;
    w.points = form_.points, w.size = g_.kernelHeight, w.rowStride = perChannel, w.outputs = count;
    w.pointStride = pointFloats();
    for (int c = 0; c < g_.inChannels; c++) {
      w.rows = rows + c * taps_, w.to = panel + std::int64_t(first) * g_.inChannels + c * step;
      kernels.tileWeights(w);
    }
  }
}

TileRange Winograd::rangeOf(int first, int count, int channels) const {
  TileRange tiles = form_;
  tiles.first = first, tiles.count = count, tiles.lanes = blocks() ? kBlock : channels;
  return tiles;
}

void Winograd::transformInput(const Run& r, int first, int count, std::int64_t i, float* source) const {
  if (blocks())
    r.kernels.tileInputs({rangeOf(first, count, 0), r.inputs[0] + i * g_.height * g_.width * kBlock, g_.height,
                          g_.width, g_.padH, g_.padW, source + i * perTask_ * kBlock, sourceStride()});
  else
    r.kernels.tileInputs({rangeOf(first + int(i), 1, g_.inChannels), r.inputs[0], g_.height, g_.width, g_.padH, g_.padW,
                          source + i * inFloats_, sourceStride()});
}

void Winograd::multiplyPoint(const Run& r, std::int64_t point, int count, const float* panel, float* scratch,
                             Share share) const {
  const float* const source = scratch + point * sourceStride();
  float* const target = targetIn(scratch) + point * targetStride();
  panel += point * pointFloats();
  if (blocks()) {
    r.kernels.tileProducts(
        {source, panel, target, std::int64_t(perTask_) * kBlock, g_.inChannels, g_.outChannels, count, group_});
    return;
  }
  static constexpr std::int64_t kNoStep = 0;
  ChannelRow row;
  row.input = source, row.pixelStep = inFloats_, row.runs = &kNoStep, row.runCount = 1, row.runLength = g_.inChannels;
  row.panel = panel, row.output = target, row.outputStep = outFloats_;
  row.pixels = count, row.channels = int(outFloats_), row.firstTile = share.first, row.lastTile = share.last;
  r.kernels.channelRow(row);
}

void Winograd::transformOutput(const Run& r, int first, int count, std::int64_t i, float* scratch,
                               const EpilogueView& epilogue, Share share) const {
  const int height = g_.outHeight(), width = g_.outWidth();
  if (blocks())
    r.kernels.tileOutputs({rangeOf(first, count, 0), targetIn(scratch) + i * perTask_ * kBlock, targetStride(),
                           r.output + i * height * width * kBlock, height, width, false, 0, kBlock,
                           ofChannel(epilogue, i)});
  else
    r.kernels.tileOutputs({rangeOf(first + int(i), 1, g_.outChannels), targetIn(scratch) + i * outFloats_,
                           targetStride(), r.output, height, width, true, share.first * blockChannels_,
                           std::min(share.last * blockChannels_, g_.outChannels), epilogue});
}

// each(count, task): calls task(0) .. task(count - 1) and waits for them.
template <class Each>
void Winograd::runTask(const Run& r, const float* panel, float* scratch, const EpilogueView& epilogue, int first,
                       int count, Share share, Each each) const {
  each(blocks() ? g_.inChannels : count, [&](std::int64_t i) { transformInput(r, first, count, i, scratch); });
  each(area_, [&](std::int64_t point) { multiplyPoint(r, point, count, panel, scratch, share); });
  each(blocks() ? g_.outChannels : count,
       [&](std::int64_t i) { transformOutput(r, first, count, i, scratch, epilogue, share); });
}

void Winograd::runTiles(const Run& r, const float* panel, float* scratch, const EpilogueView& epilogue, int first,
                        int last, Share share) const {
  for (; first < last; first += perTask_)
    runTask(r, panel, scratch, epilogue, first, std::min(perTask_, last - first), share,
            [](std::int64_t count, auto&& task) {
              for (std::int64_t i = 0; i < count; i++) task(i);
            });
}

void Winograd::run(const Run& r, const float* panel, float* scratch, const EpilogueView& epilogue) const {
  const std::int64_t groups = (tiles_ + group_ - 1) / group_;
  const Share all{0, tilesAlong(int(outFloats_), blockChannels_)};
  const bool fewTiles = r.parallel.threads > 1 && groups < r.parallel.threads && tiles_ <= perTask_ &&
                        cost_ * r.kernels.width > kWorthSharing.inPhases;
  // All tiles at once; channels, points and again channels are shared, with a wait after each.
  if (fewTiles && blocks())
    return runTask(r, panel, scratch, epilogue, 0, tiles_, all, [&](std::int64_t count, auto&& task) {
      r.parallel.ranges(count, r.parallel.threads, [&](std::int64_t begin, std::int64_t end) {
        for (; begin < end; begin++) task(begin);
      });
    });
  // Of one image output channels are: inputs, which are few, are transformed by each thread, and none waits for
  // another.
  const std::int64_t shared = fewTiles ? all.last : groups;
  r.parallel.ranges(shared, std::max(r.parallel.threads, 1), [&](std::int64_t begin, std::int64_t end) {
    thread_local std::vector<float> own;
    float* memory = scratch;
    if (begin > 0) own.resize(std::max(own.size(), std::size_t(scratchFloats()))), memory = own.data();
    if (fewTiles) return runTiles(r, panel, memory, epilogue, 0, tiles_, {int(begin), int(end)});
    runTiles(r, panel, memory, epilogue, int(begin) * group_, std::min(int(end) * group_, tiles_), all);
  });
}

}  // namespace selfcompress::engine
