// Operations whose kernels are not there yet.
#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace selfcompress::cuda {
#define SELFCOMPRESS_MISSING(Operation) \
  __attribute__((weak)) void enqueue(Stream&, const Operation&) { throw Error(#Operation " has no kernel yet"); }
#define SELFCOMPRESS_MISSING_CONV(Operation)                                 \
  __attribute__((weak)) void enqueue(Stream&, const Operation&, Precision) { \
    throw Error(#Operation " has no kernel yet");                            \
  }
SELFCOMPRESS_MISSING(QuantizeForward)
SELFCOMPRESS_MISSING(QuantizeBackward) SELFCOMPRESS_MISSING(QuantizeCodes) SELFCOMPRESS_MISSING(BitPenalty)
    SELFCOMPRESS_MISSING_CONV(Conv2dForward) SELFCOMPRESS_MISSING_CONV(Conv2dGradInput)
        SELFCOMPRESS_MISSING_CONV(Conv2dGradWeight) SELFCOMPRESS_MISSING(BatchNormForward)
            SELFCOMPRESS_MISSING(BatchNormBackward) SELFCOMPRESS_MISSING(ActivationForward)
                SELFCOMPRESS_MISSING(ActivationBackward) SELFCOMPRESS_MISSING(Dropout) SELFCOMPRESS_MISSING(PoolForward)
                    SELFCOMPRESS_MISSING(PoolBackward) SELFCOMPRESS_MISSING(Add) SELFCOMPRESS_MISSING(CopyChannels)
                        SELFCOMPRESS_MISSING(StateFromBits) SELFCOMPRESS_MISSING(StateThroughNorm)
                            SELFCOMPRESS_MISSING(StateOfSum) SELFCOMPRESS_MISSING(StateCopy)
                                SELFCOMPRESS_MISSING(ListChannels) SELFCOMPRESS_MISSING(CrossEntropy)
                                    SELFCOMPRESS_MISSING(MeanSquaredError) SELFCOMPRESS_MISSING(OptimizerStep)
                                        SELFCOMPRESS_MISSING(SumOfSquares) SELFCOMPRESS_MISSING(ClipScale)
                                            SELFCOMPRESS_MISSING(ClampBitDepth) SELFCOMPRESS_MISSING(RangeGradients)
                                                SELFCOMPRESS_MISSING(KeepRange) SELFCOMPRESS_MISSING(DecayDead)
                                                    SELFCOMPRESS_MISSING(GatherImages)
                                                        SELFCOMPRESS_MISSING(GatherLabels) SELFCOMPRESS_MISSING(ToLanes)
                                                            SELFCOMPRESS_MISSING(FromLanes)
                                                                __attribute__((weak)) std::size_t
    conv2dWorkspace(const DeviceLimits&, const Conv2dGeometry&, int) {
  return 256;
}
}  // namespace selfcompress::cuda
