#include "cpu/winograd_weight_part.h"

#include <algorithm>

#include "cpu/threads.h"

namespace selfcompress::cpu {
namespace {

// Rows that stay in the first-level cache while blocks of outputs pass over them. Each of their sums starts from zero,
// which also keeps the rounding errors of long sums small.
constexpr std::int64_t kRowsAtOnce = 128;

constexpr int kMostTileOuts = 16;

// Smaller planes would make sums that are too short.
constexpr std::int64_t kLeastPixels = kRowsAtOnce / kLanes;

}  // namespace

// A tile is a pixel, and the gradient's factors are floats as they are: products read them from its planes.
bool WeightPart::readsPlanes() const {
  return plan_.form.points == 1 && !plan_.pairs && a_.geometry.output().pixels() >= kLeastPixels;
}

void WeightPart::run(std::int64_t begin, std::int64_t end) const {
  std::int64_t inGroups = plan_.inWidth / kLanes, blocks = std::int64_t(plan_.blocks.size()),
               groups = inGroups + (readsPlanes() ? 0 : blocks);
  std::int64_t length = plan_.form.points == 1 ? 16 : 2;
  for (std::int64_t first = begin; first < end; first += plan_.chunk) {
    std::int64_t count = std::min(plan_.chunk, end - first), lengths = (count + length - 1) / length;
    parallelFor(lengths * groups,
                [&](std::int64_t task) {
                  std::int64_t from = task / groups * length, group = task % groups;
                  std::int64_t end = std::min(count, from + length);
                  if (plan_.form.points == 1) {
                    if (group < inGroups) transposePixels(first + from, from, end - from, group);
                    else copyGrads(first + from, from, end - from, group - inGroups);
                    return;
                  }
                  for (std::int64_t t = from; t < end; t++) {
                    if (group < inGroups) fillInput(first + t, t, group);
                    else fillGrad(first + t, t, group - inGroups);
                  }
                },
                {double(length) * 50 * plan_.form.area()});
    // Few points: output channels are shared out as well.
    std::int64_t shares = plan_.form.points == 1 ? blocks : 1;
    parallelFor(plan_.form.area() * shares,
                [&](std::int64_t task) {
                  if (readsPlanes()) return multiplyPlanes(first, count, task, first > begin);
                  multiply(task / shares, task % shares * blocks / shares, blocks / shares, count, first > begin);
                },
                {weightTime(plan_, count) / double(shares)});
  }
}

WinogradTiles WeightPart::tilesOf(const WinogradTile* place, Shape shape, std::int64_t pointStride) const {
  return {place, 1, shape.height, shape.width, plan_.form.points, plan_.form.outputs, pointStride};
}

// Sixteen channels of some pixels as rows: [group][row][16].
void WeightPart::transposePixels(std::int64_t first, std::int64_t inChunk, std::int64_t count,
                                 std::int64_t group) const {
  alignas(64) static const float zeros[kLanes] = {};
  Shape shape = a_.geometry.input();
  std::int64_t perTile = plan_.rowsPerTile() * kLanes, plane = std::int64_t(shape.pixels()) * kLanes,
               channel = group * kLanes,
               live = std::min<std::int64_t>(kLanes, std::int64_t(plan_.ins.size()) - channel);
  float* to = input_ + (group * plan_.chunk + inChunk) * perTile;
  const float* vectors[kLanes];
  std::fill_n(vectors, kLanes, zeros);
  for (std::int64_t t = first; t < first + count; t++, to += perTile) {
    std::int64_t at = t / shape.pixels() * shape.channels * plane + t % shape.pixels() * kLanes;
    for (std::int64_t c = 0; c < live; c++) vectors[c] = a_.input + plan_.ins[std::size_t(channel + c)] * plane + at;
    transpose(vectors, to, 4 * kLanes);
  }
}

// A block of outputs of some pixels: [block][pixel][out of the block][rows of a pixel].
void WeightPart::copyGrads(std::int64_t first, std::int64_t inChunk, std::int64_t count, std::int64_t block) const {
  Shape shape = a_.geometry.output();
  const ProductBlock& b = plan_.blocks[std::size_t(block)];
  std::int64_t perTile = plan_.rowsPerTile(), index = b.panel / (plan_.chunk * perTile);
  auto copy = plan_.pairs ? kernels_.pairs.copyVectors : kernels_.copyVectors;
  for (std::int64_t o = 0; o < b.outs; o++) {
    const float* plane = a_.gradOutput + std::int64_t(plan_.outs[std::size_t(index + o)]) * shape.pixels() * kLanes;
    float* to = grad_ + b.panel + (inChunk * b.outs + o) * perTile;
    for (std::int64_t at = first, end = first + count; at < end;) {
      std::int64_t n = at / shape.pixels(), run = std::min(end, (n + 1) * shape.pixels()) - at;
      copy(plane + (n * shape.elements() + at % shape.pixels()) * kLanes, run, to, b.outs * perTile);
      at += run, to += run * b.outs * perTile;
    }
  }
}

// Transforms sixteen channels of a tile and writes them as rows: [point][group][row][16].
void WeightPart::fillInput(std::int64_t tile, std::int64_t inChunk, std::int64_t group) const {
  // Seventeen vectors from point to point: an odd number, as in winograd.cpp.
  constexpr std::int64_t kStride = (kLanes + 1) * kLanes;
  alignas(64) float buffer[64 * kStride];
  alignas(64) static const float zeros[kLanes] = {};
  const Conv2dGeometry& g = a_.geometry;
  Shape shape = g.input();
  WinogradTile place = plan_.form.tile(tile, g.output(), shape, g.padH, g.padW);
  WinogradTiles tiles = tilesOf(&place, shape, kStride);
  const float* vectors[kLanes];
  std::int64_t first = group * kLanes, live = std::min<std::int64_t>(kLanes, std::int64_t(plan_.ins.size()) - first);
  std::int64_t planeFloats = std::int64_t(shape.pixels()) * kLanes;
  for (std::int64_t c = 0; c < kLanes; c++) {
    vectors[c] = zeros;
    if (c >= live) continue;
    const float* plane = a_.input + plan_.ins[std::size_t(first + c)] * planeFloats;
    vectors[c] = buffer + c * kLanes;
    tiles.ahead = planesAhead(plan_.ins, std::size_t(first + c)) * planeFloats;
    kernels_.winogradInput(tiles, plane, buffer + c * kLanes);
  }
  std::int64_t perTile = plan_.rowsPerTile();
  float* to = input_ + (group * plan_.chunk + inChunk) * perTile * kLanes;
  for (int point = 0; point < plan_.form.area(); point++, to += plan_.inPoint()) {
    transpose(vectors, to, 0);
    for (std::int64_t c = 0; c < live; c++) vectors[c] += kStride;
  }
}

// Transforms the channels of a block: [point][block][tile][out of the block][rows of a tile].
void WeightPart::fillGrad(std::int64_t tile, std::int64_t inChunk, std::int64_t block) const {
  const Conv2dGeometry& g = a_.geometry;
  Shape shape = g.output();
  WinogradTile place = plan_.form.tile(tile, shape, shape, 0, 0);
  WinogradTiles tiles = tilesOf(&place, shape, plan_.gradPoint());
  const ProductBlock& b = plan_.blocks[std::size_t(block)];
  std::int64_t perTile = plan_.rowsPerTile(), planeFloats = std::int64_t(shape.pixels()) * kLanes,
               first = b.panel / (plan_.chunk * perTile);
  float* to = grad_ + b.panel + inChunk * b.outs * perTile;
  auto transform = plan_.pairs ? kernels_.pairs.winogradGrad : kernels_.winogradGrad;
  for (std::int64_t o = 0; o < b.outs; o++) {
    auto index = std::size_t(first + o);
    tiles.ahead = planesAhead(plan_.outs, index) * planeFloats;
    transform(tiles, a_.gradOutput + plan_.outs[index] * planeFloats, to + o * perTile);
  }
}

// Adds pixels [first, first + count) to the sums of a block of outputs, image block by image block.
void WeightPart::multiplyPlanes(std::int64_t first, std::int64_t count, std::int64_t block, bool resume) const {
  const Shape shape = a_.geometry.output();
  const ProductBlock& outs = plan_.blocks[std::size_t(block)];
  const std::int64_t firstOut = outs.panel / (plan_.chunk * kLanes), pixels = shape.pixels();
  const float* planes[kMostTileOuts];
  Products p;
  p.sourceStride = plan_.chunk * kLanes * kLanes, p.termStride = kLanes;
  p.positions = int(plan_.inWidth / kLanes);
  p.planes = planes, p.blocks = &outs, p.blockCount = 1;
  p.target = sums_ + firstOut * plan_.inWidth;
  p.outStride = plan_.inWidth, p.targetStride = kLanes;
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t n = (first + done) / pixels, pixel = (first + done) % pixels,
                       run = std::min({count - done, pixels - pixel, kRowsAtOnce / kLanes});
    for (int o = 0; o < outs.outs; o++)
      planes[o] =
          a_.gradOutput + ((n * shape.channels + plan_.outs[std::size_t(firstOut + o)]) * pixels + pixel) * kLanes;
    p.source = input_ + done * kLanes * kLanes;
    p.terms = int(run * kLanes), p.accumulate = resume || done > 0;
    kernels_.products(p);
    if (sumsBias(a_, plan_))
      for (int o = 0; o < outs.outs; o++)
        kernels_.addVectors(planes[o], run, bias_ + (firstOut + o) * kLanes, resume || done > 0);
    done += run;
  }
}

