#include "engine/ops/winograd.h"

#include <algorithm>

namespace selfcompress::engine {
namespace {

// Floats of the points that a task holds: they stay in the second-level cache.
constexpr std::int64_t kTaskFloats = 56 * 1024;
constexpr int kMostTiles = 24;

// Multiplications of vectors of a layer from which on its phases are shared, with a wait after each.
constexpr double kWorthPhases = 40000;

int tilesAlong(int outputs, int ofTile) { return (outputs + ofTile - 1) / ofTile; }
int tilesOf(const Conv2dGeometry& g, int outputs) {
  return tilesAlong(g.outHeight(), outputs) * tilesAlong(g.outWidth(), outputs);
}

// Beside the products at each point, a source channel takes about 10 and a target channel about 7 multiplications to
// transform a point.
double cost(const Conv2dGeometry& g, int outputs) {
  const double points = g.kernelHeight + outputs - 1, in = g.inChannels, out = g.outChannels;
  return tilesOf(g, outputs) * points * points * (in * out + 10 * in + 7 * out);
}

// The tile that takes the least time; larger ones round more, and have to be worth it.
int bestOutputs(const Conv2dGeometry& g, const Kernels& kernels) {
  return kernels.mostPoints >= 8 && g.kernelHeight == 3 && cost(g, 6) < 0.85 * cost(g, 4) ? 6 : 4;
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

double Winograd::costOf(const Conv2dGeometry& g, const Kernels& kernels) { return cost(g, bestOutputs(g, kernels)); }

// Direct sums take more time the more planes they read, which compete for the sets of the cache.
bool Winograd::isWorth(const Conv2dGeometry& g, const Kernels& kernels) {
  const double direct = double(g.outHeight()) * g.outWidth() * g.kernelHeight * g.kernelWidth * g.inChannels *
                        g.outChannels * (1.1 + g.inChannels / 150.0);
  return hasForm(g, kernels) && costOf(g, kernels) < direct;
}

Winograd::Winograd(const Conv2dGeometry& g, const Kernels& kernels)
    : g_(g), taps_(std::int64_t(g.kernelHeight) * g.kernelWidth) {
  form_.outputs = bestOutputs(g, kernels), form_.points = g.kernelHeight + form_.outputs - 1;
  form_.across = tilesAlong(g.outWidth(), form_.outputs);
  area_ = std::int64_t(form_.points) * form_.points, tiles_ = tilesOf(g, form_.outputs);
  const std::int64_t perTile = area_ * kBlock * (std::int64_t(g.inChannels) + g.outChannels);
  const int most = int(std::clamp<std::int64_t>(kTaskFloats / perTile, 4, kMostTiles));
  const int tasks = (tiles_ + most - 1) / most;
  perTask_ = (tiles_ + tasks - 1) / tasks;
  const int groups = (perTask_ + 3) / 4;
  group_ = (perTask_ + groups - 1) / groups;
  blockChannels_ = kernels.tileSums / group_;
}

void Winograd::makePanel(const Weights& weights, const Kernels& kernels, float* panel, float* rows) const {
  const std::int64_t perChannel = taps_ * g_.inChannels;
  for (int first = 0; first < g_.outChannels; first += blockChannels_) {
    const int count = std::min(blockChannels_, g_.outChannels - first);
    for (int o = 0; o < count; o++) weights.unpack(first + o, rows + o * perChannel);
    TileWeights w;
    w.points = form_.points, w.size = g_.kernelHeight, w.rowStride = perChannel, w.outputs = count;
    w.pointStride = std::int64_t(g_.inChannels) * g_.outChannels;
    for (int c = 0; c < g_.inChannels; c++) {
      w.rows = rows + c * taps_, w.to = panel + std::int64_t(first) * g_.inChannels + std::int64_t(c) * count;
      kernels.tileWeights(w);
    }
  }
}

TileRange Winograd::rangeOf(int first, int count) const {
  TileRange tiles = form_;
  tiles.first = first, tiles.count = count;
  return tiles;
}

void Winograd::transformInput(const Run& r, const TileRange& tiles, std::int64_t c, float* source) const {
  r.kernels.tileInputs({tiles, r.inputs[0] + c * g_.height * g_.width * kBlock, g_.height, g_.width, g_.padH, g_.padW,
                        source + c * perTask_ * kBlock, sourceStride()});
}

void Winograd::multiplyPoint(const Run& r, std::int64_t point, int count, const float* panel, float* scratch) const {
  r.kernels.tileProducts({scratch + point * sourceStride(), panel + point * g_.inChannels * g_.outChannels,
                          targetIn(scratch) + point * targetStride(), std::int64_t(perTask_) * kBlock, g_.inChannels,
                          g_.outChannels, count, group_});
}

void Winograd::transformOutput(const Run& r, const TileRange& tiles, std::int64_t o, float* scratch,
                               const EpilogueView& epilogue) const {
  const int height = g_.outHeight(), width = g_.outWidth();
  r.kernels.tileOutputs({tiles, targetIn(scratch) + o * perTask_ * kBlock, targetStride(),
                         r.output + o * height * width * kBlock, height, width, ofChannel(epilogue, o)});
}

void Winograd::runTiles(const Run& r, const float* panel, float* scratch, const EpilogueView& epilogue, int first,
                        int last) const {
  for (int count; first < last; first += count) {
    count = std::min(perTask_, last - first);
    const TileRange tiles = rangeOf(first, count);
    for (std::int64_t c = 0; c < g_.inChannels; c++) transformInput(r, tiles, c, scratch);
    for (std::int64_t point = 0; point < area_; point++) multiplyPoint(r, point, count, panel, scratch);
    for (std::int64_t o = 0; o < g_.outChannels; o++) transformOutput(r, tiles, o, scratch, epilogue);
  }
}

// All tiles at once; channels, points and channels again are shared.
void Winograd::runPhases(const Run& r, const float* panel, float* scratch, const EpilogueView& epilogue) const {
  const TileRange tiles = rangeOf(0, tiles_);
  auto each = [&](std::int64_t count, auto&& task) {
    const std::int64_t parts = std::min<std::int64_t>(r.parallel.threads, count);
    r.parallel.run(parts, [&](std::int64_t part) {
      for (std::int64_t i = count * part / parts; i < count * (part + 1) / parts; i++) task(i);
    });
  };
  each(g_.inChannels, [&](std::int64_t c) { transformInput(r, tiles, c, scratch); });
  each(area_, [&](std::int64_t point) { multiplyPoint(r, point, tiles_, panel, scratch); });
  each(g_.outChannels, [&](std::int64_t o) { transformOutput(r, tiles, o, scratch, epilogue); });
}

void Winograd::run(const Run& r, const float* panel, float* scratch, const EpilogueView& epilogue) const {
  const std::int64_t groups = (tiles_ + group_ - 1) / group_;
  if (groups < r.parallel.threads && tiles_ <= perTask_ && cost(g_, form_.outputs) > kWorthPhases)
    return runPhases(r, panel, scratch, epilogue);
  const std::int64_t workers = std::clamp<std::int64_t>(r.parallel.threads, 1, groups);
  r.parallel.run(workers, [&](std::int64_t w) {
    thread_local std::vector<float> own;
    float* memory = scratch;
    if (w > 0) own.resize(std::max(own.size(), std::size_t(scratchFloats()))), memory = own.data();
    const int first = int(groups * w / workers) * group_, last = int(groups * (w + 1) / workers) * group_;
    runTiles(r, panel, memory, epilogue, first, std::min(last, tiles_));
  });
}

}  // namespace selfcompress::engine
