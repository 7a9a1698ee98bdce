// Two-dimensional convolution (cross-correlation) with lists of live channels: work is proportional to live inputs
// times live outputs. A fully connected layer is a 1x1 convolution of a 1x1 image ({F,1,1}).
//
//     out[n,o,y,x] = act(bias[o] + sum_{c,i,j} weight[o,c,i,j] * in[n, g*C/G + c, y*strideH + i*dilationH - padH,
//     x*strideW + j*dilationW - padW])
//
// with g = o / (O/G), and zero outside the image. Activations are in the lanes layout (tensor.h), weights are
// [outChannels][inChannels/groups][kernelHeight][kernelWidth] contiguous.
//
// Lists: channels that are not in `liveIn` are known to be zero and are not read; channels that are not in `liveOut`
// are not written by forward and not read by the gradients.
//
// Numbers: against exact arithmetic the error of an output is below 1e-5 of the largest output for sums of a few
// hundred terms, and below 3e-5 where a backend takes a fast algorithm (Winograd's, for 3x3 and 5x5 kernels without
// stride). With Precision::kTf32 or kBfloat16 both operands of every product are first rounded, to 11 or 8 bits of
// significand: a product is off by at most 2^-10 or 2^-7 of itself, an output, against exact operands, by less than
// 1e-3 or 8e-3 of the largest output; with the rounded operands the bounds of float32 hold. Accumulation, bias and
// gradBias are float32 always, and so are convolutions with few channels in a group. The CPU multiplies bf16 in the
// weight gradients of wide 1x1 kernels and in
// Winograd's form alone, where what is rounded has been transformed: an output is then off by 3e-2 of the outputs' root
// mean square on average, and by less than 0.15 of the largest output.
//
// A NaN or infinity reaches every output that depends on it. A fast algorithm may also spread it to neighbouring pixels
// of the same image, never to another image; and a backend that multiplies the zeros of the padding too (the CUDA one)
// makes NaN of any pixel of a channel whose weights are not finite, and of any weight whose gradOutput is not.
#pragma once

#include "selfcompress/ops/moments.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

struct Conv2dGeometry {
  int inChannels = 0, outChannels = 0;
  int height = 1, width = 1;  // of the input image
  int kernelHeight = 1, kernelWidth = 1;
  int strideH = 1, strideW = 1;
  int padH = 0, padW = 0;  // zeros on both sides
  int dilationH = 1, dilationW = 1;
  int groups = 1;  // divides inChannels and outChannels
  bool operator==(const Conv2dGeometry&) const = default;

  SELFCOMPRESS_HOST_DEVICE int outHeight() const {
    return (height + 2 * padH - dilationH * (kernelHeight - 1) - 1) / strideH + 1;
  }
  SELFCOMPRESS_HOST_DEVICE int outWidth() const {
    return (width + 2 * padW - dilationW * (kernelWidth - 1) - 1) / strideW + 1;
  }
  SELFCOMPRESS_HOST_DEVICE int inPerGroup() const { return inChannels / groups; }
  SELFCOMPRESS_HOST_DEVICE int outPerGroup() const { return outChannels / groups; }
  SELFCOMPRESS_HOST_DEVICE Shape input() const { return {inChannels, height, width}; }
  SELFCOMPRESS_HOST_DEVICE Shape output() const { return {outChannels, outHeight(), outWidth()}; }
  SELFCOMPRESS_HOST_DEVICE std::int64_t weights() const {
    return std::int64_t(outChannels) * inPerGroup() * kernelHeight * kernelWidth;
  }
};

// Quantizes the weights on their way into the product (ops/quantize.h): the result is to the bit that of
// QuantizeForward and then the convolution. For backends that say so (Backend::quantizesInConvolution).
struct WeightQuantizer {
  const float* bitDepth = nullptr;  // [outChannels]; nullptr: the weights are taken as they are
  const float* exponent = nullptr;  // [outChannels]
};

struct Conv2dForward {
  Conv2dGeometry geometry;
  int batch = 0;
  const float* input = nullptr;  // lanes
  const float* weight = nullptr;
  const float* bias = nullptr;  // [outChannels] or nullptr
  bool relu = false;            // act = max(., 0) (NaN stays NaN), else identity
  ChannelList liveIn, liveOut;
  const std::int32_t* outputState = nullptr;  // ChannelState per output channel or nullptr; kConstant channels, which
                                              // are not in liveOut, are filled with act(bias)
  float* output = nullptr;                    // lanes
  void* workspace = nullptr;                  // Backend::conv2dWorkspace(geometry, batch) bytes
  bool exact = false;  // in float32 whatever precision the backend was made with: evaluation measures what the model
                       // file computes
  WeightQuantizer quantizer = {};
  // Backend::conv2dStatistics(geometry, batch) bytes, or nullptr: not wanted. They begin with the moments of `output`,
  // [outChannels], of which those of channels that are not written are not written either.
  ChannelMoments* statistics = nullptr;
};

// dL/dinput, for live input channels; others are not written.
struct Conv2dGradInput {
  Conv2dGeometry geometry;
  int batch = 0;
  const float* gradOutput = nullptr;  // lanes
  const float* weight = nullptr;
  ChannelList liveIn, liveOut;
  const float* reluInput = nullptr;  // lanes, the input of this convolution where it is the output of a ReLU: the
                                     // result is multiplied by (reluInput > 0); or nullptr
  bool accumulate = false;           // add to gradInput instead of overwriting it (after the mask)
  float* gradInput = nullptr;        // lanes
  void* workspace = nullptr;
  WeightQuantizer quantizer = {};
  bool exact = false;  // as in Conv2dForward: where it computes a value of the network
};

// dL/dweight (and dL/dbias). Every element is written: those of channels outside the lists are zero.
struct Conv2dGradWeight {
  Conv2dGeometry geometry;
  int batch = 0;
  const float* input = nullptr;       // lanes
  const float* gradOutput = nullptr;  // lanes; zero in padding lanes
  ChannelList liveIn, liveOut;
  float* gradWeight = nullptr;  // [outChannels][inChannels/groups][kernelHeight][kernelWidth]
  float* gradBias = nullptr;    // [outChannels] or nullptr
  void* workspace = nullptr;
};

}  // namespace selfcompress