// Adds the rows of a chunk to the sums of one point and some blocks of outputs.
void WeightPart::multiply(std::int64_t point, std::int64_t firstBlock, std::int64_t blocks, std::int64_t tiles,
                          bool resume) const {
  std::int64_t perTile = plan_.rowsPerTile(), rows = tiles * perTile;
  const ProductBlock& first = plan_.blocks[std::size_t(firstBlock)];
  Products p;
  p.sourceStride = plan_.chunk * perTile * kLanes, p.termStride = kLanes;
  p.positions = int(plan_.inWidth / kLanes);
  p.panel = grad_ + point * plan_.gradPoint(), p.lanes = true;
  p.blocks = &first, p.blockCount = int(blocks);
  p.target = sums_ + point * std::int64_t(plan_.outs.size()) * plan_.inWidth +
             first.panel / (plan_.chunk * perTile) * plan_.inWidth;
  p.outStride = plan_.inWidth, p.targetStride = kLanes;
  for (std::int64_t begin = 0; begin < rows; begin += kRowsAtOnce) {
    p.source = input_ + point * plan_.inPoint() + begin * kLanes;
    p.firstTerm = int(begin), p.terms = int(std::min(rows - begin, kRowsAtOnce));
    p.accumulate = resume || begin > 0;
    (plan_.pairs ? kernels_.pairs.products : kernels_.products)(p);
  }
  if (point == biasPoint(plan_.form) && sumsBias(a_, plan_))
    for (std::int64_t b = firstBlock; b < firstBlock + blocks; b++)
      addBias(plan_.blocks[std::size_t(b)], tiles, resume);
}

void WeightPart::addBias(const ProductBlock& block, std::int64_t tiles, bool resume) const {
  const float* from = grad_ + biasPoint(plan_.form) * plan_.gradPoint() + block.panel;
  float* sums = bias_ + block.panel / plan_.chunk;
  std::int64_t floats = block.outs * kLanes;
  if (!resume) std::fill_n(sums, floats, 0.0f);
  for (std::int64_t t = 0; t < tiles; t++, from += floats)
    for (std::int64_t i = 0; i < floats; i++) sums[i] += from[i];
}

void WeightPart::transpose(const float* const* vectors, float* to, std::int64_t ahead) const {
  (plan_.pairs ? kernels_.pairs.transposeLanes : kernels_.transposeLanes)(vectors, to, ahead);
}

}  // namespace selfcompress::cpu
