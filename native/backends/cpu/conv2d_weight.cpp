// Weight gradient of the convolution. The plane of (output channels) x (streams), a stream being an input channel and a
// tap, is cut into register tiles; a task owns a rectangle of tiles and adds up a part of the images in order. Parts
// are added in order too, and depend on the convolution and the batch alone: results do not depend on the number of
// threads. Tile accumulators keep 16 lanes until the very end.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/conv2d_weight_plan.h"
#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

// Output pixels that are worked on at a time: the gradient planes of a tile, so many vectors in all, stay in the
// first-level cache, but for runs that would be too short.
constexpr int kGradVectors = 400, kLeastPixels = 64;
int pixelBlock(const GroupPlan& plan) { return std::max(kLeastPixels, kGradVectors / plan.tileOuts); }
int rowsOfBlock(const GroupPlan& plan, const Conv2dGeometry& g) { return std::max(1, pixelBlock(plan) / g.outWidth()); }
// Parts of a batch at most, and floats of their sums together.
constexpr std::int64_t kMostParts = 16, kPartFloats = 1024 * 1024;
// Tiles of one task: their accumulators stay in the second-level cache.
constexpr int kTilesPerTask = 340;

Pattern makePattern(const Conv2dGeometry& g, const Stream* streams, int count, int rowsPerBlock) {
  Pattern pattern;
  int outHeight = g.outHeight(), outWidth = g.outWidth();
  auto columnOf = [&](int s, int x) { return x * g.strideW + streams[s].tap % g.kernelWidth * g.dilationW - g.padW; };
  auto rowOf = [&](int s, int y) { return y * g.strideH + streams[s].tap / g.kernelWidth * g.dilationH - g.padH; };
  std::vector<int> cuts{0, outWidth};
  for (int s = 0; s < count; s++)
    for (int x = 1; x < outWidth; x++) {
      auto inside = [&](int at) { return at >= 0 && at < g.width; };
      if (inside(columnOf(s, x)) != inside(columnOf(s, x - 1))) cuts.push_back(x);
    }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  for (int y = 0; y < outHeight; y++) {
    if (y % rowsPerBlock == 0) pattern.rowBlock.push_back(int(pattern.runs.size()));
    for (std::size_t i = 0; i + 1 < cuts.size(); i++) {
      WeightRun run{(y * outWidth + cuts[i]) * kLanes, cuts[i + 1] - cuts[i], {}};
      bool any = false;
      for (int s = 0; s < count; s++) {
        int row = rowOf(s, y), column = columnOf(s, cuts[i]);
        bool inside = row >= 0 && row < g.height && column >= 0 && column < g.width;
        run.source[s] = inside ? (row * g.width + column) * kLanes : -1;
        any |= inside;
      }
      if (any) pattern.runs.push_back(run);
    }
  }
  pattern.rowBlock.push_back(int(pattern.runs.size()));
  return pattern;
}

GroupPlan planGroup(const Conv2dGeometry& g, const Kernels& kernels, std::vector<int> outs,
                    const std::vector<int>& ins) {
  GroupPlan plan;
  plan.outs = std::move(outs);
  int area = g.kernelHeight * g.kernelWidth;
  for (int c : ins)
    for (int tap = 0; tap < area; tap++) plan.streams.push_back({c, tap});
  bool three = g.kernelWidth % 3 == 0, five = g.kernelWidth % 5 == 0;
  plan.perChunk = three ? 3 : five ? 5 : kernels.streams1;
  int most = three ? kernels.rowOuts3 : five ? kernels.rowOuts5 : kernels.rowOuts1;
  int blocks = std::max(1, (int(plan.outs.size()) + most - 1) / most);
  plan.tileOuts = std::max(1, (int(plan.outs.size()) + blocks - 1) / blocks);
  int rowsPerBlock = rowsOfBlock(plan, g);
  std::vector<std::vector<int>> known(std::size_t(area) * std::size_t(plan.perChunk + 1));
  for (int chunk = 0; chunk < plan.chunks(); chunk++) {
    const Stream* first = &plan.streams[std::size_t(chunk * plan.perChunk)];
    int size = plan.chunkSize(chunk);
    auto& slot = known[std::size_t(first->tap * (plan.perChunk + 1) + size)];
    if (slot.empty()) {
      slot.push_back(int(plan.patterns.size()));
      plan.patterns.push_back(makePattern(g, first, size, rowsPerBlock));
    }
    plan.patternOf.push_back(slot[0]);
  }
  return plan;
}

