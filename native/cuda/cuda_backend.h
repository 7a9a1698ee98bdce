// The CUDA backend: every operation queued on one stream by its `enqueue` (kernels.h).
#pragma once

#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace selfcompress::cuda {

class CudaBackend final : public Backend {
 public:
  // Throws Error if there is no such device or it lacks the precision, OutOfMemory.
  CudaBackend(const StreamOptions&, Precision);

  std::string name() const override;  // "cuda/<device>/<precision>"
  void* allocate(std::size_t bytes) override { return stream_.allocate(bytes); }
  void release(void* memory) override { stream_.release(memory); }
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void zero(void* device, std::size_t bytes) override;
  void synchronize() override { stream_.synchronize(); }

  bool readsHostMemory() const override { return false; }
  void* allocateStaging(std::size_t bytes) override { return stream_.allocatePinned(bytes); }
  void releaseStaging(void* memory) override { stream_.releasePinned(memory); }
  void stage(int slot, void* device, const void* staging, std::size_t bytes) override;
  void useStaged(int slot) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fetch(void* staging, const void* device, std::size_t bytes) override;
  void finish(int slot) override;
  void waitFor(int slot) override;

  bool beginRecording() override;
  std::unique_ptr<Recording> endRecording() override;
  void cancelRecording() override { stream_.cancelRecording(); }
  void replay(Recording&) override;

  std::size_t conv2dWorkspace(const Conv2dGeometry&, int batch) const override;

  void run(const QuantizeForward& a) override { enqueue(stream_, a); }
  void run(const QuantizeBackward& a) override { enqueue(stream_, a); }
  void run(const QuantizeCodes& a) override { enqueue(stream_, a); }
  void run(const BitPenalty& a) override { enqueue(stream_, a); }
  void run(const Conv2dForward& a) override { enqueue(stream_, a, precision_); }
  void run(const Conv2dGradInput& a) override { enqueue(stream_, a, precision_); }
  void run(const Conv2dGradWeight& a) override { enqueue(stream_, a, precision_); }
  void run(const BatchNormForward& a) override { enqueue(stream_, a); }
  void run(const BatchNormBackward& a) override { enqueue(stream_, a); }
  void run(const ActivationForward& a) override { enqueue(stream_, a); }
  void run(const ActivationBackward& a) override { enqueue(stream_, a); }
  void run(const Dropout& a) override { enqueue(stream_, a); }
  void run(const PoolForward& a) override { enqueue(stream_, a); }
  void run(const PoolBackward& a) override { enqueue(stream_, a); }
  void run(const Add& a) override { enqueue(stream_, a); }
  void run(const CopyChannels& a) override { enqueue(stream_, a); }
  void run(const StateFromBits& a) override { enqueue(stream_, a); }
  void run(const StateThroughNorm& a) override { enqueue(stream_, a); }
  void run(const StateOfSum& a) override { enqueue(stream_, a); }
  void run(const StateCopy& a) override { enqueue(stream_, a); }
  void run(const ListChannels& a) override { enqueue(stream_, a); }
  void run(const CrossEntropy& a) override { enqueue(stream_, a); }
  void run(const MeanSquaredError& a) override { enqueue(stream_, a); }
  void run(const OptimizerStep& a) override { enqueue(stream_, a); }
  void run(const SumOfSquares& a) override { enqueue(stream_, a); }
  void run(const ClipScale& a) override { enqueue(stream_, a); }
  void run(const ClampBitDepth& a) override { enqueue(stream_, a); }
  void run(const RangeGradients& a) override { enqueue(stream_, a); }
  void run(const KeepRange& a) override { enqueue(stream_, a); }
  void run(const DecayDead& a) override { enqueue(stream_, a); }
  void run(const GatherImages& a) override { enqueue(stream_, a); }
  void run(const GatherLabels& a) override { enqueue(stream_, a); }
  void run(const ToLanes& a) override { enqueue(stream_, a); }
  void run(const FromLanes& a) override { enqueue(stream_, a); }

 private:
  Stream stream_;
  Precision precision_;
};

std::unique_ptr<Backend> makeBackend(const StreamOptions&, Precision);

}  // namespace selfcompress::cuda
