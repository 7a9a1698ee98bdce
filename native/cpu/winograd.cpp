// Forward convolution and data gradient by Winograd's minimal filtering. Some tiles at a time: transform every source
// channel, multiply channel by channel at each point (the direct form's micro-kernel with one tap),
// transform back. What a task holds in between stays in the second-level cache.
#include <algorithm>

#include "cpu/conv2d_pass.h"
#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

// Floats of transformed tiles, source and target together, that one task holds.
constexpr std::int64_t kTileFloats = 56 * 1024;

// Panels [point][out block][reduced][count]: the filters of a block, in that order, side by side at each point.
void packFilters(const Pass& pass, const OutBlock& block, const Kernels& kernels, int points,
                 std::int64_t pointStride) {
  WinogradFilters filters;
  auto pack = pass.pairs ? kernels.pairs.winogradPack : kernels.winogradPack;
  filters.size = pass.geometry->kernelHeight, filters.points = points, filters.turned = !pass.forward;
  float* to = block.panel;
  auto flush = [&] {
    if (filters.count) pack(filters, to, pointStride);
    to += filters.count;
    filters.count = 0;
  };
  const std::vector<int>& reduced = pass.reduced[0];
  for (std::size_t r = 0; r < reduced.size(); r += pass.pairs ? 2 : 1)
    for (int o = 0; o < block.count; o++) {
      filters.taps[filters.count] = pass.taps(reduced[r], block.channels[o]);
      if (pass.pairs)
        filters.second[filters.count] = r + 1 < reduced.size() ? pass.taps(reduced[r + 1], block.channels[o]) : nullptr;
      if (++filters.count == 16) flush();
    }
  flush();
}

struct Plan {
  const Pass& pass;
  const Kernels& kernels;
  std::vector<OutBlock> blocks;
  WinogradForm form;
  std::int64_t panelStride;  // of a point
  int padH, padW;            // of the source

  // Terms of a product: source channels, or pairs of them.
  int terms() const {
    int reduced = int(pass.reduced[0].size());
    return pass.pairs ? (reduced + 1) / 2 : reduced;
  }
};

// Floats from one point to the next of `channels` channels of `count` tiles: an odd number of vectors, since the
// points of a channel would otherwise compete for the same few sets of the first-level cache.
std::int64_t pointStride(std::int64_t channels, int count) { return (channels * count | 1) * kLanes; }

void multiply(const Plan& plan, int count, const float* from, float* to) {
  std::int64_t sourceStride = pointStride(plan.terms(), count),
               targetStride = pointStride(std::int64_t(plan.pass.outs[0].size()), count);
  thread_local std::vector<ConvPosition> positions;
  positions.clear();
  for (int t = 0; t < count; t++) positions.push_back({t * kLanes, t * kLanes});
  thread_local std::vector<ConvEntry> entries;
  entries.clear();
  for (int r = 0; r < plan.terms(); r++) entries.push_back({r * count * kLanes, r});
  std::int64_t offsets[16];
  ConvTiles tiles;
  tiles.entries = entries.data();
  tiles.entryCount = int(entries.size());
  tiles.positions = positions.data();
  tiles.positionCount = count;
  tiles.outOffset = offsets;
  auto convTiles = plan.pass.pairs ? plan.kernels.pairs.convTiles : plan.kernels.convTiles;
  for (int point = 0; point < plan.form.area(); point++) {
    tiles.source = from + point * sourceStride;
    int done = 0;
    for (const OutBlock& block : plan.blocks) {
      for (int o = 0; o < block.count; o++) offsets[o] = std::int64_t(done + o) * count * kLanes;
      tiles.panel = block.panel + point * plan.panelStride;
      tiles.outs = block.count;
      tiles.target = to + point * targetStride;
      convTiles(tiles);
      done += block.count;
    }
  }
}