void cutTasks(const GroupPlan& plan, int group, int parts, std::vector<WeightTask>& tasks) {
  int outBlocks = plan.outBlocks(), chunks = plan.chunks();
  if (!outBlocks || !chunks) return;
  int outStep = std::min(outBlocks, 16);
  int chunkStep = std::max(1, std::min(kTilesPerTask / outStep, (chunks + parts - 1) / parts));
  int chunkParts = (chunks + chunkStep - 1) / chunkStep;
  if (chunkParts < parts) outStep = std::max(1, std::min(outStep, outBlocks * chunkParts / parts));
  for (int o = 0; o < outBlocks; o += outStep)
    for (int c = 0; c < chunks; c += chunkStep)
      tasks.push_back({group, o, std::min(outBlocks, o + outStep), c, std::min(chunks, c + chunkStep)});
}

struct Planes {
  const float* data;
  Shape shape;
  const float* plane(int block, int channel) const {
    return data + (std::int64_t(block) * shape.channels + channel) * shape.pixels() * kLanes;
  }
};

// How far ahead of a tile the next block of rows lies, in floats; 0 where another tile has fetched it.
struct Ahead {
  std::int64_t grad, source;
};

void runTile(const GroupPlan& plan, const Kernels& kernels, const Planes& input, const Planes& grad, int block,
             int blocks, int outBlock, int chunk, int rowBlock, int sourceStep, Ahead ahead, float* accumulator) {
  alignas(64) static const float zeros[kLanes] = {};
  const Pattern& pattern = plan.patterns[std::size_t(plan.patternOf[std::size_t(chunk)])];
  const float *grads[16], *sources[kMaxStreams];
  WeightTile tile;
  int firstOut = outBlock * plan.tileOuts;
  tile.outs = std::min(plan.tileOuts, int(plan.outs.size()) - firstOut);
  tile.streams = plan.chunkSize(chunk);
  for (int o = 0; o < tile.outs; o++) grads[o] = grad.plane(block, plan.outs[std::size_t(firstOut + o)]);
  for (int s = 0; s < tile.streams; s++)
    sources[s] = input.plane(block, plan.streams[std::size_t(chunk * plan.perChunk + s)].channel);
  tile.grad = grads;
  tile.source = sources;
  tile.zeros = zeros;
  tile.sourceStep = sourceStep;
  tile.runs = pattern.runs.data() + pattern.rowBlock[std::size_t(rowBlock)];
  tile.runCount = pattern.rowBlock[std::size_t(rowBlock) + 1] - pattern.rowBlock[std::size_t(rowBlock)];
  tile.blocks = blocks;
  tile.gradStride = grad.shape.elements() * kLanes;
  tile.sourceStride = input.shape.elements() * kLanes;
  // The taps of a channel read the same lines: those of its first chunk fetch them.
  const Stream* streams = &plan.streams[std::size_t(chunk * plan.perChunk)];
  tile.planes = streams[0].channel == streams[tile.streams - 1].channel ? 1 : tile.streams;
  tile.gradAhead = ahead.grad, tile.sourceAhead = streams[0].tap == 0 ? ahead.source : 0;
  tile.accumulator = accumulator;
  if (tile.runCount) kernels.weightTile(tile);
}

// Floats of the sums of a task, for each weight one of every lane.
std::int64_t accumulatorFloats(const WeightPlan& plan, const WeightTask& task) {
  const GroupPlan& group = plan.groups[std::size_t(task.group)];
  return std::int64_t(task.chunkEnd - task.chunkBegin) * (task.outEnd - task.outBegin) * group.tileOuts *
         group.perChunk * kLanes;
}

