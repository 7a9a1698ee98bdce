// The table of kernels of the operations between convolutions: activations, arithmetic, softmax, norms of one example,
// embeddings and losses. As kernels.h, in files of their own (isa/<isa>_layers.cpp), so that both compile side by side.
#pragma once

#include "cpu/kernels.h"

namespace selfcompress::cpu {

inline constexpr int kLines = 16;             // positions, or lines, that a kernel takes side by side at most
inline constexpr int kBinaryPositions = 128;  // positions of a BinaryRange at most

// Where a product or quotient, sum or difference, is exactly zero (ops/binary.h).
static inline bool outputIsZero(Binary kind, bool zeroA, bool zeroB) {
  if (kind == Binary::kMultiply) return zeroA || zeroB;
  return kind == Binary::kDivide ? zeroA : zeroA && zeroB;
}

// The part of gradB that one task takes: the sum over blocks and channels for each of some positions.
struct BinaryRange {
  int block = 0, blockEnd = 0, channel = 0, channelEnd = 0, first = 0, positions = 0;
  float* to = nullptr;  // [positions] vectors; of a plain operand floats
};

struct ChannelGradients {
  double weight, bias;
};

struct LossWeights {
  double sum = 0;           // of the labels' weights
  double ofAllClasses = 0;  // sum of the weights of all classes
};
struct PositionSums {
  double loss = 0;
  std::int64_t correct = 0, topFive = 0, count = 0;
};

struct LayerKernels {
  // One plane (block, channel).
  void (*activationForward)(const ActivationForward&, int block, int channel);
  void (*activationBackward)(const ActivationBackward&, int block, int channel);
  void (*fillPlane)(float* output, Shape, int block, int channel, float value);
  void (*preluForward)(const PReluForward&, int block, int channel);
  double (*preluBackward)(const PReluBackward&, int block, int channel);  // returns its part of the slope's gradient
  void (*dropout)(const Dropout&, int block, int channel);
  void (*binaryForward)(const BinaryForward&, int block, int channel, bool past);  // not where the output is zero
  void (*binaryGradient)(const BinaryBackward&, int block, int channel,
                         bool past);  // gradA; gradB too if it has a's shape
  void (*binaryPlaneSum)(const BinaryBackward&, int block, int channel, float* sums);  // gradB summed over positions
  void (*binaryPositionSum)(const BinaryBackward&, const BinaryRange&);

  // At most kLines positions (of SoftmaxAxis::kWidth any number of lines) of a block. room: memory of the thread, as
  // many vectors as there are channels times positions, for backward passes twice as many (strips.h).
  void (*softmaxForward)(const SoftmaxForward&, int block, int first, int count, float* room, bool past);
  void (*softmaxBackward)(const SoftmaxBackward&, int block, int first, int count, float* room, bool past);
  void (*layerNormForward)(const LayerNormForward&, int block, int first, int count, float* room, bool past);
  // sums: [channels][2] vectors, added to: of the gradients of weight and bias, lane by lane; or nullptr.
  void (*layerNormBackward)(const LayerNormBackward&, int block, int first, int count, float* room, float* sums,
                            bool past);

  double (*sumOfVectors)(const float* vectors, std::int64_t stride, std::int64_t count);  // stride: floats

  void (*groupNormForward)(const GroupNormForward&, int block, int group, bool past);
  void (*groupNormBackward)(const GroupNormBackward&, int block, int group, ChannelGradients* ofChannels);

  // tokens in lanes: [blocks][positions][16]; forward takes those of its block.
  void (*embeddingForward)(const EmbeddingForward&, const std::int32_t* tokens, int block, int dimension,
                           const QuantizeChannel*);
  void (*embeddingBackward)(const EmbeddingBackward&, const std::int32_t* tokens, int dimension, double* row);

  // Vectors [first, end) of a block; losses[16].
  void (*elementLoss)(const ElementLoss&, int block, std::int64_t first, std::int64_t end, double* losses);
  void (*positionCrossEntropy)(const PositionCrossEntropy&, int block, int first, int count, const LossWeights&,
                               float* room, PositionSums&);
  // Returns the sum of the divergences; room of two tensors.
  double (*softCrossEntropy)(const SoftCrossEntropy&, int block, int first, int count, double positions, float* room);
};

const LayerKernels& layerKernelsOf(Isa);

namespace scalar {
extern const LayerKernels layerKernels;
}
namespace avx2 {
extern const LayerKernels layerKernels;
}
namespace avx512 {
extern const LayerKernels layerKernels;
}
namespace neon {
extern const LayerKernels layerKernels;
}

}  // namespace selfcompress::cpu
