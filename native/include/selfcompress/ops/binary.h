// Element-wise arithmetic of two tensors:
//
//     add: a + b        subtract: a - b        multiply: a * b        divide: a / b
//
// The second operand may be smaller than the first and is then broadcast: it has all channels or one, and all positions
// or one. It is a tensor of activations, one for each example, or plain floats without a batch, the same for every
// example (learned positions, a layer's scale, a constant):
//
//     b                      channels  positions
//     the same shape         all       all          residual branches, gates
//     {C,1,1}                all       one          squeeze-excite; plain [C]: a layer's scale
//     {1,H,W}                one       all          spatial gates; plain [H][W]
//     {1,1,1}                one       one          plain [1]: a learned scalar
//
// A kZero channel of either operand counts as zeros and is not read. The result of a channel is exactly zero, kZero,
// and not written: for sums when both are kZero, for products when either is, for quotients when a is. Padding lanes of
// a quotient are zero.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class Binary { kAdd, kSubtract, kMultiply, kDivide };

// How the second operand meets the first.
struct Operand {
  bool oneChannel = false;   // its channel meets all of a's
  bool onePosition = false;  // its pixel meets all of a's
  bool plain = false;        // floats without a batch, [channels][height][width]; else lanes
  Shape of(Shape a) const {
    return {oneChannel ? 1 : a.channels, onePosition ? 1 : a.height, onePosition ? 1 : a.width};
  }
};

struct BinaryForward {
  Binary kind = Binary::kAdd;
  Shape shape;  // of a and of the output
  int batch = 0;
  Operand operand;
  const float* a = nullptr;              // lanes
  const float* b = nullptr;              // lanes or plain floats of operand.of(shape)
  const std::int32_t* stateA = nullptr;  // ChannelState per channel or nullptr
  const std::int32_t* stateB = nullptr;  // per channel of b, or nullptr
  float* output = nullptr;               // lanes; may be a, or b if that has the same shape
};

// With g = dL/doutput:
//
//                 add, subtract    multiply    divide
//     dL/da       g                g * b       g / b
//     dL/db       +-g              g * a       -g * a / b^2      summed over what b was broadcast over
//
// Sums over the batch leave out padding lanes; their order does not depend on the number of threads. gradA of a kZero
// channel and gradB of a kZero channel are not written; where the output is kZero, gradOutput is not read and counts as
// zeros.
struct BinaryBackward {
  Binary kind = Binary::kAdd;
  Shape shape;
  int batch = 0;
  Operand operand;
  const float* a = nullptr;  // of forward; not read for sums
  const float* b = nullptr;  // of forward; not read for sums
  const float* gradOutput = nullptr;
  const std::int32_t* stateA = nullptr;
  const std::int32_t* stateB = nullptr;
  float* gradA = nullptr;  // lanes, or nullptr: not wanted; may be gradOutput
  float* gradB = nullptr;  // as b, or nullptr: not wanted. May be gradOutput if b has the same shape and gradA is not
};

}  // namespace selfcompress
