// Forward convolution and data gradient (conv2d_pass.h), direct form, and the choice between it and Winograd's.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/conv2d_pass.h"
#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {

std::vector<OutBlock> makeOutBlocks(const Pass& pass, int tileOuts, int taps, bool pairs) {
  std::vector<OutBlock> blocks;
  float* panel = pass.panels;
  for (int g = 0; g < pass.geometry->groups; g++) {
    const auto& outs = pass.outs[std::size_t(g)];
    for (int first = 0; first < int(outs.size());) {
      // Nine outputs are better cut 5 + 4 than 8 + 1: small tiles are bound by loads.
      int left = int(outs.size()) - first;
      int parts = (left + tileOuts - 1) / tileOuts;
      int count = (left + parts - 1) / parts;
      blocks.push_back({g, outs.data() + first, count, panel});
      std::int64_t reduced = std::int64_t(pass.reduced[std::size_t(g)].size());
      panel += (pairs ? (reduced + 1) / 2 : reduced) * taps * count;
      first += count;
    }
  }
  return blocks;
}

namespace {

// Entries of a panel that are worked on at a time: with 8 outputs they take 24 KB of the first-level cache.
constexpr int kEntryBlock = 768;
// Floats of input that one task should touch: stays in the second-level cache while output blocks pass over it.
constexpr std::int64_t kTaskInput = 96 * 1024;

std::vector<std::vector<int>> liveByGroup(ChannelList list, int channels, int groups) {
  std::vector<std::vector<int>> result{std::size_t(groups)};
  int perGroup = channels / groups;
  int count = list.index ? *list.count : channels;
  for (int i = 0; i < count; i++) {
    int c = list.index ? list.index[i] : i;
    result[std::size_t(c / perGroup)].push_back(c);
  }
  return result;
}

void packPanel(const Pass& pass, const OutBlock& block) {
  int area = pass.geometry->kernelHeight * pass.geometry->kernelWidth;
  float* to = block.panel;
  for (int r : pass.reduced[std::size_t(block.group)])
    for (int tap = 0; tap < area; tap++)
      for (int o = 0; o < block.count; o++) *to++ = pass.taps(r, block.channels[o])[tap];
}

// Entry lists of one group for every pair (row class, column class), ordered by reduced channel and then tap.
struct GroupEntries {
  std::vector<std::vector<ConvEntry>> byClass;
};

GroupEntries makeEntries(const Pass& pass, int group) {
  GroupEntries result;
  const Conv2dGeometry& g = *pass.geometry;
  const auto& reduced = pass.reduced[std::size_t(group)];
  int area = g.kernelHeight * g.kernelWidth, plane = pass.source.pixels();
  for (const auto& row : pass.rows.classes)
    for (const auto& column : pass.columns.classes) {
      std::vector<ConvEntry> entries;
      entries.reserve(reduced.size() * row.taps.size() * column.taps.size());
      for (int r = 0; r < int(reduced.size()); r++)
        for (const AxisTap& ty : row.taps)
          for (const AxisTap& tx : column.taps)
            entries.push_back({(reduced[std::size_t(r)] * plane + ty.offset * pass.source.width + tx.offset) * kLanes,
                               r * area + ty.tap * g.kernelWidth + tx.tap});
      result.byClass.push_back(std::move(entries));
    }
  return result;
}

// Positions of a run of rows (numbered over all blocks of images), sorted into classes.
void collectPositions(const Pass& pass, std::int64_t firstRow, std::int64_t lastRow,
                      std::vector<std::vector<ConvPosition>>& byClass) {
  int columnClasses = int(pass.columns.classes.size());
  byClass.resize(pass.rows.classes.size() * std::size_t(columnClasses));
  for (auto& positions : byClass) positions.clear();
  for (std::int64_t row = firstRow; row < lastRow; row++) {
    std::int64_t block = row / pass.target.height;
    int y = int(row % pass.target.height);
    std::int64_t source =
        block * pass.source.elements() + std::int64_t(pass.rows.base[std::size_t(y)]) * pass.source.width;
    std::int64_t target = block * pass.target.elements() + std::int64_t(y) * pass.target.width;
    int rowClass = pass.rows.classOf[std::size_t(y)] * columnClasses;
    for (int x = 0; x < pass.target.width; x++)
      byClass[std::size_t(rowClass + pass.columns.classOf[std::size_t(x)])].push_back(
          {(source + pass.columns.base[std::size_t(x)]) * kLanes, (target + x) * kLanes});
  }
}

void runBlock(const Pass& pass, const Kernels& kernels, const OutBlock& block, const GroupEntries& entries,
              const std::vector<std::vector<ConvPosition>>& positions) {
  std::int64_t offsets[16];
  float bias[16];
  for (int o = 0; o < block.count; o++) {
    offsets[o] = std::int64_t(block.channels[o]) * pass.target.pixels() * kLanes;
    if (pass.bias) bias[o] = pass.bias[block.channels[o]];
  }
  for (std::size_t c = 0; c < positions.size(); c++) {
    if (positions[c].empty()) continue;
    const auto& list = entries.byClass[c];
    ConvTiles tiles;
    tiles.source = pass.sourceData;
    tiles.panel = block.panel;
    tiles.positions = positions[c].data();
    tiles.positionCount = int(positions[c].size());
    tiles.outs = block.count;
    tiles.outOffset = offsets;
    tiles.target = pass.targetData;
    // A sum that is added to an old value cannot be parked in the target in between: it is taken in one go.
    int step = pass.accumulate ? int(list.size()) : kEntryBlock;
    int begin = 0;
    do {
      tiles.entries = list.data() + begin;
      tiles.entryCount = std::min(step, int(list.size()) - begin);
      tiles.resume = begin > 0;
      tiles.bias = pass.bias ? bias : nullptr;
      begin += tiles.entryCount;
      bool last = begin >= int(list.size());
      tiles.relu = pass.relu && last;
      tiles.mask = last ? pass.mask : nullptr;
      tiles.accumulate = pass.accumulate && last;
      kernels.convTiles(tiles);
    } while (begin < int(list.size()));
  }
}

// Rows per task: enough work to amortise the panels, little enough input to stay in cache, and tasks for every thread.
std::int64_t rowsPerTask(const Pass& pass, std::int64_t rows) {
  std::int64_t rowInput = std::max<std::int64_t>(1, std::int64_t(pass.source.channels) * pass.source.width * kLanes);
  std::int64_t byCache = std::max<std::int64_t>(1, kTaskInput / rowInput);
  std::int64_t byTile = (24 + pass.target.width - 1) / pass.target.width;
  std::int64_t byThreads = std::max<std::int64_t>(1, rows / (4 * threads()));
  return std::min(std::max(byCache, byTile), byThreads);
}

void runPass(const Pass& pass, const Kernels& kernels) {
  if (WinogradForm form = bestWinograd(pass); form.points) return runWinograd(pass, form, kernels);
  int area = pass.geometry->kernelHeight * pass.geometry->kernelWidth;
  std::vector<OutBlock> blocks = makeOutBlocks(pass, kernels.tileOuts, area, false);
  if (blocks.empty()) return;
  parallelFor(std::int64_t(blocks.size()), [&](std::int64_t b) { packPanel(pass, blocks[std::size_t(b)]); });
  std::vector<GroupEntries> entries;
  for (int g = 0; g < pass.geometry->groups; g++) entries.push_back(makeEntries(pass, g));

  std::int64_t rows = std::int64_t(blocksOf(pass.batch)) * pass.target.height;
  std::int64_t perTask = rowsPerTask(pass, rows), rowTasks = (rows + perTask - 1) / perTask;
  // Few rows (fully connected layers): output channels are shared out as well.
  std::int64_t parts = std::clamp<std::int64_t>(4 * threads() / rowTasks, 1, std::int64_t(blocks.size()));
  parallelFor(rowTasks * parts, [&](std::int64_t task) {
    std::int64_t rowTask = task / parts, part = task % parts;
    thread_local std::vector<std::vector<ConvPosition>> positions;
    collectPositions(pass, rowTask * perTask, std::min(rows, (rowTask + 1) * perTask), positions);
    std::size_t first = blocks.size() * std::size_t(part) / std::size_t(parts),
                last = blocks.size() * std::size_t(part + 1) / std::size_t(parts);
    for (std::size_t b = first; b < last; b++)
      runBlock(pass, kernels, blocks[b], entries[std::size_t(blocks[b].group)], positions);
  });
}

void fillConstantChannels(const Conv2dForward& a) {
  if (!a.outputState) return;
  Shape out = a.geometry.output();
  for (int c = 0; c < out.channels; c++) {
    if (a.outputState[c] != kConstant) continue;
    float value = a.bias ? a.bias[c] : 0.0f;
    if (a.relu && value < 0) value = 0;
    parallelFor(blocksOf(a.batch), [&](std::int64_t n) {
      float* plane = a.output + (n * out.channels + c) * out.pixels() * kLanes;
      std::fill(plane, plane + std::int64_t(out.pixels()) * kLanes, value);
    });
  }
}

}  // namespace

