// Weight gradient by Winograd's minimal filtering: the gradient's tiles are the filters of F(r x r, m x m) on the
// input's tiles, so that one product for each pair of channels and point takes the place of r^2 m^2 / N^2 (N points on
// an axis).
//
// At each point the sum over tiles and images is a product of matrices, [outs x rows] x [rows x ins], a row being one
// image of one tile. The input's side is transposed to rows when it is transformed, so that a vector holds 16 input
// channels; the gradient's factors are broadcast from where its transform leaves them.
//
// Few channels: the tiles are cut into parts, each of which is one task with sums of its own, and what it has in work
// stays in the second-level cache. Many: one part, whose chunks all threads share. The cut depends on the convolution
// and the batch alone, and sums are taken in order: results do not depend on the number of threads.
#include <algorithm>

#include "cpu/conv2d_weight_plan.h"
#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

// Floats of transformed tiles that are in work at a time, in the last-level cache. With several parts: of all their
// sums together.
constexpr std::int64_t kChunkFloats = 1024 * 1024;
constexpr std::int64_t kMostParts = 64;
// Of a part, in the second-level cache: transformed tiles, and sums.
constexpr std::int64_t kPartFloats = 112 * 1024, kPartSums = 160 * 1024;
// Rows that stay in the first-level cache while blocks of outputs pass over them. Each of their sums starts from zero,
// which also keeps the rounding errors of long sums small.
constexpr std::int64_t kRowsAtOnce = 128;

