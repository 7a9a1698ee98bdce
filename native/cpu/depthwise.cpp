// Forward convolution and data gradient of layers with one input channel for each output channel.
#include "cpu/conv2d_pass.h"
#include "cpu/threads.h"

namespace selfcompress::cpu {

// The data gradient is the same operation with the kernel turned by half a turn, if nothing was strided over and every
// input channel has one output channel.
bool isDepthwise(const Conv2dGeometry& g, bool forward) {
  if (g.groups == 1 || g.inPerGroup() != 1) return false;
  return forward || (g.outPerGroup() == 1 && g.strideH == 1 && g.strideW == 1);
}

void runDepthwise(const Pass& pass, const Kernels& kernels) {
  const PassPlan& plan = pass.plan;
  const Conv2dGeometry& g = plan.geometry;
  int area = g.kernelHeight * g.kernelWidth;
  if (!plan.forward)
    for (const OutBlock& block : plan.blocks)
      for (int tap = 0; tap < area; tap++)
        pass.panels[block.channels[0] * area + tap] = pass.taps(block.channels[0], block.channels[0])[area - 1 - tap];
  parallelFor(std::int64_t(plan.blocks.size()) * blocksOf(pass.batch), [&](std::int64_t task) {
    const OutBlock& block = plan.blocks[std::size_t(task) % plan.blocks.size()];
    std::int64_t images = task / std::int64_t(plan.blocks.size());
    bool live = !plan.reduced[std::size_t(block.group)].empty();  // else the input is zero
    for (int o = 0; o < block.count; o++) {
      int channel = block.channels[o], source = plan.forward ? block.group : channel;
      std::int64_t to = (images * plan.target.channels + channel) * plan.target.pixels() * kLanes;
      DepthwisePlane plane;
      plane.source = pass.sourceData + (images * plan.source.channels + source) * plan.source.pixels() * kLanes;
      plane.sourceHeight = plan.source.height, plane.sourceWidth = plan.source.width;
      plane.target = pass.targetData + to;
      plane.height = plan.target.height, plane.width = plan.target.width;
      plane.taps = plan.forward ? pass.taps(source, channel) : pass.panels + channel * area;
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
  });
}

}  // namespace selfcompress::cpu
