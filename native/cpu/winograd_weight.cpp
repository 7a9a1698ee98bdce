// Weight gradient by Winograd's minimal filtering: the gradient's tiles are the filters of F(r x r, m x m) on the
// input's tiles, so that one product for each pair of channels and point takes the place of r^2 m^2 / N^2 (N points on
// an axis).
//
// At each point the sum over tiles and images is a product of matrices, [outs x rows] x [rows x ins], a row being one
// image of one tile. Both sides are transposed to rows when they are transformed; then the direct form's micro-kernel
// serves again, with 16 input channels in a vector. Chunks of tiles are taken in order, by all threads together: the
// sums do not depend on the number of threads.
#include <algorithm>

#include "cpu/conv2d_weight_plan.h"
#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

// Floats of transformed tiles that are held at a time: with the sums they stay in the last-level cache.
constexpr std::int64_t kChunkFloats = 1024 * 1024;

std::int64_t roundUp(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

struct Side {  // input or gradient
  const float* data;
  Shape shape;
  const std::vector<int>* channels;
  std::int64_t width;  // channels, padded to whole groups
  int group;           // channels of a group: of a vector, or of two register tiles
  int padH, padW;
  float* rows;  // [point][group][row][channel of the group]: a product reads each group from start to end
};

// Rows that stay in the first-level cache while blocks of outputs pass over them. Each part's sum starts from zero,
// which also keeps the rounding errors of long sums small.
constexpr std::int64_t kPart = 128;

struct Run {
  const WeightPlan& plan;
  const Kernels& kernels;
  Side input, grad;
  float* sums;  // [point][outs, padded][ins, padded]
};

// Transforms sixteen channels of one tile and writes them as rows.
void fillRows(const Run& run, const Side& side, bool isInput, std::int64_t tile, std::int64_t row, int group) {
  // Seventeen vectors from point to point: an odd number, as in winograd.cpp.
  constexpr std::int64_t kStride = (kLanes + 1) * kLanes;
  alignas(64) float buffer[64 * kStride];
  alignas(64) static const float zeros[kLanes] = {};
  const WeightPlan& plan = run.plan;
  WinogradTile place = plan.form.tile(tile, run.grad.shape, side.shape, side.padH, side.padW);
  WinogradTiles tiles{&place, 1, side.shape.height, side.shape.width, plan.form.points, plan.form.outputs, kStride};
  int first = group * side.group, live = std::min(side.group, int(side.channels->size()) - first);
  const float* vectors[kLanes];
  for (int c = 0; c < kLanes; c++) {
    vectors[c] = zeros;
    if (c >= live) continue;
    const float* plane =
        side.data + std::int64_t((*side.channels)[std::size_t(first + c)]) * side.shape.pixels() * kLanes;
    vectors[c] = buffer + c * kLanes;
    tiles.ahead = planesAhead(*side.channels, std::size_t(first + c)) * side.shape.pixels() * kLanes;
    if (plan.form.points == 1) vectors[c] = plane + place.source + (place.y * side.shape.width + place.x) * kLanes;
    else if (isInput) run.kernels.winogradInput(tiles, plane, buffer + c * kLanes);
    else run.kernels.winogradGrad(tiles, plane, buffer + c * kLanes);
  }
  std::int64_t perTile = plan.rowsPerTile(), rows = plan.chunk * perTile;
  auto transpose = plan.pairs ? run.kernels.pairs.transposeLanes : run.kernels.transposeLanes;
  float* to = side.rows + (group * rows + row * perTile) * side.group;
  for (int point = 0; point < plan.form.area(); point++) {
    transpose(vectors, to + point * rows * side.width, side.group, side.group);
    for (int c = 0; c < live; c++) vectors[c] += kStride;
  }
}

// Adds the rows of a chunk to the sums of one point and the outputs [firstOut, lastOut).
void multiply(const Run& run, int point, std::int64_t firstOut, std::int64_t lastOut, std::int64_t rows, bool resume) {
  const WeightPlan& plan = run.plan;
  const Side &input = run.input, &grad = run.grad;
  int tileOuts = run.kernels.tileOuts;
  std::int64_t allRows = plan.chunk * plan.rowsPerTile();
  auto convTiles = plan.pairs ? run.kernels.pairs.convTiles : run.kernels.convTiles;
  std::int64_t offsets[16];
  for (int o = 0; o < tileOuts; o++) offsets[o] = o * input.width;
  ConvTiles tiles;
  tiles.entries = plan.entries.data();
  tiles.positions = plan.positions.data();
  tiles.positionCount = int(plan.positions.size());
  tiles.outs = tileOuts;
  tiles.outOffset = offsets;
  for (std::int64_t begin = 0; begin < rows; begin += kPart) {
    tiles.source = input.rows + point * allRows * input.width + begin * kLanes;
    tiles.entryCount = int(std::min(rows - begin, kPart));
    tiles.accumulate = resume || begin > 0;
    for (std::int64_t first = firstOut; first < lastOut; first += tileOuts) {
      std::int64_t group = first / grad.group;
      tiles.panel =
          grad.rows + point * allRows * grad.width + (group * allRows + begin) * grad.group + first % grad.group;
      tiles.target = run.sums + (point * grad.width + first) * input.width;
      convTiles(tiles);
    }
  }
}

void writeWeights(const Run& run, const Conv2dGradWeight& a, int outIndex) {
  const WeightPlan& plan = run.plan;
  const Conv2dGeometry& g = a.geometry;
  int area = g.kernelHeight * g.kernelWidth, ins = int(plan.ins.size());
  float filter[25 * kLanes];
  float* to = a.gradWeight + std::int64_t(plan.outs[std::size_t(outIndex)]) * g.inChannels * area;
  for (int first = 0; first < ins; first += kLanes) {
    const float* sums = run.sums + outIndex * plan.inWidth + first;
    if (plan.form.points == 1) std::copy_n(sums, kLanes, filter);
    else run.kernels.winogradFilter(sums, plan.outWidth * plan.inWidth, plan.form.points, g.kernelHeight, filter);
    for (int c = first; c < std::min(ins, first + kLanes); c++)
      for (int tap = 0; tap < area; tap++)
        to[std::int64_t(plan.ins[std::size_t(c)]) * area + tap] = filter[tap * kLanes + c - first];
  }
}

std::int64_t chunkOf(WinogradForm form, std::int64_t ins, std::int64_t outs) {
  return std::clamp<std::int64_t>(kChunkFloats / (form.area() * kLanes * (ins + outs)), 2, 64);
}

constexpr int kMostTileOuts = 8;

// A 1x1 kernel has nothing to save, but the product of matrices is the best way to its sums as well.
std::vector<WinogradForm> formsOf(const Conv2dGeometry& g) {
  bool plain = g.kernelHeight == 1 && g.kernelWidth == 1 && g.strideH == 1 && g.strideW == 1 && !g.padH && !g.padW;
  if (plain && g.groups == 1) return {{1, 1}};
  return winogradForms(g);
}

}  // namespace

