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

#include "cpu/threads.h"
#include "cpu/winograd_weight_part.h"

namespace selfcompress::cpu {
namespace {

// Floats of transformed tiles that are in work at a time, in the last-level cache.
constexpr std::int64_t kChunkFloats = 1024 * 1024;
constexpr std::int64_t kMostParts = 64;
// Of a part, in the second-level cache: transformed tiles, and sums. Of the sums of all parts together: room for eight
// of the largest ones.
constexpr std::int64_t kPartFloats = 112 * 1024, kPartSums = 160 * 1024, kAllSums = 8 * kPartSums;

// At most so many parts, and such a number that two threads, or four, take as many each: of seven, two threads would
// take four and three.
std::int64_t evenParts(std::int64_t most) {
  if (most < 4) return std::max<std::int64_t>(1, most < 2 ? most : 2);
  return most - most % 4;
}

std::int64_t roundUp(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// A 1x1 kernel has nothing to save, but the product of matrices is the best way to its sums as well: a tile is a pixel.
std::vector<WinogradForm> formsOf(const Conv2dGeometry& g) {
  bool plain = g.kernelHeight == 1 && g.kernelWidth == 1 && g.strideH == 1 && g.strideW == 1 && !g.padH && !g.padW;
  if (plain && g.groups == 1) return {{1, 1}};
  return winogradForms(g);
}

// The sums of all parts over one point, of an output channel with `count` of its inputs, neighbours from `first` on.
void addParts(const WeightPlan& plan, const float* sums, std::int64_t point, std::int64_t out, std::int64_t first,
              std::int64_t count, float* to) {
  const float* from = sums + (point * std::int64_t(plan.outs.size()) + out) * plan.inWidth + first;
  std::copy_n(from, count, to);
  for (std::int64_t part = 1; part < plan.parts; part++) {
    from += plan.sumFloats();
    for (std::int64_t i = 0; i < count; i++) to[i] += from[i];
  }
}

// The filters of an output channel from the sums of all parts.
void writeWeights(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels, const float* sums,
                  std::int64_t out) {
  const Conv2dGeometry& g = plan.geometry;
  const int area = g.kernelHeight * g.kernelWidth;
  const auto ins = std::int64_t(plan.ins.size());
  float points[64 * kLanes], filter[25 * kLanes];
  float* to = a.gradWeight + std::int64_t(plan.outs[std::size_t(out)]) * g.inChannels * area;
  // Without a transform as many inputs at a time as there is room for: parts lie far from each other.
  const std::int64_t step = plan.form.points == 1 ? 64 * kLanes : kLanes;
  for (std::int64_t first = 0; first < plan.inWidth; first += step) {
    const std::int64_t count = std::min(step, plan.inWidth - first);
    for (int point = 0; point < plan.form.area(); point++)
      addParts(plan, sums, point, out, first, count, points + point * kLanes);
    const float* taps = points;
    if (plan.form.points > 1) {
      kernels.winogradFilter(points, kLanes, plan.form.points, g.kernelHeight, filter);
      taps = filter;
    }
    for (std::int64_t c = first; c < std::min(first + step, ins); c++)
      for (int tap = 0; tap < area; tap++)
        to[std::int64_t(plan.ins[std::size_t(c)]) * area + tap] = taps[tap * kLanes + c - first];
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
    most = std::max(
        most, std::max(form.area() * ins * outs, kAllSums) + std::max(outs * kLanes, kAllSums / form.area()) + rows);
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
    plan.parts = evenParts(
        std::min(std::max(std::min<std::int64_t>(tiles / 8, 16), std::min(tiles / 32, kMostParts)), kAllSums / sums));
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
  auto run = [&](std::int64_t part, float* rows) {
    WeightPart(a, plan, kernels, sums + part * plan.sumFloats(), bias + part * outs * kLanes, rows)
        .run(tiles * part / parts, tiles * (part + 1) / parts);
  };
  if (parts == 1) run(0, shared);
  else
    parallelFor(parts, std::size_t(plan.rowFloats()) * sizeof(float),
                [&](std::int64_t part, std::byte* memory) { run(part, reinterpret_cast<float*>(memory)); },
                {weightTime(plan, plan.form.area() * tiles / parts)});
  parallelFor(outs, [&](std::int64_t o) { writeWeights(a, plan, kernels, sums, o); },
              {4.0 * double(plan.ins.size()) * plan.form.area() * double(parts)});
  if (!sumsBias(a, plan)) return false;
  writeBias(a, plan, kernels, bias);
  return true;
}

}  // namespace selfcompress::cpu
