// Forward convolution and data gradient (conv2d_pass.h), direct form, and the choice between it and Winograd's.
#include <algorithm>
#include <climits>
#include <cstring>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/past_caches.h"
#include "cpu/quantizer.h"

namespace selfcompress::cpu {

namespace {
// Entries of a panel that are worked on at a time: with 8 outputs they take 24 KB of the first-level cache.
constexpr int kEntryBlock = 768;
// Floats of input that one task should touch: stays in the second-level cache while output blocks pass over it.
constexpr std::int64_t kTaskInput = 96 * 1024;

// Fewer entries are not worth parking the sums for.
constexpr std::int64_t kLeastEntries = 128;

// How far ahead lines of the source are fetched, two register tiles.
constexpr std::int64_t kAhead = 6 * kLanes;

std::vector<std::vector<int>> byGroup(const std::vector<int>& live, int channels, int groups) {
  std::vector<std::vector<int>> result{std::size_t(groups)};
  for (int c : live) result[std::size_t(c / (channels / groups))].push_back(c);
  return result;
}

// Every output channel in blocks of at most tileOuts; a panel has `taps` rows for each term.
std::vector<OutBlock> makeOutBlocks(const PassPlan& plan, int tileOuts) {
  const Conv2dGeometry& g = plan.geometry;
  std::vector<OutBlock> blocks;
  std::int64_t panel = 0;
  for (int group = 0; group < g.groups; group++) {
    const auto& outs = plan.outs[std::size_t(group)];
    std::int64_t rows = plan.form.points
                            ? plan.terms()
                            : std::int64_t(plan.reduced[std::size_t(group)].size()) * g.kernelHeight * g.kernelWidth;
    for (int first = 0; first < int(outs.size());) {
      // Nine outputs are better cut 5 + 4 than 8 + 1: small tiles are bound by loads.
      int left = int(outs.size()) - first;
      int parts = (left + tileOuts - 1) / tileOuts;
      int count = (left + parts - 1) / parts;
      blocks.push_back({group, outs.data() + first, count, panel});
      panel += rows * count;
      first += count;
    }
  }
  return blocks;
}

GroupEntries makeEntries(const PassPlan& plan, int group) {
  GroupEntries result;
  const Conv2dGeometry& g = plan.geometry;
  const auto& reduced = plan.reduced[std::size_t(group)];
  int area = g.kernelHeight * g.kernelWidth, plane = plan.source.pixels();
  for (const auto& row : plan.rows.classes)
    for (const auto& column : plan.columns.classes) {
      std::vector<ConvEntry> entries;
      entries.reserve(reduced.size() * row.taps.size() * column.taps.size());
      for (int r = 0; r < int(reduced.size()); r++)
        for (const AxisTap& ty : row.taps)
          for (const AxisTap& tx : column.taps)
            entries.push_back({(reduced[std::size_t(r)] * plane + ty.offset * plan.source.width + tx.offset) * kLanes,
                               r * area + ty.tap * g.kernelWidth + tx.tap});
      result.byClass.push_back(std::move(entries));
    }
  return result;
}

// Positions of the target's pixels, sorted into classes: those of class c are [starts[c], starts[c + 1]).
struct PositionLists {
  int* starts;
  ConvPosition* positions;
};

// How a task's memory is laid out: the lines that it gathers, the positions of at most so many rows, then where each
// class of them starts.
struct TaskMemory {
  std::size_t positions, classes, gathered;
  TaskMemory(const PassPlan& plan, std::int64_t rows, int gatheredEntries)
      : positions(std::size_t(rows * plan.target.width)),
        classes(plan.rows.classes.size() * plan.columns.classes.size()),
        gathered(positions * std::size_t(gatheredEntries) * kLanes) {}
  std::size_t bytes() const {
    return gathered * sizeof(float) + positions * sizeof(ConvPosition) + (classes + 1) * sizeof(int);
  }
  float* linesIn(std::byte* memory) const { return reinterpret_cast<float*>(memory); }
  PositionLists listsIn(std::byte* memory) const {
    std::byte* const lists = memory + gathered * sizeof(float);
    return {reinterpret_cast<int*>(lists + positions * sizeof(ConvPosition)), reinterpret_cast<ConvPosition*>(lists)};
  }
};

// Positions of a run of rows (numbered over all blocks of images).
void collectPositions(const PassPlan& plan, std::int64_t firstRow, std::int64_t lastRow, std::size_t classes,
                      PositionLists lists) {
  const int columnClasses = int(plan.columns.classes.size());
  auto rowClass = [&](std::int64_t row) {
    return plan.rows.classOf[std::size_t(row % plan.target.height)] * columnClasses;
  };
  // Counted two places on: the next loop moves the end of each class from where it starts to where the next one does.
  int* ends = lists.starts + 1;
  std::fill_n(lists.starts, classes + 1, 0);
  for (std::int64_t row = firstRow; row < lastRow; row++) {
    const std::size_t next = std::size_t(rowClass(row)) + 1;
    for (int c : plan.columns.classOf)
      if (next + std::size_t(c) < classes) ends[next + std::size_t(c)]++;
  }
  for (std::size_t c = 1; c < classes; c++) ends[c] += ends[c - 1];
  for (std::int64_t row = firstRow; row < lastRow; row++) {
    std::int64_t block = row / plan.target.height, y = row % plan.target.height;
    std::int64_t source =
        block * plan.source.elements() + std::int64_t(plan.rows.base[std::size_t(y)]) * plan.source.width;
    std::int64_t target = block * plan.target.elements() + y * plan.target.width;
    int* const endsOfRow = ends + rowClass(row);
    for (int x = 0; x < plan.target.width; x++) {
      int& end = endsOfRow[plan.columns.classOf[std::size_t(x)]];
      lists.positions[end++] = {(source + plan.columns.base[std::size_t(x)]) * kLanes, (target + x) * kLanes};
    }
  }
}

bool hasOneTap(const Conv2dGeometry& g) { return g.kernelHeight * g.kernelWidth == 1; }

// Puts the lines of entries from..to-1 one after the other and points the positions there, so that all blocks of
// outputs find them in the caches: a plane apart, as they lie in the source, they fall into few of a cache's sets where
// planes have a power of two of positions.
void gather(const Pass& pass, PositionLists lists, int from, int to, float* lines) {
  const std::vector<ConvEntry>& entries = pass.plan.entries[0].byClass[0];
  const int count = lists.starts[1];
  constexpr int kTogether = 8;  // neighbours in a plane: a run of lines that the processor foresees
  for (int first = 0; first < count; first += kTogether) {
    const int past = std::min(count, first + kTogether);
    for (int e = from; e < to; e++)
      for (int p = first; p < past; p++)
        std::memcpy(lines + (std::int64_t(p) * (to - from) + e - from) * kLanes,
                    pass.sourceData + lists.positions[p].source + entries[std::size_t(e)].source,
                    kLanes * sizeof(float));
  }
  for (int p = 0; p < count; p++) lists.positions[p].source = (std::int64_t(p) * (to - from) - from) * kLanes;
}

// Whether a task gathers its lines, so many of them: each is a plane of its own, enough blocks of outputs read them,
// and they are not far more than the second-level cache holds.
bool gathers(const PassPlan& plan, const Kernels& kernels, std::int64_t blocks, std::int64_t lines) {
  const Conv2dGeometry& g = plan.geometry;
  return kernels.gathersLines && hasOneTap(g) && g.groups == 1 && plan.source.pixels() >= 8 && blocks >= 6 &&
         lines * kLanes <= 4 * kTaskInput && plan.entries[0].byClass.size() == 1;
}

// Entries of a pass over the output blocks. With one tap every entry is a plane of its own: more of them than the
// second-level cache has room for at all positions are taken in several passes, each of which reads its planes once
// from further away and parks the sums in the target. The sums are the same, bit for bit.
int entriesPerPass(const Pass& pass, std::int64_t positions) {
  if (pass.accumulate || !hasOneTap(pass.plan.geometry)) return INT_MAX;
  const std::int64_t fit = kTaskInput / (positions * kLanes);
  return int(std::clamp<std::int64_t>(fit, kLeastEntries, INT_MAX));
}

// What entries are offsets of, and how far ahead the next lines are fetched.
struct TaskSource {
  const float* data;
  std::int64_t ahead;
};

// Entries from..to-1 of every class, as far as it has them.
void runBlock(const Pass& pass, const Kernels& kernels, const OutBlock& block, const GroupEntries& entries,
              PositionLists lists, TaskSource source, int from, int to) {
  std::int64_t offsets[16];
  float bias[16];
  for (int o = 0; o < block.count; o++) {
    offsets[o] = std::int64_t(block.channels[o]) * pass.plan.target.pixels() * kLanes;
    if (pass.bias) bias[o] = pass.bias[block.channels[o]];
  }
  for (std::size_t c = 0; c < entries.byClass.size(); c++) {
    int positions = lists.starts[c + 1] - lists.starts[c];
    if (!positions) continue;
    const auto& list = entries.byClass[c];
    ConvTiles tiles;
    tiles.source = source.data;
    tiles.panel = pass.panels + block.panel;
    tiles.positions = lists.positions + lists.starts[c];
    tiles.positionCount = positions;
    tiles.outs = block.count;
    tiles.outOffset = offsets;
    tiles.target = pass.targetData;
    tiles.sourceAhead = source.ahead;
    // A sum that is added to an old value cannot be parked in the target in between: it is taken in one go.
    const int end = std::min(to, int(list.size())), step = pass.accumulate ? int(list.size()) : kEntryBlock;
    if (from > 0 && from >= end) continue;  // a sum without terms is its bias
    int begin = from;
    do {
      tiles.entries = list.data() + begin;
      tiles.entryCount = std::min(step, end - begin);
      tiles.resume = begin > 0;
      tiles.bias = pass.bias ? bias : nullptr;
      begin += tiles.entryCount;
      bool last = begin >= int(list.size());
      tiles.relu = pass.relu && last;
      tiles.mask = last ? pass.mask : nullptr;
      tiles.accumulate = pass.accumulate && last;
      tiles.past = pass.past && !tiles.resume && last;
      kernels.convTiles(tiles);
    } while (begin < end);
  }
}

// Tasks of at most perTask of `count` pieces, as many for each thread: eleven tasks of one size keep one of two threads
// waiting for a sixth of its time.
std::int64_t balancedTasks(std::int64_t count, std::int64_t perTask) {
  const std::int64_t tasks = (count + perTask - 1) / perTask, share = (tasks + threads() - 1) / threads();
  return tasks <= 1 ? tasks : std::min(count, share * threads());
}

// Bands per task: enough rows to amortise the panels, little enough input to stay in cache, and tasks for every thread.
std::int64_t bandsPerTask(const PassPlan& plan, const RowBands& bands, std::int64_t count) {
  std::int64_t rowInput = std::max<std::int64_t>(1, std::int64_t(plan.source.channels) * plan.source.width * kLanes);
  std::int64_t byCache = std::max<std::int64_t>(1, kTaskInput / rowInput);
  // With one tap a panel is short, and fewer positions go through the sum of more planes without parking it.
  const int positions = hasOneTap(plan.geometry) ? 8 : 24;
  std::int64_t byTile = (positions + plan.target.width - 1) / plan.target.width;
  std::int64_t rows = (std::max(byCache, byTile) + bands.rows - 1) / bands.rows;
  std::int64_t byThreads = std::max<std::int64_t>(1, count / (4 * threads()));
  return std::min(rows, byThreads);
}

bool writesPast(const Pass& pass) {
  std::int64_t channels = 0;
  for (const OutBlock& block : pass.plan.blocks) channels += block.count;
  return !pass.accumulate && !pass.partials &&
         writesPastCaches(channels * pass.plan.target.pixels() * blocksOf(pass.batch) * kLanes);
}

void runPass(Pass pass, const Kernels& kernels) {
  const PassPlan& plan = pass.plan;
  const std::vector<OutBlock>& blocks = plan.blocks;
  if (blocks.empty()) return;
  pass.past = writesPast(pass);
  if (plan.form.points) return runWinograd(pass, kernels);
  if (plan.depthwise) return runDepthwise(pass, kernels);
  packPanels(pass, kernels);

  // A task takes some bands of rows: single ones, or those whose moments are taken, which no two tasks may share.
  const RowBands bands{plan.target.height, pass.partials ? momentRows(plan.target) : 1};
  std::int64_t count = std::int64_t(blocksOf(pass.batch)) * bands.inBlock();
  std::int64_t perTask = bandsPerTask(plan, bands, count);
  const std::int64_t bandTasks = balancedTasks(count, perTask);
  perTask = (count + bandTasks - 1) / bandTasks;  // of the largest one
  // Few rows (fully connected layers): output channels are shared out as well.
  std::int64_t parts = std::clamp<std::int64_t>(4 * threads() / bandTasks, 1, std::int64_t(blocks.size()));
  const int most = plan.mostEntries();
  const int perPass = std::min(most, entriesPerPass(pass, perTask * bands.rows));
  const bool isGathered =
      gathers(plan, kernels, std::int64_t(blocks.size()) / parts, perTask * bands.rows * plan.target.width * perPass);
  const TaskMemory layout(plan, perTask * bands.rows, isGathered ? perPass : 0);
  // With one tap a term's next lines are new to the cache, in more planes than the processor can follow.
  const std::int64_t ahead = hasOneTap(plan.geometry) && !isGathered ? kAhead : 0;
  parallelFor(
      bandTasks * parts, layout.bytes(),
      [&](std::int64_t task, std::byte* memory) {
        const std::int64_t part = task % parts, firstBand = count * (task / parts) / bandTasks,
                           lastBand = count * (task / parts + 1) / bandTasks;
        const PositionLists positions = layout.listsIn(memory);
        auto collect = [&] {
          collectPositions(plan, bands.row(firstBand), bands.row(lastBand), layout.classes, positions);
        };
        collect();
        std::size_t first = blocks.size() * std::size_t(part) / std::size_t(parts),
                    last = blocks.size() * std::size_t(part + 1) / std::size_t(parts);
        for (int from = 0; from == 0 || from < most;) {
          const int to = most - from > perPass ? from + perPass : most;
          if (isGathered) {
            if (from > 0) collect();
            gather(pass, positions, from, to, layout.linesIn(memory));
          }
          for (std::size_t b = first; b < last; b++) {
            const TaskSource source{isGathered ? layout.linesIn(memory) : pass.sourceData, b == first ? ahead : 0};
            runBlock(pass, kernels, blocks[b], isGathered ? plan.gathered : plan.entries[std::size_t(blocks[b].group)],
                     positions, source, from, to);
            if (pass.partials && to == most) takeBandMoments(pass, kernels, blocks[b], bands, firstBand, lastBand);
          }
          if (to == most) break;
          from = to;
        }
      },
      {passTime(plan,
                perTask * bands.rows * plan.target.width * plan.geometry.kernelHeight * plan.geometry.kernelWidth) /
       double(parts)});
}

// The workspace of a pass: the quantizer's constants of every output channel, then the panels.
std::size_t constantBytes(const Conv2dGeometry& g) {
  std::size_t bytes = std::size_t(g.outChannels) * sizeof(QuantizeChannel);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}
float* panelsIn(void* workspace, const Conv2dGeometry& g) {
  return reinterpret_cast<float*>(static_cast<std::byte*>(workspace) + constantBytes(g));
}

template <class Operation>
PassWeights weightsOf(const Operation& a) {
  const Conv2dGeometry& g = a.geometry;
  PassWeights weights{a.weight, a.weight + g.weights(), g.inPerGroup(), g.kernelHeight * g.kernelWidth,
                      a.quantizer.bitDepth};
  if (!weights.bitDepth) return weights;
  auto* constants = static_cast<QuantizeChannel*>(a.workspace);
  constexpr int kPerTask = 64;
  parallelFor((g.outChannels + kPerTask - 1) / kPerTask,
              [&](std::int64_t task) {
                for (int c = int(task) * kPerTask; c < std::min(g.outChannels, int(task + 1) * kPerTask); c++)
                  if (!isDead(weights.bitDepth[c]))
                    constants[c] = quantizeChannel(weights.bitDepth[c], a.quantizer.exponent[c]);
              },
              {100.0 * kPerTask});
  weights.constants = constants;
  return weights;
}

void fillConstantChannels(const Conv2dForward& a) {
  if (!a.outputState) return;
  Shape out = a.geometry.output();
  for (int c = 0; c < out.channels; c++) {
    if (a.outputState[c] != kConstant) continue;
    float value = a.bias ? a.bias[c] : 0.0f;
    if (a.relu && value < 0) value = 0;
    // 0, or NaN if the value is not finite, as everywhere.
    if (a.statistics) a.statistics[c] = {double(value), double(value) - double(value)};
    parallelFor(blocksOf(a.batch),
                [&](std::int64_t n) {
                  float* plane = a.output + (n * out.channels + c) * out.pixels() * kLanes;
                  std::fill(plane, plane + std::int64_t(out.pixels()) * kLanes, value);
                },
                {double(out.pixels())});
  }
}

}  // namespace

PassPlan makePassPlan(const Conv2dGeometry& g, bool forward, bool pairs, const std::vector<int>& liveIn,
                      const std::vector<int>& liveOut, const Kernels& kernels) {
  PassPlan plan;
  plan.geometry = g, plan.forward = forward, plan.pairs = pairs;
  plan.source = forward ? g.input() : g.output(), plan.target = forward ? g.output() : g.input();
  auto ins = byGroup(liveIn, g.inChannels, g.groups), outs = byGroup(liveOut, g.outChannels, g.groups);
  plan.reduced = forward ? ins : outs, plan.outs = forward ? outs : ins;
  plan.form = bestWinograd(plan);
  plan.blocks = makeOutBlocks(plan, kernels.tileOuts);
  if (plan.form.points) {
    planWinograd(plan);
    return plan;
  }
  plan.depthwise = isDepthwise(g, forward);
  if (plan.depthwise) return plan;
  auto axis = forward ? forwardAxis : gradInputAxis;
  plan.rows = axis(plan.target.height, plan.source.height, g.kernelHeight, g.strideH, g.padH, g.dilationH);
  plan.columns = axis(plan.target.width, plan.source.width, g.kernelWidth, g.strideW, g.padW, g.dilationW);
  for (int group = 0; group < g.groups; group++) plan.entries.push_back(makeEntries(plan, group));
  if (!hasOneTap(g) || g.groups > 1) return plan;
  plan.gathered.byClass.emplace_back();
  for (int r = 0; r < int(plan.reduced[0].size()); r++) plan.gathered.byClass[0].push_back({r * kLanes, r});
  return plan;
}

std::size_t CpuBackend::conv2dWorkspace(const Conv2dGeometry& g, int batch) const {
  std::size_t panels = std::size_t(std::max(g.weights(), winogradWorkspace(g))) * sizeof(float);
  std::int64_t sums = std::max(weightParts(g, batch) * g.weights(), winogradWeightWorkspace(g));
  return std::max(constantBytes(g) + panels, std::size_t(sums) * sizeof(float));
}

void CpuBackend::run(const Conv2dForward& a) {
  const PassPlan& plan = plans_.pass(a.geometry, true, pairs(a.exact), a.liveIn, a.liveOut);
  const Pass pass{plan,   a.batch, a.input,      weightsOf(a),
                  a.bias, nullptr, a.output,     panelsIn(a.workspace, a.geometry),
                  a.relu, false,   partialsOf(a)};
  runPass(pass, kernels_);
  if (a.statistics) combineMoments(pass, a.statistics);
  fillConstantChannels(a);
}

void CpuBackend::run(const Conv2dGradInput& a) {
  const PassPlan& plan = plans_.pass(a.geometry, false, pairs(a.exact), a.liveIn, a.liveOut);
  runPass({plan, a.batch, a.gradOutput, weightsOf(a), nullptr, a.reluInput, a.gradInput,
           panelsIn(a.workspace, a.geometry), false, a.accumulate},
          kernels_);
}

}  // namespace selfcompress::cpu
