// Forward convolution and data gradient by Winograd's minimal filtering. Some tiles at a time: transform every source
// channel, multiply channel by channel at each point (kernels/products.h), transform back. What a task holds in between
// stays in the second-level cache.
#include <algorithm>

#include "cpu/conv2d_pass.h"
#include "cpu/cpu_backend.h"
#include "cpu/moments.h"

namespace selfcompress::cpu {
namespace {

// Floats of transformed tiles, source and target together, that one task holds.
constexpr std::int64_t kTileFloats = 56 * 1024;

// Panels [point][out block][term][count]: the filters of a block, in that order, side by side at each point.
void packFilters(const Pass& pass, const OutBlock& block, const Kernels& kernels, std::int64_t pointStride) {
  const PassPlan& plan = pass.plan;
  WinogradFilters filters;
  auto pack = plan.pairs ? kernels.pairs.winogradPack : kernels.winogradPack;
  filters.size = plan.geometry.kernelHeight, filters.points = plan.form.points, filters.turned = !plan.forward;
  filters.memoryEnd = pass.weights.end;
  float* to = pass.panels + block.panel;
  auto flush = [&] {
    if (filters.count) pack(filters, to, pointStride);
    to += filters.count;
    filters.count = 0;
  };
  const std::vector<int>& reduced = plan.reduced[0];
  for (std::size_t r = 0; r < reduced.size(); r += plan.pairs ? 2 : 1)
    for (int o = 0; o < block.count; o++) {
      filters.taps[filters.count] = pass.filter(block, reduced[r], o);
      if (plan.pairs)
        filters.second[filters.count] = r + 1 < reduced.size() ? pass.filter(block, reduced[r + 1], o) : WeightSource{};
      if (++filters.count == 16) flush();
    }
  flush();
}

// Floats from one point of all panels to the next.
std::int64_t panelStride(const PassPlan& plan) {
  return std::int64_t(plan.terms()) * std::int64_t(plan.outs[0].size());
}

// Floats from one point to the next of `channels` channels of a task's tiles: an odd number of vectors, since the
// points of a channel would otherwise compete for the same few sets of the first-level cache.
std::int64_t pointStride(std::int64_t channels, const PassPlan& plan) {
  return (channels * plan.tilesPerTask | 1) * kLanes;
}

void multiply(const Pass& pass, const Kernels& kernels, int count, const float* from, float* to) {
  const PassPlan& plan = pass.plan;
  Products products;
  products.source = from, products.panel = pass.panels, products.target = to;
  products.termStride = products.outStride = plan.tilesPerTask * kLanes;
  products.sourceStride = products.targetStride = kLanes;
  products.terms = plan.terms(), products.positions = count;
  products.blocks = plan.productBlocks.data(), products.blockCount = int(plan.productBlocks.size());
  products.points = plan.form.area();
  products.sourcePoint = pointStride(plan.terms(), plan), products.panelPoint = panelStride(plan);
  products.targetPoint = pointStride(std::int64_t(plan.outs[0].size()), plan);
  (plan.pairs ? kernels.pairs.products : kernels.products)(products);
}

// Some tiles of the target, in three steps through memory of this task.
class TileTask {
 public:
  TileTask(const Pass& pass, const Kernels& kernels, std::int64_t first, int count)
      : pass_(pass), plan_(pass.plan), kernels_(kernels), first_(first), count_(count) {}

  // Floats of the transformed tiles of a task.
  static std::int64_t sourceFloats(const PassPlan& plan) { return pointStride(plan.terms(), plan) * plan.form.area(); }
  static std::int64_t targetFloats(const PassPlan& plan) {
    return pointStride(std::int64_t(plan.outs[0].size()), plan) * plan.form.area();
  }

  // `from`: sourceFloats and then targetFloats.
  void run(float* from) {
    float* to = from + sourceFloats(plan_);
    transformSource(from);
    multiply(pass_, kernels_, count_, from, to);
    transformTarget(to);
  }

 private:
  using Places = WinogradTile[kMostTiles];

  WinogradTiles tilesOf(Places& places, Shape shape, int padH, int padW, std::int64_t channels) const {
    for (int t = 0; t < count_; t++) places[t] = plan_.form.tile(first_ + t, plan_.target, shape, padH, padW);
    return {
        places, count_, shape.height, shape.width, plan_.form.points, plan_.form.outputs, pointStride(channels, plan_)};
  }

  void transformSource(float* from) const {
    const std::vector<int>& reduced = plan_.reduced[0];
    const Conv2dGeometry& g = plan_.geometry;
    int padH = plan_.forward ? g.padH : g.kernelHeight - 1 - g.padH,
        padW = plan_.forward ? g.padW : g.kernelWidth - 1 - g.padW;
    Places places;
    WinogradTiles tiles = tilesOf(places, plan_.source, padH, padW, plan_.terms());
    auto transform = plan_.pairs ? kernels_.pairs.winogradInput : kernels_.winogradInput;
    for (std::size_t r = 0; r < reduced.size(); r++) {
      std::int64_t plane = std::int64_t(plan_.source.pixels()) * kLanes;
      tiles.ahead = planesAhead(reduced, r) * plane;
      if (plan_.pairs)
        tiles.pairing = r % 2                    ? WinogradTiles::kSecond
                        : r + 1 < reduced.size() ? WinogradTiles::kFirst
                                                 : WinogradTiles::kAlone;
      transform(tiles, pass_.sourceData + reduced[r] * plane,
                from + std::int64_t(plan_.pairs ? r / 2 : r) * plan_.tilesPerTask * kLanes);
    }
  }

