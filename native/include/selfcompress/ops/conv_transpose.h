// Transposed convolution (PyTorch's ConvTranspose2d): the data gradient of a convolution, used forward.
//
//     out[n, o, y*strideH + i*dilationH - padH, x*strideW + j*dilationW - padW] += weight[c, o % (O/G), i, j] * in[n,
//     c, y, x]
//
// over the input channels c of o's group, with weights [inChannels][outChannels/groups][kernelHeight][kernelWidth].
// There are no kernels of its own: the functions below give the operation of ops/conv2d.h that does the work, with the
// two sides exchanged. What those leave out, the bias of an output channel, is ChannelBias; master weights with an
// output channel in each row, as the quantizer wants them, are brought into this order by PermuteWeights.
#pragma once

#include "selfcompress/ops/conv2d.h"

namespace selfcompress {

struct ConvTransposeGeometry {
  int inChannels = 0, outChannels = 0;
  int height = 1, width = 1;  // of the input image
  int kernelHeight = 1, kernelWidth = 1;
  int strideH = 1, strideW = 1;
  int padH = 0, padW = 0;  // taken off both sides of the output
  int dilationH = 1, dilationW = 1;
  int outputPadH = 0, outputPadW = 0;  // rows and columns added at the end; less than the stride
  int groups = 1;                      // divides inChannels and outChannels
  bool operator==(const ConvTransposeGeometry&) const = default;

  int outHeight() const { return (height - 1) * strideH - 2 * padH + dilationH * (kernelHeight - 1) + outputPadH + 1; }
  int outWidth() const { return (width - 1) * strideW - 2 * padW + dilationW * (kernelWidth - 1) + outputPadW + 1; }
  Shape input() const { return {inChannels, height, width}; }
  Shape output() const { return {outChannels, outHeight(), outWidth()}; }
  // The convolution that goes the other way, from this one's output to its input.
  Conv2dGeometry convolution() const {
    return {outChannels, inChannels, outHeight(), outWidth(), kernelHeight, kernelWidth, strideH,
            strideW,     padH,       padW,        dilationH,  dilationW,    groups};
  }
};

// Arguments in the words of the transposed convolution; workspace: Backend::conv2dWorkspace(geometry.convolution(),
// batch) bytes. Live output channels are written, others are not.
inline Conv2dGradInput convTransposeForward(const ConvTransposeGeometry& geometry, int batch, const float* input,
                                            const float* weight, ChannelList liveIn, ChannelList liveOut, float* output,
                                            void* workspace) {
  Conv2dGradInput a;
  a.geometry = geometry.convolution(), a.batch = batch, a.gradOutput = input, a.weight = weight;
  a.liveIn = liveOut, a.liveOut = liveIn, a.gradInput = output, a.workspace = workspace;
  return a;
}
// dL/dinput, for live input channels.
inline Conv2dForward convTransposeGradInput(const ConvTransposeGeometry& geometry, int batch, const float* gradOutput,
                                            const float* weight, ChannelList liveIn, ChannelList liveOut,
                                            float* gradInput, void* workspace) {
  Conv2dForward a;
  a.geometry = geometry.convolution(), a.batch = batch, a.input = gradOutput, a.weight = weight;
  a.liveIn = liveOut, a.liveOut = liveIn, a.output = gradInput, a.workspace = workspace;
  return a;
}
// dL/dweight; every element is written. gradOutput is zero in padding lanes, input finite there.
inline Conv2dGradWeight convTransposeGradWeight(const ConvTransposeGeometry& geometry, int batch, const float* input,
                                                const float* gradOutput, ChannelList liveIn, ChannelList liveOut,
                                                float* gradWeight, void* workspace) {
  Conv2dGradWeight a;
  a.geometry = geometry.convolution(), a.batch = batch, a.input = gradOutput, a.gradOutput = input;
  a.liveIn = liveOut, a.liveOut = liveIn, a.gradWeight = gradWeight, a.workspace = workspace;
  return a;
}

// data[c] += bias[c], then max(., 0) if relu. kConstant channels become act(bias) without being read, kZero ones are
// left as they are.
struct ChannelBias {
  Shape shape;
  int batch = 0;
  const float* bias = nullptr;  // [channels]
  bool relu = false;
  const std::int32_t* state = nullptr;  // ChannelState or nullptr
  float* data = nullptr;                // lanes
};
// gradBias[c] = sum of gradOutput[c] over images and pixels for kLive channels, 0 for others.
struct ChannelBiasGradient {
  Shape shape;
  int batch = 0;
  const float* gradOutput = nullptr;    // lanes
  const std::int32_t* state = nullptr;  // ChannelState or nullptr
  float* gradBias = nullptr;            // [channels]
};

// target[g][c][r][t] = source[g][r][c][t]. From rows of output channels, [O][I/G][taps], to the order of a transposed
// convolution, [I][O/G][taps]: rows = O/G, columns = I/G. The way back has rows and columns exchanged.
struct PermuteWeights {
  int groups = 1, rows = 0, columns = 0, taps = 1;
  const float* source = nullptr;
  float* target = nullptr;
};

}  // namespace selfcompress
