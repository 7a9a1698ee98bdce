// Weight gradient by Winograd's minimal filtering: the gradient's tiles are the filters of F(r x r, m x m) on the
// input's tiles, so that one product for each pair of channels and point takes the place of r^2 m^2 / N^2 (N points on
// an axis).
//
// At each point the sum over tiles and images is a product of matrices, [outs x rows] x [rows x ins], a row being one
// image of one tile. Both sides are transposed to rows when they are transformed; then the direct form's micro-kernel
// serves again, with 16 input channels in a vector. Chunks of tiles are taken in order, by all threads together: the
// sums do not depend on the number of threads.
#include <algorithm>

#include "cpu/conv2d_pass.h"
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

struct Plan {
  const Kernels& kernels;
  WinogradForm form;
  std::int64_t chunk;  // tiles of a full chunk
  bool pairs;          // rows hold words of two images (PairKernels)
  Side input, grad;
  float* sums;                          // [point][outs, padded][ins, padded]
  std::vector<ConvEntry> entries = {};  // of a part: its rows
  std::vector<ConvPosition> positions = {};  // vectors of input channels

  int rowsPerTile() const { return pairs ? kLanes / 2 : kLanes; }
};

// Transforms sixteen channels of one tile and writes them as rows.
void fillRows(const Plan& plan, const Side& side, bool isInput, std::int64_t tile, std::int64_t row, int group) {
  // Seventeen vectors from point to point: an odd number, as in winograd.cpp.
  constexpr std::int64_t kStride = (kLanes + 1) * kLanes;
  alignas(64) float buffer[64 * kStride];
  alignas(64) static const float zeros[kLanes] = {};
  WinogradTile place = plan.form.tile(tile, plan.grad.shape, side.shape, side.padH, side.padW);
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
    else if (isInput) plan.kernels.winogradInput(tiles, plane, buffer + c * kLanes);
    else plan.kernels.winogradGrad(tiles, plane, buffer + c * kLanes);
  }
  std::int64_t perTile = plan.rowsPerTile(), rows = plan.chunk * perTile;
  auto transpose = plan.pairs ? plan.kernels.pairs.transposeLanes : plan.kernels.transposeLanes;
  float* to = side.rows + (group * rows + row * perTile) * side.group;
  for (int point = 0; point < plan.form.area(); point++) {
    transpose(vectors, to + point * rows * side.width, side.group, side.group);
    for (int c = 0; c < live; c++) vectors[c] += kStride;
  }
}

// Adds the rows of a chunk to the sums of one point and the outputs [firstOut, lastOut).
void multiply(const Plan& plan, int point, std::int64_t firstOut, std::int64_t lastOut, std::int64_t rows,
              bool resume) {
  const Side &input = plan.input, &grad = plan.grad;
  int tileOuts = plan.kernels.tileOuts;
  std::int64_t allRows = plan.chunk * plan.rowsPerTile();
  auto convTiles = plan.pairs ? plan.kernels.pairs.convTiles : plan.kernels.convTiles;
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
      tiles.target = plan.sums + (point * grad.width + first) * input.width;
      convTiles(tiles);
    }
  }
}

