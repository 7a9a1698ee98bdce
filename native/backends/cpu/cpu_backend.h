// The CPU backend: cuts every operation into tasks for the pool and calls the kernels of one instruction set.
#pragma once

#include "cpu/conv2d_plans.h"
#include "cpu/kernels.h"
#include "cpu/layer_kernels.h"
#include "cpu/sequence_kernels.h"
#include "cpu/threads.h"

namespace selfcompress::cpu {

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, Precision precision)
      : isa_(isa),
        precision_(precision),
        kernels_(kernelsOf(isa)),
        layers_(layerKernelsOf(isa)),
        sequences_(sequenceKernelsOf(isa)),
        plans_(kernels_) {}
  std::string name() const override { return std::string("cpu/") + isaName(isa_); }

  void* allocate(std::size_t bytes) override;
  void release(void* memory) override;
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void zero(void* device, std::size_t bytes) override;
  void synchronize() override {}
  std::size_t conv2dWorkspace(const Conv2dGeometry&, int batch) const override;
  bool quantizesInConvolution() const override { return true; }
  std::size_t conv2dStatistics(const Conv2dGeometry&, int batch) const override;
  std::size_t recurrentWorkspace(const RecurrentGeometry&, int batch) const override;

  void run(const QuantizeForward&) override;
  void run(const QuantizeBackward&) override;
  void run(const QuantizeCodes&) override;
  void run(const BitPenalty&) override;
  void run(const RateCounts&) override;
  void run(const RatePenalty&) override;
  void run(const IdleChannels&) override;
  void run(const TieExponents&) override;
  void run(const Conv2dForward&) override;
  void run(const Conv2dGradInput&) override;
  void run(const Conv2dGradWeight&) override;
  void run(const BatchNormForward&) override;
  void run(const BatchNormBackward&) override;
  void run(const ActivationForward&) override;
  void run(const ActivationBackward&) override;
  void run(const PReluForward&) override;
  void run(const PReluBackward&) override;
  void run(const BinaryForward&) override;
  void run(const BinaryBackward&) override;
  void run(const SoftmaxForward&) override;
  void run(const SoftmaxBackward&) override;
  void run(const LayerNormForward&) override;
  void run(const LayerNormBackward&) override;
  void run(const GroupNormForward&) override;
  void run(const GroupNormBackward&) override;
  void run(const EmbeddingForward&) override;
  void run(const EmbeddingBackward&) override;
  void run(const ElementLoss&) override;
  void run(const PositionCrossEntropy&) override;
  void run(const SoftCrossEntropy&) override;
  void run(const StateOfProduct&) override;
  void run(const StateThroughActivation&) override;
  void run(const StateThroughLayerNorm&) override;
  void run(const Dropout&) override;
  void run(const PoolForward&) override;
  void run(const PoolBackward&) override;
  void run(const Add&) override;
  void run(const CopyChannels&) override;
  void run(const ClearChannels&) override;
  void run(const StateFromBits&) override;
  void run(const StateThroughNorm&) override;
  void run(const StateOfSum&) override;
  void run(const StateCopy&) override;
  void run(const ListChannels&) override;
  void run(const CrossEntropy&) override;
  void run(const MeanSquaredError&) override;
  void run(const OptimizerStep&) override;
  void run(const SumOfSquares&) override;
  void run(const AverageParameters&) override;
  void run(const ClipScale&) override;
  void run(const ClampBitDepth&) override;
  void run(const KeepFamilies&) override;
  void run(const RangeGradients&) override;
  void run(const KeepRange&) override;
  void run(const DecayDead&) override;
  void run(const GatherImages&) override;
  void run(const ToLanes&) override;
  void run(const FromLanes&) override;
  void run(const AttentionForward&) override;
  void run(const AttentionBackward&) override;
  void run(const Rotary&) override;
  void run(const CopyWindow&) override;
  void run(const PadForward&) override;
  void run(const PadBackward&) override;
  void run(const ResizeForward&) override;
  void run(const ResizeBackward&) override;
  void run(const GatherChannels&) override;
  void run(const GatherChannelsBackward&) override;
  void run(const DepthToSpace&) override;
  void run(const Transpose&) override;
  void run(const ChannelSum&) override;
  void run(const ChannelSumBackward&) override;
  void run(const StateJoin&) override;
  void run(const ChannelBias&) override;
  void run(const ChannelBiasGradient&) override;
  void run(const PermuteWeights&) override;
  void run(const RecurrentForward&) override;
  void run(const RecurrentBackward&) override;

 private:
  // Whether a convolution may multiply in bf16.
  bool pairs(bool exact) const { return precision_ == Precision::kBfloat16 && !exact; }
  QuantizeSums quantizeBackwardOf(const QuantizeBackward&, int channel, bool past);
  RateCount countRow(const RateCounts&, int channel, const float* live, float* nonzeros, float* magnitude);

  Isa isa_;
  Precision precision_;
  const Kernels& kernels_;
  const LayerKernels& layers_;
  const SequenceKernels& sequences_;
  ConvPlans plans_;
};

}  // namespace selfcompress::cpu
