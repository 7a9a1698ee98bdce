// The one interface between the compiled plan of a training step and the hardware that runs it: a table of operations.
// The plan allocates its buffers here and calls these operations in order; it does not know which backend it has.
//
// Operations are asynchronous in principle (a device may queue them); `synchronize` waits for all of them. Pointers in
// the argument structs are memory of this backend. One thread at a time may use a backend. Arguments are checked by the
// callers (graph/ and node/), not here. Implementations: cpu::makeBackend (cpu/), cuda::makeBackend (cuda/, in a shared
// library of its own), and makeReferenceBackend (ops/: plain scalar loops, the truth of every test).
#pragma once

#include <memory>
#include <new>
#include <string>

#include "selfcompress/ops/activation.h"
#include "selfcompress/ops/attention.h"
#include "selfcompress/ops/batch.h"
#include "selfcompress/ops/binary.h"
#include "selfcompress/ops/conv2d.h"
#include "selfcompress/ops/conv_transpose.h"
#include "selfcompress/ops/elementwise.h"
#include "selfcompress/ops/embedding.h"
#include "selfcompress/ops/layer_norm.h"
#include "selfcompress/ops/layout.h"
#include "selfcompress/ops/loss.h"
#include "selfcompress/ops/norm.h"
#include "selfcompress/ops/optimizer.h"
#include "selfcompress/ops/pooling.h"
#include "selfcompress/ops/quantize.h"
#include "selfcompress/ops/rate.h"
#include "selfcompress/ops/recurrent.h"
#include "selfcompress/ops/resize.h"
#include "selfcompress/ops/softmax.h"

namespace selfcompress {

// What convolutions multiply; everything else, accumulation and master weights are float32 in any case.
enum class Precision {
  kFloat32,
  kTf32,      // CUDA tensor cores: operands rounded to 10 bits of significand
  kBfloat16,  // operands rounded to 7 bits of significand
};
const char* precisionName(Precision);  // "fp32", "tf32", "bf16"

// Memory of a device that cannot be had; the message has the sizes. Nothing has changed, and the backend is as usable
// as before.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// Every operation there is, for whoever treats them all alike.
// clang-format off
#define SELFCOMPRESS_OPERATIONS(X) \
  X(QuantizeForward) X(QuantizeBackward) X(QuantizeCodes) X(BitPenalty) X(Conv2dForward) X(Conv2dGradInput) \
  X(Conv2dGradWeight) X(BatchNormForward) X(BatchNormBackward) X(ActivationForward) X(ActivationBackward) \
  X(PReluForward) X(PReluBackward) X(BinaryForward) X(BinaryBackward) X(SoftmaxForward) X(SoftmaxBackward) \
  X(LayerNormForward) X(LayerNormBackward) X(GroupNormForward) X(GroupNormBackward) X(EmbeddingForward) \
  X(EmbeddingBackward) X(ElementLoss) X(PositionCrossEntropy) X(SoftCrossEntropy) \
  X(StateOfProduct) X(StateThroughActivation) X(StateThroughLayerNorm) \
  X(Dropout) X(PoolForward) X(PoolBackward) X(Add) X(CopyChannels) X(ClearChannels) X(StateFromBits) \
  X(StateThroughNorm) \
  X(StateOfSum) X(StateCopy) X(ListChannels) X(CrossEntropy) X(MeanSquaredError) X(OptimizerStep) \
  X(SumOfSquares) X(ClipScale) X(ClampBitDepth) X(KeepFamilies) X(RangeGradients) X(KeepRange) X(DecayDead) X(GatherImages) \
  X(ToLanes) X(FromLanes) \
  X(AttentionForward) X(AttentionBackward) X(Rotary) \
  X(CopyWindow) X(PadForward) X(PadBackward) X(ResizeForward) X(ResizeBackward) X(GatherChannels) \
  X(GatherChannelsBackward) X(DepthToSpace) X(Transpose) X(ChannelSum) X(ChannelSumBackward) X(StateJoin) \
  X(ChannelBias) X(ChannelBiasGradient) X(PermuteWeights) X(RecurrentForward) X(RecurrentBackward) \
  X(RateCounts) X(RatePenalty) X(IdleChannels) X(TieExponents) X(AverageParameters)
// clang-format on

// A sequence of operations that can be repeated as a whole, with the arguments it was recorded with.
class Recording {
 public:
  virtual ~Recording() = default;
};

// Batches that may be on their way at once: while the operations of one run, the next is copied.
inline constexpr int kStagingSlots = 2;

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu/avx2", "reference", ...