  // What these tiles cover of a plane of the target, rows of neighbouring tiles in one piece.
  int momentRuns(const WinogradTiles& tiles, MomentRun* runs) const {
    const Shape target = plan_.target;
    int count = 0;
    for (int t = 0; t < tiles.count;) {
      const WinogradTile& first = tiles.tiles[t];
      int right = 0, bottom = std::min(first.y + tiles.outputs, target.height);
      for (; t < tiles.count && tiles.tiles[t].y == first.y && tiles.tiles[t].source == first.source; t++)
        right = std::min(tiles.tiles[t].x + tiles.outputs, target.width);
      int lanes = lanesOf(pass_.batch, first.source / (target.elements() * kLanes));
      for (int y = first.y; y < bottom; y++)
        runs[count++] = {first.source + (std::int64_t(y) * target.width + first.x) * kLanes, right - first.x, lanes};
    }
    return count;
  }

  void transformTarget(const float* to) const {
    const std::vector<int>& outs = plan_.outs[0];
    Places places;
    WinogradTiles tiles = tilesOf(places, plan_.target, 0, 0, std::int64_t(outs.size()));
    MomentRun runs[kMostTiles * kMostTileRows];
    const int runCount = pass_.partials ? momentRuns(tiles, runs) : 0;
    for (std::size_t o = 0; o < outs.size(); o++) {
      std::int64_t plane = std::int64_t(plan_.target.pixels()) * kLanes, at = outs[o] * plane;
      tiles.ahead = planesAhead(outs, o) * plane;
      WinogradEpilogue epilogue{pass_.targetData + at,
                                pass_.mask ? pass_.mask + at : nullptr,
                                pass_.bias ? pass_.bias[outs[o]] : 0.0f,
                                pass_.relu,
                                pass_.accumulate,
                                pass_.past};
      kernels_.winogradOutput(tiles, epilogue, to + std::int64_t(o) * plan_.tilesPerTask * kLanes);
      if (runCount) takeMoments(pass_, kernels_, first_ / plan_.tilesPerTask, outs[o], runs, runCount);
    }
  }

  const Pass& pass_;
  const PassPlan& plan_;
  const Kernels& kernels_;
  std::int64_t first_;
  int count_;
};

}  // namespace

std::vector<WinogradForm> winogradForms(const Conv2dGeometry& g) {
  int r = g.kernelHeight;
  if ((r != 3 && r != 5) || g.kernelWidth != r || g.strideH != 1 || g.strideW != 1 || g.dilationH != 1 ||
      g.dilationW != 1 || g.groups != 1 || g.padH >= r || g.padW >= r)
    return {};
  if (r == 3) return {{6, 4}};
  return {{6, 2}, {8, 4}};
}

std::int64_t winogradWorkspace(const Conv2dGeometry& g) {
  std::int64_t most = 0;
  for (WinogradForm form : winogradForms(g))
    most = std::max(most, std::int64_t(form.area()) * g.inChannels * g.outChannels);
  return most;
}

// The form with the least work, in half cycles, the time of a vector multiply-add at best. One of the direct form takes
// 1.25 of them and more the more planes it reads, which share sets of the cache; one at a point of a tile 1.15 (bf16:
// 0.65); to transform a point of a source and a target channel takes 12 and 9.
WinogradForm bestWinograd(const PassPlan& plan) {
  const Conv2dGeometry& g = plan.geometry;
  double reduced = double(plan.reduced[0].size()), outs = double(plan.outs[0].size());
  double least =
      (1.25 + reduced / 128) * double(plan.target.pixels()) * g.kernelHeight * g.kernelWidth * reduced * outs;
  double product = plan.pairs ? 0.65 : 1.15;
  WinogradForm best;
  for (WinogradForm form : winogradForms(g)) {
    double work = double(form.tiles(plan.target)) * form.area() * (product * reduced * outs + 12 * reduced + 9 * outs);
    if (work < least) least = work, best = form;
  }
  return best;
}

int winogradTilesPerTask(const WinogradForm& form, std::int64_t channels) {
  return int(std::clamp<std::int64_t>(kTileFloats / (channels * form.area() * kLanes) / 3 * 3, 3, kMostTiles));
}

void planWinograd(PassPlan& plan) {
  plan.tilesPerTask = winogradTilesPerTask(plan.form, std::int64_t(plan.reduced[0].size() + plan.outs[0].size()));
  for (const OutBlock& block : plan.blocks) plan.productBlocks.push_back({block.count, block.panel});
}

void runWinograd(const Pass& pass, const Kernels& kernels) {
  const PassPlan& plan = pass.plan;
  parallelFor(std::int64_t(plan.blocks.size()),
              [&](std::int64_t b) { packFilters(pass, plan.blocks[std::size_t(b)], kernels, panelStride(plan)); },
              {passTime(plan, 8 * plan.form.area()) / double(plan.blocks.size())});
  std::int64_t total = plan.form.tiles(plan.target) * blocksOf(pass.batch), perTask = plan.tilesPerTask;
  std::int64_t floats = TileTask::sourceFloats(plan) + TileTask::targetFloats(plan);
  parallelFor((total + perTask - 1) / perTask, std::size_t(floats) * sizeof(float),
              [&](std::int64_t task, std::byte* memory) {
                TileTask(pass, kernels, task * perTask, int(std::min(perTask, total - task * perTask)))
                    .run(reinterpret_cast<float*>(memory));
              },
              {passTime(plan, plan.form.area() * perTask)});
}

}  // namespace selfcompress::cpu
