// Losses: mean over the images of the batch, and the gradient with respect to the network's output.
//
//     crossEntropy:  L = -(1/n) sum_n sum_k t_nk * log softmax(z_n)_k,   t = (1-ls) * onehot(label) + ls/classes
//                    dL/dz = (softmax(z) - t) / n
//     meanSquared:   L = 1/(n*features) sum (z - target)^2               dL/dz = 2 (z - target) / (n*features)
//
// The result is accumulated in double over images in ascending order: independent of the number of threads. Gradients
// of padding lanes are zero.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

struct LossResult {          // device memory
  double lossSum = 0;        // sum over images of the image's loss (meanSquared: of its mean over features)
  std::int64_t correct = 0;  // crossEntropy: images whose largest logit (first of equals) is the label
  std::int64_t count = 0;    // images
};

struct CrossEntropy {
  int classes = 0;
  int batch = 0;
  float labelSmoothing = 0;
  const float* logits = nullptr;         // lanes {classes,1,1}
  const std::int32_t* labels = nullptr;  // [batch], in [0, classes)
  float* gradLogits = nullptr;           // lanes or nullptr (evaluation)
  LossResult* result = nullptr;          // added to, not overwritten
};

struct MeanSquaredError {
  Shape shape;
  int batch = 0;
  const float* output = nullptr;  // lanes
  const float* target = nullptr;  // lanes
  float* gradOutput = nullptr;    // lanes or nullptr
  LossResult* result = nullptr;   // added to
};

}  // namespace selfcompress