// Blocks of images [first, last); `accumulators` has accumulatorFloats, `weights` receives the sums.
void runTask(const Conv2dGradWeight& a, const Kernels& kernels, const WeightPlan& weightPlan, const WeightTask& task,
             int first, int last, float* accumulators, float* weights) {
  const Conv2dGeometry& g = a.geometry;
  const GroupPlan& plan = weightPlan.groups[std::size_t(task.group)];
  Planes input{a.input, g.input()}, grad{a.gradOutput, g.output()};
  int tileFloats = plan.tileOuts * plan.perChunk * kLanes;
  int chunks = task.chunkEnd - task.chunkBegin, outBlocks = task.outEnd - task.outBegin;
  std::fill_n(accumulators, accumulatorFloats(weightPlan, task), 0.0f);
  int rowBlocks = int(plan.patterns[0].rowBlock.size()) - 1;
  // Tiny images: several blocks a visit. Sums are taken in the order block, row, column in any case.
  int visit = std::max(1, pixelBlock(plan) / g.output().pixels());
  int rows = rowsOfBlock(plan, g);
  std::int64_t gradRows = std::int64_t(rows) * g.outWidth() * kLanes,
               sourceRows = std::int64_t(rows) * g.strideH * g.width * kLanes;
  for (int block = first; block < last; block += visit)
    for (int rowBlock = 0; rowBlock < rowBlocks; rowBlock++)
      for (int o = 0; o < outBlocks; o++)
        for (int c = 0; c < chunks; c++)
          runTile(plan, kernels, input, grad, block, std::min(visit, last - block), task.outBegin + o,
                  task.chunkBegin + c, rowBlock, g.strideW * kLanes, {c ? 0 : gradRows, o ? 0 : sourceRows},
                  accumulators + (std::int64_t(o) * chunks + c) * tileFloats);
  int area = g.kernelHeight * g.kernelWidth, inPerGroup = g.inPerGroup();
  for (int o = 0; o < outBlocks; o++)
    for (int c = 0; c < chunks; c++) {
      int firstOut = (task.outBegin + o) * plan.tileOuts, firstStream = (task.chunkBegin + c) * plan.perChunk;
      int outs = std::min(plan.tileOuts, int(plan.outs.size()) - firstOut),
          streams = plan.chunkSize(task.chunkBegin + c);
      float sums[64];
      kernels.sumLanes(accumulators + (std::int64_t(o) * chunks + c) * tileFloats, outs * streams, sums);
      for (int i = 0; i < outs * streams; i++) {
        const Stream& stream = plan.streams[std::size_t(firstStream + i % streams)];
        int out = plan.outs[std::size_t(firstOut + i / streams)];
        weights[(std::int64_t(out) * inPerGroup + stream.channel % inPerGroup) * area + stream.tap] = sums[i];
      }
    }
}

// Adds up the parts of an output channel.
void sumParts(const Conv2dGradWeight& a, const WeightPlan& plan, const GroupPlan& group, int out) {
  const Conv2dGeometry& g = a.geometry;
  int area = g.kernelHeight * g.kernelWidth;
  const float* sums = static_cast<const float*>(a.workspace);
  for (const Stream& stream : group.streams) {
    std::int64_t at = (std::int64_t(out) * g.inPerGroup() + stream.channel % g.inPerGroup()) * area + stream.tap;
    float sum = sums[at];
    for (std::int64_t part = 1; part < plan.parts; part++) sum += sums[part * g.weights() + at];
    a.gradWeight[at] = sum;
  }
}

