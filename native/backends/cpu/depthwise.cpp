// Layers with one input channel for each output channel.
#include <algorithm>

#include "cpu/conv2d_weight_plan.h"
#include "cpu/threads.h"

namespace selfcompress::cpu {
namespace {

// [output channel][taps], turned for the data gradient.
void packTaps(const Pass& pass, const Kernels& kernels, const OutBlock& block) {
  const Conv2dGeometry& g = pass.plan.geometry;
  const int area = g.kernelHeight * g.kernelWidth;
  for (int o = 0; o < block.count; o++) {
    const int channel = block.channels[o];
    WeightSource filter = pass.filter(block, pass.plan.forward ? block.group : channel, o);
    float* taps = pass.panels + channel * area;
    for (int first = 0; first < area; first += 16) {
      PanelRows row;
      row.from[0] = tapsFrom(first, filter);
      row.memoryEnd = pass.weights.end;
      row.outs = std::min(16, area - first);
      row.to = taps + first, row.end = taps + area;
      kernels.packRows(row, 1, nullptr);
    }
    if (!pass.plan.forward) std::reverse(taps, taps + area);
  }
}

// Output pixels of a task: a plane of 8 x 8 is done before another thread has its number.
constexpr int kTaskPixels = 1024;

void runPlane(const Pass& pass, const Kernels& kernels, const OutBlock& block, int o, std::int64_t images) {
  const PassPlan& plan = pass.plan;
  const Conv2dGeometry& g = plan.geometry;
  int channel = block.channels[o], source = plan.forward ? block.group : channel;
  std::int64_t to = (images * plan.target.channels + channel) * plan.target.pixels() * kLanes;
  bool live = !plan.reduced[std::size_t(block.group)].empty();  // else the input is zero
  DepthwisePlane plane;
  plane.source = pass.sourceData + (images * plan.source.channels + source) * plan.source.pixels() * kLanes;
  plane.sourceHeight = plan.source.height, plane.sourceWidth = plan.source.width;
  plane.target = pass.targetData + to;
  plane.height = plan.target.height, plane.width = plan.target.width;
  plane.taps = pass.panels + channel * g.kernelHeight * g.kernelWidth;
  plane.kernelHeight = live ? g.kernelHeight : 0, plane.kernelWidth = g.kernelWidth;
  plane.strideH = plan.forward ? g.strideH : 1, plane.strideW = plan.forward ? g.strideW : 1;
  plane.dilationH = g.dilationH, plane.dilationW = g.dilationW;
  plane.padH = plan.forward ? g.padH : g.dilationH * (g.kernelHeight - 1) - g.padH;
  plane.padW = plan.forward ? g.padW : g.dilationW * (g.kernelWidth - 1) - g.padW;
  plane.bias = pass.bias ? pass.bias[channel] : 0.0f;
  plane.mask = pass.mask ? pass.mask + to : nullptr;
  plane.relu = pass.relu, plane.accumulate = pass.accumulate;
  kernels.depthwise(plane);
  if (pass.partials) takePlaneMoments(pass, kernels, images, channel);
}

}  // namespace

// The data gradient is the same operation with the kernel turned by half a turn, if nothing was strided over and every
// input channel has one output channel.
bool isDepthwise(const Conv2dGeometry& g, bool forward) {
  if (g.groups == 1 || g.inPerGroup() != 1) return false;
  return forward || (g.outPerGroup() == 1 && g.strideH == 1 && g.strideW == 1);
}

void runDepthwise(const Pass& pass, const Kernels& kernels) {
  const std::vector<OutBlock>& blocks = pass.plan.blocks;
  parallelFor(std::int64_t(blocks.size()), [&](std::int64_t b) { packTaps(pass, kernels, blocks[std::size_t(b)]); },
              {20.0 * pass.plan.geometry.kernelHeight * pass.plan.geometry.kernelWidth});
  std::int64_t planes = std::int64_t(blocks.size()) * blocksOf(pass.batch),
               together = std::max(1, kTaskPixels / pass.plan.target.pixels());
  parallelFor((planes + together - 1) / together,
              [&](std::int64_t task) {
                for (std::int64_t i = task * together; i < std::min(planes, (task + 1) * together); i++) {
                  const OutBlock& block = blocks[std::size_t(i) % blocks.size()];
                  for (int o = 0; o < block.count; o++)
                    runPlane(pass, kernels, block, o, i / std::int64_t(blocks.size()));
                }
              },
              {kVectorTime * double(together) * blocks[0].count * pass.plan.target.pixels() *
               pass.plan.geometry.kernelHeight * pass.plan.geometry.kernelWidth});
}

bool isDepthwiseWeight(const Conv2dGeometry& g) {
  return isDepthwise(g, true) && g.strideH == 1 && g.strideW == 1 && g.dilationH == 1 && g.dilationW == 1 &&
         g.kernelHeight == g.kernelWidth && (g.kernelHeight == 3 || g.kernelHeight == 5);
}

void runDepthwiseWeight(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels) {
  const Conv2dGeometry& g = plan.geometry;
  Shape in = g.input(), out = g.output();
  parallelFor(
      std::int64_t(plan.outs.size()),
      [&](std::int64_t i) {
        int channel = plan.outs[std::size_t(i)], source = channel / g.outPerGroup();
        if (!std::binary_search(plan.ins.begin(), plan.ins.end(), source)) return;  // the weights' gradients are zero
        DepthwiseGrad grad;
        grad.source = a.input + std::int64_t(source) * in.pixels() * kLanes, grad.sourceStride = in.elements() * kLanes;
        grad.grad = a.gradOutput + std::int64_t(channel) * out.pixels() * kLanes,
        grad.gradStride = out.elements() * kLanes;
        grad.blocks = blocksOf(a.batch);
        grad.sourceHeight = in.height, grad.sourceWidth = in.width, grad.height = out.height, grad.width = out.width;
        grad.kernel = g.kernelHeight, grad.padH = g.padH, grad.padW = g.padW;
        grad.gradTaps = a.gradWeight + std::int64_t(channel) * g.kernelHeight * g.kernelWidth;
        kernels.depthwiseGrad(grad);
      },
      {kVectorTime * blocksOf(a.batch) * out.pixels() * g.kernelHeight * g.kernelWidth});
}

}  // namespace selfcompress::cpu