std::size_t CpuBackend::conv2dWorkspace(const Conv2dGeometry& g, int) const {
  return std::size_t(std::max({g.weights(), winogradWorkspace(g), winogradWeightWorkspace(g)})) * sizeof(float);
}

void CpuBackend::run(const Conv2dForward& a) {
  const Conv2dGeometry& g = a.geometry;
  Pass pass{&g,
            true,
            g.input(),
            g.output(),
            a.batch,
            forwardAxis(g.outHeight(), g.height, g.kernelHeight, g.strideH, g.padH, g.dilationH),
            forwardAxis(g.outWidth(), g.width, g.kernelWidth, g.strideW, g.padW, g.dilationW),
            liveByGroup(a.liveIn, g.inChannels, g.groups),
            liveByGroup(a.liveOut, g.outChannels, g.groups),
            a.input,
            a.weight,
            a.bias,
            nullptr,
            a.output,
            static_cast<float*>(a.workspace),
            a.relu,
            false,
            pairs(a.exact)};
  runPass(pass, kernels_);
  fillConstantChannels(a);
}

void CpuBackend::run(const Conv2dGradInput& a) {
  const Conv2dGeometry& g = a.geometry;
  Pass pass{&g,
            false,
            g.output(),
            g.input(),
            a.batch,
            gradInputAxis(g.height, g.outHeight(), g.kernelHeight, g.strideH, g.padH, g.dilationH),
            gradInputAxis(g.width, g.outWidth(), g.kernelWidth, g.strideW, g.padW, g.dilationW),
            liveByGroup(a.liveOut, g.outChannels, g.groups),
            liveByGroup(a.liveIn, g.inChannels, g.groups),
            a.gradOutput,
            a.weight,
            nullptr,
            a.reluInput,
            a.gradInput,
            static_cast<float*>(a.workspace),
            false,
            a.accumulate,
            pairs(false)};
  runPass(pass, kernels_);
}

}  // namespace selfcompress::cpu