void runDirect(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels) {
  std::int64_t blocks = blocksOf(a.batch), tasks = std::int64_t(plan.tasks.size()), parts = plan.parts;
  std::int64_t floats = 0;
  for (const WeightTask& task : plan.tasks) floats = std::max(floats, accumulatorFloats(plan, task));
  parallelFor(
      tasks * parts, std::size_t(floats) * sizeof(float),
      [&](std::int64_t i, std::byte* memory) {
        const WeightTask& task = plan.tasks[std::size_t(i % tasks)];
        std::int64_t part = i / tasks;
        float* weights = parts == 1 ? a.gradWeight : static_cast<float*>(a.workspace) + part * a.geometry.weights();
        runTask(a, kernels, plan, task, int(blocks * part / parts), int(blocks * (part + 1) / parts),
                reinterpret_cast<float*>(memory), weights);
      },
      {weightTime(plan, blocks * a.geometry.output().pixels() * a.geometry.kernelHeight * a.geometry.kernelWidth) /
       double(tasks * parts)});
  if (parts == 1) return;
  for (const GroupPlan& group : plan.groups)
    parallelFor(std::int64_t(group.outs.size()),
                [&](std::int64_t o) { sumParts(a, plan, group, group.outs[std::size_t(o)]); },
                {double(group.streams.size()) * double(plan.parts)});
}

std::vector<int> between(const std::vector<int>& channels, int first, int last) {
  auto at = [&](int c) { return std::lower_bound(channels.begin(), channels.end(), c); };
  return {at(first), at(last)};
}

}  // namespace

std::int64_t weightParts(const Conv2dGeometry& g, int batch) {
  std::int64_t most = std::min({kMostParts / g.groups, kPartFloats / g.weights(), std::int64_t(blocksOf(batch))});
  return std::max<std::int64_t>(most, 1);
}

WeightPlan makeWeightPlan(const Conv2dGeometry& g, int batch, bool pairs, std::vector<int> liveIn,
                          std::vector<int> liveOut, const Kernels& kernels, int threads) {
  WeightPlan plan;
  plan.geometry = g, plan.pairs = pairs;
  plan.ins = std::move(liveIn), plan.outs = std::move(liveOut);
  plan.form = bestWinogradWeight(plan);
  if (plan.form.points) {
    planWinogradWeight(plan, batch, kernels);
    return plan;
  }
  plan.depthwise = isDepthwiseWeight(g);
  if (plan.depthwise) return plan;
  plan.parts = weightParts(g, batch);
  int cuts = threads == 1 ? 1 : std::max(1, 2 * threads / (g.groups * int(plan.parts)));
  for (int group = 0; group < g.groups; group++) {
    plan.groups.push_back(planGroup(g, kernels,
                                    between(plan.outs, group * g.outPerGroup(), (group + 1) * g.outPerGroup()),
                                    between(plan.ins, group * g.inPerGroup(), (group + 1) * g.inPerGroup())));
    cutTasks(plan.groups.back(), group, cuts, plan.tasks);
  }
  return plan;
}

void CpuBackend::run(const Conv2dGradWeight& a) {
  const Conv2dGeometry& g = a.geometry;
  std::memset(a.gradWeight, 0, std::size_t(g.weights()) * sizeof(float));
  if (a.gradBias) std::memset(a.gradBias, 0, std::size_t(g.outChannels) * sizeof(float));
  const WeightPlan& plan = plans_.weight(g, a.batch, pairs(false), a.liveIn, a.liveOut);
  if (plan.depthwise) runDepthwiseWeight(a, plan, kernels_);
  else if (!plan.form.points) runDirect(a, plan, kernels_);
  else if (runWinogradWeight(a, plan, kernels_)) return;
  if (!a.gradBias) return;
  Shape out = g.output();
  parallelFor(std::int64_t(plan.outs.size()),
              [&](std::int64_t i) {
                int c = plan.outs[std::size_t(i)];
                a.gradBias[c] = kernels_.planeSum(a.gradOutput + std::int64_t(c) * out.pixels() * kLanes,
                                                  out.elements() * kLanes, blocksOf(a.batch), out.pixels());
              },
              {kVectorTime * blocksOf(a.batch) * out.pixels()});
}

}  // namespace selfcompress::cpu
