// Moments of the output of a convolution, for the batch norm after it.
#include "cpu/conv2d_pass.h"
#include "cpu/cpu_backend.h"
#include "cpu/moments.h"

namespace selfcompress::cpu {
namespace {

std::int64_t winogradTasks(const WinogradForm& form, Shape target, int batch, int tilesPerTask) {
  return (form.tiles(target) * blocksOf(batch) + tilesPerTask - 1) / tilesPerTask;
}

std::size_t headBytes(const Conv2dGeometry& g) {
  return (std::size_t(g.outChannels) * sizeof(ChannelMoments) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

// Vectors enough that the sums over lanes at the end of a part weigh little.
int momentRows(Shape target) { return std::clamp(32 / target.width, 1, target.height); }

std::int64_t partitionsOf(const PassPlan& plan, int batch) {
  const Shape target = plan.target;
  if (plan.form.points) return winogradTasks(plan.form, target, batch, plan.tilesPerTask);
  return std::int64_t(blocksOf(batch)) *
         (plan.depthwise ? piecesOf(target.pixels()) : RowBands{target.height, momentRows(target)}.inBlock());
}

// The moments, then those of the parts: as many as any form takes, with any channels live.
std::size_t CpuBackend::conv2dStatistics(const Conv2dGeometry& g, int batch) const {
  Shape out = g.output();
  std::int64_t most = std::int64_t(blocksOf(batch)) * std::max(out.height, piecesOf(out.pixels()));
  for (const WinogradForm& form : winogradForms(g)) {
    int tilesPerTask = winogradTilesPerTask(form, std::int64_t(g.inChannels) + g.outChannels);
    most = std::max(most, winogradTasks(form, out, batch, tilesPerTask));
  }
  return headBytes(g) + std::size_t(most) * std::size_t(g.outChannels) * sizeof(PartialMoments);
}

PartialMoments* partialsOf(const Conv2dForward& a) {
  if (!a.statistics) return nullptr;
  return reinterpret_cast<PartialMoments*>(reinterpret_cast<std::byte*>(a.statistics) + headBytes(a.geometry));
}

void takeMoments(const Pass& pass, const Kernels& kernels, std::int64_t partition, int channel, const MomentRun* runs,
                 int count) {
  const Shape target = pass.plan.target;
  pass.partials[partition * target.channels + channel] =
      kernels.moments(pass.targetData + std::int64_t(channel) * target.pixels() * kLanes, runs, count);
}

void takeBandMoments(const Pass& pass, const Kernels& kernels, const OutBlock& block, const RowBands& bands,
                     std::int64_t first, std::int64_t last) {
  const Shape target = pass.plan.target;
  for (std::int64_t band = first; band < last; band++) {
    std::int64_t row = bands.row(band), images = row / target.height, y = row % target.height;
    int rows = int(bands.row(band + 1) - row);
    MomentRun run{(images * target.elements() + y * target.width) * kLanes, rows * target.width,
                  lanesOf(pass.batch, images)};
    for (int o = 0; o < block.count; o++) takeMoments(pass, kernels, band, block.channels[o], &run, 1);
  }
}

void takePlaneMoments(const Pass& pass, const Kernels& kernels, std::int64_t images, int channel) {
  const Shape target = pass.plan.target;
  const float* plane = pass.targetData + (images * target.channels + channel) * target.pixels() * kLanes;
  for (int i = 0, pieces = piecesOf(target.pixels()); i < pieces; i++)
    pass.partials[(images * pieces + i) * target.channels + channel] =
        pieceMoments(kernels, plane, target.pixels(), lanesOf(pass.batch, images), i);
}

void combineMoments(const Pass& pass, ChannelMoments* moments) {
  const PassPlan& plan = pass.plan;
  const std::int64_t partitions = partitionsOf(plan, pass.batch);
  parallelFor(std::int64_t(plan.blocks.size()),
              [&](std::int64_t b) {
                const OutBlock& block = plan.blocks[std::size_t(b)];
                MomentSum sums[16];
                for (std::int64_t p = 0; p < partitions; p++)
                  for (int o = 0; o < block.count; o++)
                    sums[o].add(pass.partials[p * plan.target.channels + block.channels[o]]);
                for (int o = 0; o < block.count; o++) moments[block.channels[o]] = sums[o].result();
              },
              {100 + 100.0 * double(partitions)});
}

}  // namespace selfcompress::cpu