std::int64_t winogradWeightWorkspace(const Conv2dGeometry& g) {
  std::int64_t most = 0, ins = roundUp(g.inChannels, kLanes), outs = g.outChannels + 2 * kMostTileOuts;
  for (WinogradForm form : formsOf(g)) {
    // Fewer live channels may take larger chunks, but never more floats than this.
    std::int64_t rows = std::max(kChunkFloats, form.area() * 2 * kLanes * (ins + outs));
    most = std::max(most, form.area() * ins * outs + rows + kLanes);
  }
  return most;
}

// As bestWinograd; the direct form's small tiles take 1.6 cycles for a multiply-add with 3x3 kernels, 1.3 with 5x5.
WinogradForm bestWinogradWeight(const WeightPlan& plan) {
  const Conv2dGeometry& g = plan.geometry;
  std::int64_t liveIn = std::int64_t(plan.ins.size()), liveOut = std::int64_t(plan.outs.size());
  WinogradForm best;
  bool one = g.kernelHeight == 1;
  if (!liveIn || !liveOut || (one && (liveIn < 128 || liveOut < 128))) return best;
  double ins = double(roundUp(liveIn, kLanes)), outs = double(roundUp(liveOut, 4));
  double least = (g.kernelHeight == 5 ? 1.3 : 1.6) * double(g.output().pixels()) * g.kernelHeight * g.kernelWidth *
                 double(liveIn * liveOut);
  for (WinogradForm form : formsOf(g)) {
    double transform = one ? 8 : 26, product = plan.pairs ? 0.6 : 1.1;
    double work = double(form.tiles(g.output())) * form.area() * (product * ins * outs + transform * (ins + outs));
    if (work < least) least = work, best = form;
  }
  return best;
}