std::int64_t roundUp(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// A 1x1 kernel has nothing to save, but the product of matrices is the best way to its sums as well: a tile is a pixel.
std::vector<WinogradForm> formsOf(const Conv2dGeometry& g) {
  bool plain = g.kernelHeight == 1 && g.kernelWidth == 1 && g.strideH == 1 && g.strideW == 1 && !g.padH && !g.padW;
  if (plain && g.groups == 1) return {{1, 1}};
  return winogradForms(g);
}

// The gradient's transform has the sum of a tile's gradients, but for a factor, at the point (1, 1) of each axis: the
// bias's gradient costs no pass over memory of its own. bf16 would round them first.
bool sumsBias(const Conv2dGradWeight& a, const WeightPlan& plan) { return a.gradBias && !plan.pairs; }
int biasPoint(WinogradForm form) { return form.points == 1 ? 0 : form.points + 1; }
float biasFactor(WinogradForm form) { return form.points == 1 ? 1.0f : form.points == 6 ? 36.0f : 20.25f; }

// The work on one part of the tiles. `bias`: [outs][16], what sumsBias is about.
class PartWork {
 public:
  PartWork(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels, float* sums, float* bias,
           float* rows)
      : a_(a),
        plan_(plan),
        kernels_(kernels),
        sums_(sums),
        bias_(bias),
        input_(rows),
        grad_(rows + plan.form.area() * plan.inPoint()) {}

  void run(std::int64_t begin, std::int64_t end) const {
    std::int64_t inGroups = plan_.inWidth / kLanes, groups = inGroups + std::int64_t(plan_.blocks.size());
    std::int64_t length = plan_.form.points == 1 ? 16 : 2;
    for (std::int64_t first = begin; first < end; first += plan_.chunk) {
      std::int64_t count = std::min(plan_.chunk, end - first), lengths = (count + length - 1) / length;
      parallelFor(lengths * groups, [&](std::int64_t task) {
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
      });
      // Few points: output channels are shared out as well.
      std::int64_t blocks = std::int64_t(plan_.blocks.size()), shares = plan_.form.points == 1 ? blocks : 1;
      parallelFor(plan_.form.area() * shares, [&](std::int64_t task) {
        multiply(task / shares, task % shares * blocks / shares, blocks / shares, count, first > begin);
      });
    }
  }

 private:
  WinogradTiles tilesOf(const WinogradTile* place, Shape shape, std::int64_t pointStride) const {
    return {place, 1, shape.height, shape.width, plan_.form.points, plan_.form.outputs, pointStride};
  }

  // Sixteen channels of some pixels as rows: [group][row][16].
  void transposePixels(std::int64_t first, std::int64_t inChunk, std::int64_t count, std::int64_t group) const {
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
  void copyGrads(std::int64_t first, std::int64_t inChunk, std::int64_t count, std::int64_t block) const {
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
  void fillInput(std::int64_t tile, std::int64_t inChunk, std::int64_t group) const {
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
  void fillGrad(std::int64_t tile, std::int64_t inChunk, std::int64_t block) const {
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

  // Adds the rows of a chunk to the sums of one point and some blocks of outputs.
  void multiply(std::int64_t point, std::int64_t firstBlock, std::int64_t blocks, std::int64_t tiles,
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

  void addBias(const ProductBlock& block, std::int64_t tiles, bool resume) const {
    const float* from = grad_ + biasPoint(plan_.form) * plan_.gradPoint() + block.panel;
    float* sums = bias_ + block.panel / plan_.chunk;
    std::int64_t floats = block.outs * kLanes;
    if (!resume) std::fill_n(sums, floats, 0.0f);
    for (std::int64_t t = 0; t < tiles; t++, from += floats)
      for (std::int64_t i = 0; i < floats; i++) sums[i] += from[i];
  }

  void transpose(const float* const* vectors, float* to, std::int64_t ahead) const {
    (plan_.pairs ? kernels_.pairs.transposeLanes : kernels_.transposeLanes)(vectors, to, ahead);
  }

  const Conv2dGradWeight& a_;
  const WeightPlan& plan_;
  const Kernels& kernels_;
  float *sums_, *bias_, *input_, *grad_;
};

// The filters of an output channel from the sums of all parts.
void writeWeights(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels, const float* sums,
                  std::int64_t out) {
  const Conv2dGeometry& g = plan.geometry;
  int area = g.kernelHeight * g.kernelWidth;
  float points[64 * kLanes], filter[25 * kLanes];
  float* to = a.gradWeight + std::int64_t(plan.outs[std::size_t(out)]) * g.inChannels * area;
  for (std::int64_t first = 0; first < plan.inWidth; first += kLanes) {
    std::fill_n(points, plan.form.area() * kLanes, 0.0f);
    for (std::int64_t part = 0; part < plan.parts; part++)
      for (int point = 0; point < plan.form.area(); point++) {
        const float* from =
            sums + part * plan.sumFloats() + (point * std::int64_t(plan.outs.size()) + out) * plan.inWidth + first;
        for (int lane = 0; lane < kLanes; lane++) points[point * kLanes + lane] += from[lane];
      }
    if (plan.form.points == 1) std::copy_n(points, kLanes, filter);
    else kernels.winogradFilter(points, kLanes, plan.form.points, g.kernelHeight, filter);
    for (std::int64_t c = first; c < std::min(first + kLanes, std::int64_t(plan.ins.size())); c++)
      for (int tap = 0; tap < area; tap++)
        to[std::int64_t(plan.ins[std::size_t(c)]) * area + tap] = filter[tap * kLanes + c - first];
  }
}

void writeBias(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels, const float* bias) {
  std::int64_t outs = std::int64_t(plan.outs.size());
  for (std::int64_t o = 0; o < outs; o++) {
    float sum = 0, part[1];
    for (std::int64_t i = 0; i < plan.parts; i++) {
      kernels.sumLanes(bias + (i * outs + o) * kLanes, 1, part);
      sum += part[0];
    }
    a.gradBias[plan.outs[std::size_t(o)]] = biasFactor(plan.form) * sum;
  }
}

}  // namespace

std::int64_t winogradWeightWorkspace(const Conv2dGeometry& g) {
  std::int64_t most = 0, ins = roundUp(g.inChannels, kLanes), outs = g.outChannels;
  for (WinogradForm form : formsOf(g)) {
    // Fewer live channels may take larger chunks, but never more floats than this, and several parts no more sums.
    std::int64_t rows = std::max(kChunkFloats, form.area() * 2 * kLanes * (ins + outs)) + form.area() * 3 * kLanes;
    most = std::max(most, std::max(form.area() * ins * outs, kChunkFloats) +
                              std::max(outs * kLanes, kChunkFloats / form.area()) + rows);
  }
  return most;
}

// The form with the least work, in half cycles for each output pixel of 16 images: of a multiply-add 1 to 1.8 in the
// direct form's small tiles, 1.25 (bf16: 0.7) in a product, and what the transforms, or copies, of a point take.
WinogradForm bestWinogradWeight(const WeightPlan& plan) {
  const Conv2dGeometry& g = plan.geometry;
  std::int64_t liveIn = std::int64_t(plan.ins.size()), liveOut = std::int64_t(plan.outs.size());
  WinogradForm best;
  if (!liveIn || !liveOut) return best;
  double outs = double(liveOut), product = plan.pairs ? 0.7 : 1.25;
  double least = (g.kernelHeight == 5 ? 1.3 : 1.75) * g.kernelHeight * g.kernelWidth * double(liveIn * liveOut);
  for (WinogradForm form : formsOf(g)) {
    double ins = double(roundUp(liveIn, kLanes)), points = double(form.tiles(g.output())) * form.area();
    double transform = form.points == 1 ? 5 * (double(liveIn) + outs) : 14.5 * double(liveIn) + 7.2 * outs;
    double work = points / g.output().pixels() * (ins * (product * outs + 5) + transform);
    if (work < least) least = work, best = form;
  }
  return best;
}

void planWinogradWeight(WeightPlan& plan, int batch, const Kernels& kernels) {
  std::int64_t outs = std::int64_t(plan.outs.size()), tiles = plan.form.tiles(plan.geometry.output()) * blocksOf(batch);
  plan.inWidth = roundUp(std::int64_t(plan.ins.size()), kLanes);
  std::int64_t perTile = plan.form.area() * kLanes * (plan.inWidth + outs), sums = plan.sumFloats();
  if (sums <= kPartSums)
    plan.parts = std::max<std::int64_t>(
        1, std::min({std::max(std::min<std::int64_t>(tiles / 8, 16), std::min(tiles / 32, kMostParts)),
                     kChunkFloats / sums}));
  plan.chunk = std::clamp<std::int64_t>((plan.parts > 1 ? kPartFloats : kChunkFloats) / perTile, 2, 64);
  std::int64_t count = (outs + kernels.tileOuts - 1) / kernels.tileOuts;
  for (std::int64_t b = 0; b < count; b++) {
    std::int64_t first = outs * b / count;
    plan.blocks.push_back({int(outs * (b + 1) / count - first), first * plan.chunk * plan.rowsPerTile()});
  }
}

bool runWinogradWeight(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels) {
  std::int64_t tiles = plan.form.tiles(a.geometry.output()) * blocksOf(a.batch), parts = plan.parts,
               outs = std::int64_t(plan.outs.size());
  float *sums = static_cast<float*>(a.workspace), *bias = sums + parts * plan.sumFloats(),
        *shared = bias + parts * outs * kLanes;
  parallelFor(parts, [&](std::int64_t part) {
    float* rows = parts > 1 ? threadMemory(plan.rowFloats()) : shared;
    PartWork(a, plan, kernels, sums + part * plan.sumFloats(), bias + part * outs * kLanes, rows)
        .run(tiles * part / parts, tiles * (part + 1) / parts);
  });
  parallelFor(outs, [&](std::int64_t o) { writeWeights(a, plan, kernels, sums, o); });
  if (!sumsBias(a, plan)) return false;
  writeBias(a, plan, kernels, bias);
  return true;
}

}  // namespace selfcompress::cpu
