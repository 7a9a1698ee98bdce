// Rows of a table for tokens: output[n, d, t] = weight[d, tokens[n, t]].
//
// The table is stored by dimensions, [dimensions][vocabulary]: a dimension of the stream is an output channel with a
// bit depth and an exponent of its own, as in every other layer. Tokens are plain memory, [batch][positions], in [0,
// vocabulary): checked by the caller. Padding lanes of the output are zero.
#pragma once

#include "selfcompress/ops/conv2d.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

struct EmbeddingForward {
  int dimensions = 0, vocabulary = 0, positions = 0;
  int batch = 0;
  const std::int32_t* tokens = nullptr;
  const float* weight = nullptr;
  WeightQuantizer quantizer = {};       // per dimension: weights are quantized on the way, by backends that say so
                                        // (Backend::quantizesInConvolution)
  const std::int32_t* state = nullptr;  // ChannelState of the output or nullptr; kZero dimensions are not written
  float* output = nullptr;              // lanes {dimensions,1,positions}
};

// gradWeight[d, v] = sum of gradOutput[n, d, t] over the (n, t) whose token is v, in an order that does not depend on
// the number of threads. Every element is written: dimensions that are kZero get zeros.
struct EmbeddingBackward {
  int dimensions = 0, vocabulary = 0, positions = 0;
  int batch = 0;
  const std::int32_t* tokens = nullptr;
  const float* gradOutput = nullptr;  // lanes
  const std::int32_t* state = nullptr;
  bool accumulate = false;      // add to gradWeight, which somebody else has written: then dimensions that are kZero
                                // are left as they are
  float* gradWeight = nullptr;  // [dimensions][vocabulary]
};

}  // namespace selfcompress