void planWinogradWeight(WeightPlan& plan, const Kernels& kernels) {
  int tileOuts = kernels.tileOuts;
  plan.outGroup = int(plan.outs.size()) <= tileOuts ? tileOuts : 2 * tileOuts;
  plan.inWidth = roundUp(std::int64_t(plan.ins.size()), kLanes);
  plan.outWidth = roundUp(std::int64_t(plan.outs.size()), plan.outGroup);
  plan.chunk = chunkOf(plan.form, plan.inWidth, plan.outWidth);
  std::int64_t rows = plan.chunk * plan.rowsPerTile();
  for (std::int64_t row = 0; row < std::min(rows, kPart); row++)
    plan.entries.push_back({std::int32_t(row * kLanes), std::int32_t(row * (plan.outGroup / tileOuts))});
  for (std::int64_t i = 0; i < plan.inWidth; i += kLanes) plan.positions.push_back({i * rows, i});
}

void runWinogradWeight(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels) {
  const Conv2dGeometry& g = a.geometry;
  WinogradForm form = plan.form;
  std::int64_t tiles = form.tiles(g.output()) * blocksOf(a.batch), chunk = plan.chunk;
  float* sums = static_cast<float*>(a.workspace);
  float* inputRows = sums + form.area() * plan.inWidth * plan.outWidth;
  float* gradRows = inputRows + form.area() * chunk * plan.rowsPerTile() * plan.inWidth;
  Run run{plan,
          kernels,
          {a.input, g.input(), &plan.ins, plan.inWidth, kLanes, g.padH, g.padW, inputRows},
          {a.gradOutput, g.output(), &plan.outs, plan.outWidth, plan.outGroup, 0, 0, gradRows},
          sums};
  std::int64_t inGroups = plan.inWidth / kLanes, groups = inGroups + plan.outWidth / plan.outGroup;
  for (std::int64_t first = 0; first < tiles; first += chunk) {
    std::int64_t count = std::min(chunk, tiles - first);
    std::int64_t length = form.points == 1 ? 16 : 2, lengths = (count + length - 1) / length;
    parallelFor(lengths * groups, [&](std::int64_t task) {
      std::int64_t begin = task / groups * length, group = task % groups;
      for (std::int64_t row = begin; row < std::min(count, begin + length); row++) {
        if (group < inGroups) fillRows(run, run.input, true, first + row, row, int(group));
        else fillRows(run, run.grad, false, first + row, row, int(group - inGroups));
      }
    });
    // Few points: output channels are shared out as well.
    std::int64_t blocks = roundUp(std::int64_t(plan.outs.size()), kernels.tileOuts) / kernels.tileOuts;
    std::int64_t parts = form.points == 1 ? blocks : 1, step = blocks / parts * kernels.tileOuts;
    parallelFor(form.area() * parts, [&](std::int64_t task) {
      std::int64_t part = task % parts;
      multiply(run, int(task / parts), part * step, (part + 1) * step, count * plan.rowsPerTile(), first > 0);
    });
  }
  parallelFor(std::int64_t(plan.outs.size()), [&](std::int64_t o) { writeWeights(run, a, int(o)); });
}

}  // namespace selfcompress::cpu