  virtual void* allocate(std::size_t bytes) = 0;  // aligned to kAlignment, zeroed; throws std::bad_alloc
  virtual void release(void* memory) = 0;
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  virtual void zero(void* device, std::size_t bytes) = 0;
  virtual void synchronize() = 0;

  // ---- Input and output beside running operations; the defaults are those of a backend that works on host memory.
  // Whether operations may be given pointers to host memory, such as a data set. If not, what they read is copied
  // first.
  virtual bool readsHostMemory() const { return true; }
  // Host memory that copies from and to the device are fastest with.
  virtual void* allocateStaging(std::size_t bytes) { return allocate(bytes); }
  virtual void releaseStaging(void* memory) { release(memory); }
  // Copies from staging memory, beside the operations that run. The slot must be finished (`waitFor`) or never used.
  virtual void stage(int slot, void* device, const void* staging, std::size_t bytes) {
    (void)slot;
    upload(device, staging, bytes);
  }
  virtual void useStaged(int slot) { (void)slot; }  // operations from here on come after the slot's copies
  // In the order of the operations: a copy within the device, and one to staging memory, to be read after `waitFor`.
  virtual void copy(void* to, const void* from, std::size_t bytes) { download(to, from, bytes); }
  virtual void fetch(void* staging, const void* device, std::size_t bytes) { download(staging, device, bytes); }
  virtual void finish(int slot) { (void)slot; }   // marks the end of the slot's operations
  virtual void waitFor(int slot) { (void)slot; }  // until they are done; throws what went wrong in them

  // ---- Recorded steps. Between the two, operations are recorded instead of run; `copy` and `zero` too, nothing else
  // may be called. false: this backend does not record.
  virtual bool beginRecording() { return false; }
  virtual std::unique_ptr<Recording> endRecording() { return nullptr; }
  virtual void cancelRecording() {}
  virtual void replay(Recording&) {}

  // Whether `run` of this operation is there; if not, it throws. By its name in SELFCOMPRESS_OPERATIONS, or of a field
  // that not all have: "EmbeddingBackward.accumulate".
  virtual bool supports(const char* operation) const {
    (void)operation;
    return true;
  }

  // Bytes of scratch memory that the three convolutions of this geometry need at most, for this batch or a smaller one.
  virtual std::size_t conv2dWorkspace(const Conv2dGeometry&, int batch) const = 0;
  // Whether Conv2dForward and Conv2dGradInput take a WeightQuantizer. If not, they are given quantized weights.
  virtual bool quantizesInConvolution() const { return false; }
  // Bytes of Conv2dForward::statistics, at most, for this batch or a smaller one. 0: this backend does not take them.
  virtual std::size_t conv2dStatistics(const Conv2dGeometry& geometry, int batch) const {
    (void)geometry, (void)batch;
    return 0;
  }

  // Bytes of RecurrentBackward::workspace.
  virtual std::size_t recurrentWorkspace(const RecurrentGeometry& geometry, int batch) const {
    (void)geometry, (void)batch;
    return 0;
  }

#define SELFCOMPRESS_RUN(Operation) virtual void run(const Operation&) = 0;
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_RUN)
#undef SELFCOMPRESS_RUN
};

// Plain scalar loops over the same layout: slow, readable, the reference of every other backend.
std::unique_ptr<Backend> makeReferenceBackend();

namespace cpu {

enum class Isa { kScalar, kAvx2, kAvx512, kNeon };
const char* isaName(Isa);
bool isaSupported(Isa);  // compiled in and offered by this processor and operating system
bool bf16IsNative(Isa);  // bf16 products are instructions of this processor; elsewhere they are put together, slowly
// The best supported one, or SELFCOMPRESS_ISA=scalar|avx2|avx512|neon. Throws std::runtime_error when that names an
// unknown or unsupported one.
Isa chooseIsa();

// Throws std::runtime_error for a precision that these kernels do not have.
std::unique_ptr<Backend> makeBackend(Isa, Precision = Precision::kFloat32);

// Threads of the process-wide pool (>= 1). Default: SELFCOMPRESS_THREADS, else the physical cores available to the
// process. Results do not depend on it. Takes effect for operations that start later; safe to call while others run.
void setThreads(int threads);
int threads();

}  // namespace cpu
}  // namespace selfcompress