void writeWeights(const Plan& plan, const Conv2dGradWeight& a, int outIndex) {
  const Conv2dGeometry& g = a.geometry;
  int area = g.kernelHeight * g.kernelWidth, ins = int(plan.input.channels->size());
  float filter[25 * kLanes];
  float* to = a.gradWeight + std::int64_t((*plan.grad.channels)[std::size_t(outIndex)]) * g.inChannels * area;
  for (int first = 0; first < ins; first += kLanes) {
    if (plan.form.points == 1) std::copy_n(plan.sums + outIndex * plan.input.width + first, kLanes, filter);
    else
      plan.kernels.winogradFilter(plan.sums + outIndex * plan.input.width + first, plan.grad.width * plan.input.width,
                                  plan.form.points, g.kernelHeight, filter);
    for (int c = first; c < std::min(ins, first + kLanes); c++)
      for (int tap = 0; tap < area; tap++)
        to[std::int64_t((*plan.input.channels)[std::size_t(c)]) * area + tap] = filter[tap * kLanes + c - first];
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
WinogradForm bestWinogradWeight(const Conv2dGeometry& g, int liveIn, int liveOut, bool pairs) {
  WinogradForm best;
  bool one = g.kernelHeight == 1;
  if (!liveIn || !liveOut || (one && (liveIn < 128 || liveOut < 128))) return best;
  double ins = double(roundUp(liveIn, kLanes)), outs = double(roundUp(liveOut, 4));
  double least = (g.kernelHeight == 5 ? 1.3 : 1.6) * double(g.output().pixels()) * g.kernelHeight * g.kernelWidth *
                 liveIn * liveOut;
  for (WinogradForm form : formsOf(g)) {
    double transform = one ? 8 : 26;
    double work =
        double(form.tiles(g.output())) * form.area() * ((pairs ? 0.6 : 1.1) * ins * outs + transform * (ins + outs));
    if (work < least) least = work, best = form;
  }
  return best;
}

void runWinogradWeight(const Conv2dGradWeight& a, WinogradForm form, const std::vector<int>& liveIn,
                       const std::vector<int>& liveOut, const Kernels& kernels, bool pairs) {
  const Conv2dGeometry& g = a.geometry;
  int group = int(liveOut.size()) <= kernels.tileOuts ? kernels.tileOuts : 2 * kernels.tileOuts;
  std::int64_t ins = roundUp(std::int64_t(liveIn.size()), kLanes), outs = roundUp(std::int64_t(liveOut.size()), group);
  std::int64_t tiles = form.tiles(g.output()) * blocksOf(a.batch), chunk = chunkOf(form, ins, outs);
  float* memory = static_cast<float*>(a.workspace);
  float* inputRows = memory + form.area() * ins * outs;
  Plan plan{kernels,
            form,
            chunk,
            pairs,
            {a.input, g.input(), &liveIn, ins, kLanes, g.padH, g.padW, inputRows},
            {a.gradOutput, g.output(), &liveOut, outs, group, 0, 0, nullptr},
            memory};
  plan.grad.rows = inputRows + form.area() * chunk * plan.rowsPerTile() * ins;
  for (std::int64_t row = 0; row < std::min(chunk * plan.rowsPerTile(), kPart); row++)
    plan.entries.push_back({std::int32_t(row * kLanes), std::int32_t(row * (group / kernels.tileOuts))});
  for (std::int64_t i = 0; i < ins; i += kLanes) plan.positions.push_back({i * chunk * plan.rowsPerTile(), i});
  std::int64_t inGroups = ins / kLanes, groups = inGroups + outs / group;
  for (std::int64_t first = 0; first < tiles; first += chunk) {
    std::int64_t count = std::min(chunk, tiles - first);
    std::int64_t run = form.points == 1 ? 16 : 2, runs = (count + run - 1) / run;
    parallelFor(runs * groups, [&](std::int64_t task) {
      std::int64_t begin = task / groups * run, group = task % groups;
      for (std::int64_t row = begin; row < std::min(count, begin + run); row++) {
        if (group < inGroups) fillRows(plan, plan.input, true, first + row, row, int(group));
        else fillRows(plan, plan.grad, false, first + row, row, int(group - inGroups));
      }
    });
    // Few points: output channels are shared out as well.
    std::int64_t blocks = roundUp(std::int64_t(liveOut.size()), kernels.tileOuts) / kernels.tileOuts;
    std::int64_t parts = form.points == 1 ? blocks : 1, step = blocks / parts * kernels.tileOuts;
    parallelFor(form.area() * parts, [&](std::int64_t task) {
      std::int64_t part = task % parts;
      multiply(plan, int(task / parts), part * step, (part + 1) * step, count * plan.rowsPerTile(), first > 0);
    });
  }
  parallelFor(std::int64_t(liveOut.size()), [&](std::int64_t o) { writeWeights(plan, a, int(o)); });
}

}  // namespace selfcompress::cpu
