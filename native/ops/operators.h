// The operators there are, by family. Each is defined in the folder of its family; this list is all that has to know.
#pragma once

#include "ops/op.h"

// clang-format off
#define SELFCOMPRESS_OPERATORS(X) \
  /* convolution/ */ X(conv2d) X(linear) X(convTranspose2d) \
  /* norm/ */ X(batchNorm) \
  /* activation/ */ X(relu) X(gelu) X(silu) X(dropout) X(sigmoid) X(geluTanh) X(tanh) X(hardSigmoid) X(hardSwish) \
    X(leakyRelu) X(clip) X(elu) X(softplus) X(exp) X(log) X(sqrt) X(abs) X(square) X(reciprocal) X(affine) X(prelu) \
  /* layer_norm/ */ X(layerNorm) X(rmsNorm) X(instanceNorm) X(groupNorm) \
  /* softmax/ */ X(softmax) \
  /* embedding/ */ X(embedding) X(parameter) X(unembedding) \
  /* pooling/ */ X(maxPool) X(averagePool) X(globalAveragePool) X(globalMaxPool) X(meanPositions) \
  /* elementwise/ */ X(add) X(multiply) X(subtract) X(divide) \
  /* shape/ */ X(flatten) X(concat) \
  /* layout/ */ X(gatherChannels) X(channelShuffle) X(padChannels) X(sliceChannels) X(slicePositions) X(pad) \
    X(pixelShuffle) X(pixelUnshuffle) X(meanChannels) X(reshape) \
  /* resize/ */ X(resize) \
  /* attention/ */ X(attention) X(rotary) \
  /* recurrent/ */ X(lstm) X(gru)
// clang-format on

namespace selfcompress::ops {

#define SELFCOMPRESS_DECLARE(name) extern const Operator name;
SELFCOMPRESS_OPERATORS(SELFCOMPRESS_DECLARE)
#undef SELFCOMPRESS_DECLARE

}  // namespace selfcompress::ops
