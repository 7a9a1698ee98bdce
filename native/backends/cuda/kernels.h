// Every operation of the CUDA backend: each `enqueue` queues its kernels on the stream and returns at once. One file
// per family under kernels/, compiled by nvcc for a GPU and by a C++ compiler for the host model (device.h).
#pragma once

#include "cuda/device.h"
#include "selfcompress/backend.h"

namespace selfcompress::cuda {

// kernels/quantize.cu
void enqueue(Stream&, const QuantizeForward&);
void enqueue(Stream&, const QuantizeBackward&);
void enqueue(Stream&, const QuantizeCodes&);
void enqueue(Stream&, const BitPenalty&);
// kernels/rate.cu
void enqueue(Stream&, const RateCounts&);
void enqueue(Stream&, const RatePenalty&);
void enqueue(Stream&, const IdleChannels&);
void enqueue(Stream&, const TieExponents&);
// kernels/conv2d.cu and its parts
std::size_t conv2dWorkspace(const DeviceLimits&, const Conv2dGeometry&, int batch);
void enqueue(Stream&, const Conv2dForward&, Precision);
void enqueue(Stream&, const Conv2dGradInput&, Precision);
void enqueue(Stream&, const Conv2dGradWeight&, Precision);
// kernels/norm.cu
void enqueue(Stream&, const BatchNormForward&);
void enqueue(Stream&, const BatchNormBackward&);
// kernels/activation.cu
void enqueue(Stream&, const ActivationForward&);
void enqueue(Stream&, const ActivationBackward&);
void enqueue(Stream&, const Dropout&);
// kernels/pooling.cu
void enqueue(Stream&, const PoolForward&);
void enqueue(Stream&, const PoolBackward&);
// kernels/elementwise.cu
void enqueue(Stream&, const Add&);
void enqueue(Stream&, const CopyChannels&);
void enqueue(Stream&, const ClearChannels&);
void enqueue(Stream&, const StateFromBits&);
void enqueue(Stream&, const StateThroughNorm&);
void enqueue(Stream&, const StateOfSum&);
void enqueue(Stream&, const StateOfProduct&);
void enqueue(Stream&, const StateThroughActivation&);
void enqueue(Stream&, const StateThroughLayerNorm&);
void enqueue(Stream&, const StateCopy&);
void enqueue(Stream&, const ListChannels&);
// kernels/loss.cu
void enqueue(Stream&, const CrossEntropy&);
void enqueue(Stream&, const MeanSquaredError&);
void enqueue(Stream&, const ElementLoss&);
// kernels/position_loss.cu
void enqueue(Stream&, const PositionCrossEntropy&);
void enqueue(Stream&, const SoftCrossEntropy&);
// kernels/binary.cu
void enqueue(Stream&, const BinaryForward&);
void enqueue(Stream&, const BinaryBackward&);
void enqueue(Stream&, const PReluForward&);
void enqueue(Stream&, const PReluBackward&);
// kernels/softmax.cu
void enqueue(Stream&, const SoftmaxForward&);
void enqueue(Stream&, const SoftmaxBackward&);
// kernels/layer_norm.cu
void enqueue(Stream&, const LayerNormForward&);
void enqueue(Stream&, const LayerNormBackward&);
void enqueue(Stream&, const GroupNormForward&);
void enqueue(Stream&, const GroupNormBackward&);
// kernels/embedding.cu
void enqueue(Stream&, const EmbeddingForward&);
void enqueue(Stream&, const EmbeddingBackward&);
// kernels/optimizer.cu
void enqueue(Stream&, const OptimizerStep&);
void enqueue(Stream&, const SumOfSquares&);
void enqueue(Stream&, const AverageParameters&);
void enqueue(Stream&, const ClipScale&);
void enqueue(Stream&, const ClampBitDepth&);
void enqueue(Stream&, const KeepFamilies&);
void enqueue(Stream&, const RangeGradients&);
void enqueue(Stream&, const KeepRange&);
void enqueue(Stream&, const DecayDead&);
// kernels/batch.cu
void enqueue(Stream&, const GatherImages&);
void enqueue(Stream&, const ToLanes&);
void enqueue(Stream&, const FromLanes&);
// kernels/attention.cu
void enqueue(Stream&, const AttentionForward&);
void enqueue(Stream&, const AttentionBackward&);
void enqueue(Stream&, const Rotary&);
// kernels/layout.cu
void enqueue(Stream&, const CopyWindow&);
void enqueue(Stream&, const PadForward&);
void enqueue(Stream&, const PadBackward&);
void enqueue(Stream&, const ResizeForward&);
void enqueue(Stream&, const ResizeBackward&);
void enqueue(Stream&, const GatherChannels&);
void enqueue(Stream&, const GatherChannelsBackward&);
void enqueue(Stream&, const DepthToSpace&);
void enqueue(Stream&, const Transpose&);
void enqueue(Stream&, const ChannelSum&);
void enqueue(Stream&, const ChannelSumBackward&);
void enqueue(Stream&, const StateJoin&);
void enqueue(Stream&, const ChannelBias&);
void enqueue(Stream&, const ChannelBiasGradient&);
void enqueue(Stream&, const PermuteWeights&);

}  // namespace selfcompress::cuda
