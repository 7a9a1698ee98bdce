// Residual addition, concatenation, and the bookkeeping of channel states.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

// output = a + b (then max(.,0) if relu). A kZero channel of an operand counts as zeros and is not read; channels whose
// outputState is kZero are not written.
struct Add {
  Shape shape;
  int batch = 0;
  const float* a = nullptr;
  const float* b = nullptr;
  const std::int32_t* stateA = nullptr;
  const std::int32_t* stateB = nullptr;
  bool relu = false;
  float* output = nullptr;  // may be a or b
};

// Copies `count` channels: output channel outFirst + i = input channel inFirst + i. Concatenation is one copy per
// input, its gradient one copy back. `accumulate` adds instead (gradients of a tensor with several consumers: inFirst =
// outFirst = 0).
struct CopyChannels {
  Shape input, output;  // same height and width
  int batch = 0;
  int inFirst = 0, outFirst = 0, count = 0;
  bool accumulate = false;
  const float* source = nullptr;
  const std::int32_t* state = nullptr;  // ChannelState of the *input tensor of the concatenation or accumulation*
                                        // (indexed i = 0..count-1), or nullptr; kZero channels are skipped
  float* target = nullptr;
};

// Writes zeros to the channels whose state is kZero, which nobody else writes: for whoever reads a whole tensor.
struct ClearChannels {
  Shape shape;
  int batch = 0;
  const std::int32_t* state = nullptr;
  float* output = nullptr;
};

// ---- channel states (tensor.h); all arrays are device memory, indexed by channel ----

// Output of a weight layer: b <= 0 -> dead: kZero if bias is nullptr or 0, else kConstant. bitDepth == nullptr: all
// kLive. A depthwise convolution also gives its input's state: a channel that reads a kZero channel is dead as well.
struct StateFromBits {
  int channels = 0;
  const float* bitDepth = nullptr;
  const float* bias = nullptr;
  const std::int32_t* depthwiseInput = nullptr;  // [channels / multiplier], or nullptr
  int multiplier = 1;                            // output channels of each input channel
  std::int32_t* output = nullptr;
};
// Through a batch norm: a dead input becomes kZero if bias is nullptr or 0, else kConstant. For evaluation, where the
// norm uses running statistics, it is kZero only if runningMean is 0 as well and the input is kZero.
struct StateThroughNorm {
  int channels = 0;
  const std::int32_t* input = nullptr;
  const float* bias = nullptr;
  const float* runningMean = nullptr;  // nullptr: training
  std::int32_t* output = nullptr;
};
// Of a + b: both kZero -> kZero; both dead -> kConstant; else kLive.
struct StateOfSum {
  int channels = 0;
  const std::int32_t* a = nullptr;
  const std::int32_t* b = nullptr;
  std::int32_t* output = nullptr;
};
// Of a * b: either kZero -> kZero; both dead -> kConstant; else kLive.
struct StateOfProduct {
  int channels = 0;
  const std::int32_t* a = nullptr;
  const std::int32_t* b = nullptr;
  bool oneB = false;  // b has one channel, which meets all of a's
  std::int32_t* output = nullptr;
};
// Through a function of one tensor: kZero stays if f(0) = 0 (`keepsZero`), else it becomes kConstant.
struct StateThroughActivation {
  int channels = 0;
  bool keepsZero = true;
  const std::int32_t* input = nullptr;
  std::int32_t* output = nullptr;
};
// Through a norm that mixes channels (ops/layer_norm.h). A kZero input becomes -mean / sigma * weight + bias, which
// varies: kZero only if weight and bias are 0, else kLive. Under an RMS norm it becomes the bias: kZero if that is
// nullptr or 0, else kConstant. Every other channel is kLive.
struct StateThroughLayerNorm {
  int channels = 0;
  bool rms = false;
  const std::int32_t* input = nullptr;
  const float* weight = nullptr;  // nullptr: 1
  const float* bias = nullptr;    // nullptr: 0
  std::int32_t* output = nullptr;
};
// output[outFirst + i * repeat + r] = input[i], r < repeat: concatenation (repeat 1) and flattening (repeat = pixels).
struct StateCopy {
  int channels = 0;
  int repeat = 1;
  int outFirst = 0;
  const std::int32_t* input = nullptr;
  std::int32_t* output = nullptr;
};
// index[] = ascending channels whose state is not kZero (keepConstant) or is kLive (!keepConstant); *count = how many.
struct ListChannels {
  int channels = 0;
  bool keepConstant = true;
  const std::int32_t* state = nullptr;
  std::int32_t* index = nullptr;
  std::int32_t* count = nullptr;
};

}  // namespace selfcompress