void runTiles(const Plan& plan, std::int64_t first, int count) {
  const Pass& pass = plan.pass;
  const auto &reduced = pass.reduced[0], &outs = pass.outs[0];
  thread_local std::vector<WinogradTile> places;
  thread_local std::vector<float> storage;
  std::int64_t fromFloats = pointStride(plan.terms(), count) * plan.form.area(),
               toFloats = pointStride(std::int64_t(outs.size()), count) * plan.form.area();
  if (std::int64_t(storage.size()) < fromFloats + toFloats + kLanes)
    storage.resize(std::size_t(fromFloats + toFloats + kLanes));
  auto address = reinterpret_cast<std::uintptr_t>(storage.data());
  float* from = storage.data() + (kAlignment - address % kAlignment) % kAlignment / sizeof(float);
  float* to = from + fromFloats;

  auto place = [&](Shape shape, int padH, int padW) {
    places.clear();
    for (std::int64_t t = first; t < first + count; t++)
      places.push_back(plan.form.tile(t, pass.target, shape, padH, padW));
  };
  place(pass.source, plan.padH, plan.padW);
  WinogradTiles tiles{places.data(),
                      count,
                      pass.source.height,
                      pass.source.width,
                      plan.form.points,
                      plan.form.outputs,
                      pointStride(plan.terms(), count)};
  auto transform = pass.pairs ? plan.kernels.pairs.winogradInput : plan.kernels.winogradInput;
  for (std::size_t r = 0; r < reduced.size(); r++) {
    tiles.ahead = planesAhead(reduced, r) * pass.source.pixels() * kLanes;
    if (pass.pairs)
      tiles.pairing = r % 2                    ? WinogradTiles::kSecond
                      : r + 1 < reduced.size() ? WinogradTiles::kFirst
                                               : WinogradTiles::kAlone;
    transform(tiles, pass.sourceData + std::int64_t(reduced[r]) * pass.source.pixels() * kLanes,
              from + std::int64_t(pass.pairs ? r / 2 : r) * count * kLanes);
  }
  multiply(plan, count, from, to);
  place(pass.target, 0, 0);
  tiles = {places.data(),
           count,
           pass.target.height,
           pass.target.width,
           plan.form.points,
           plan.form.outputs,
           pointStride(std::int64_t(outs.size()), count)};
  for (std::size_t o = 0; o < outs.size(); o++) {
    tiles.ahead = planesAhead(outs, o) * pass.target.pixels() * kLanes;
    std::int64_t plane = std::int64_t(outs[o]) * pass.target.pixels() * kLanes;
    WinogradEpilogue epilogue{pass.targetData + plane, pass.mask ? pass.mask + plane : nullptr,
                              pass.bias ? pass.bias[outs[o]] : 0.0f, pass.relu, pass.accumulate};
    plan.kernels.winogradOutput(tiles, epilogue, to + std::int64_t(o) * count * kLanes);
  }
}

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

// The form with the least work, in cycles of a vector multiply-add (measured on Zen 4: 1.15 of them for a multiply-add
// of the direct form, 1.2 at a point of a tile, and 10 and 18 to transform a point of a source and a target channel).
WinogradForm bestWinograd(const Pass& pass) {
  const Conv2dGeometry& g = *pass.geometry;
  double reduced = double(pass.reduced[0].size()), outs = double(pass.outs[0].size());
  double product = pass.pairs ? 0.65 : 1.2;
  double least = 1.15 * double(pass.target.pixels()) * g.kernelHeight * g.kernelWidth * reduced * outs;
  WinogradForm best;
  for (WinogradForm form : winogradForms(g)) {
    double work = double(form.tiles(pass.target)) * form.area() * (product * reduced * outs + 10 * reduced + 12 * outs);
    if (work < least) least = work, best = form;
  }
  return best;
}

void runWinograd(const Pass& pass, WinogradForm form, const Kernels& kernels) {
  const Conv2dGeometry& g = *pass.geometry;
  Plan plan{pass, kernels, makeOutBlocks(pass, kernels.tileOuts, 1, pass.pairs), form, 0, 0, 0};
  if (plan.blocks.empty()) return;
  plan.padH = pass.forward ? g.padH : g.kernelHeight - 1 - g.padH;
  plan.padW = pass.forward ? g.padW : g.kernelWidth - 1 - g.padW;
  std::int64_t reduced = std::int64_t(pass.reduced[0].size()), outs = std::int64_t(pass.outs[0].size());
  plan.panelStride = plan.terms() * outs;
  parallelFor(std::int64_t(plan.blocks.size()), [&](std::int64_t b) {
    packFilters(pass, plan.blocks[std::size_t(b)], kernels, form.points, plan.panelStride);
  });
  std::int64_t total = form.tiles(pass.target) * blocksOf(pass.batch);
  std::int64_t perTask =
      std::clamp<std::int64_t>(kTileFloats / ((reduced + outs) * form.area() * kLanes) / 3 * 3, 3, 12);
  parallelFor((total + perTask - 1) / perTask, [&](std::int64_t task) {
    runTiles(plan, task * perTask, int(std::min(perTask, total - task * perTask)));
  });
}

}  // namespace selfcompress::cpu
