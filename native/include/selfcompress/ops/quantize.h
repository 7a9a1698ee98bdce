// Self-compressing quantizer (Cséfalvay & Imber, arXiv 2301.13142), one bit depth b and one exponent e per output
// channel:
//
//     beta = max(b, 0)   s = 2^e   lo = -2^(beta-1)   hi = 2^(beta-1) - 1
//     u = w * 2^-e       c = min(max(u, lo), hi)      r = roundHalfToEven(c)      q = s * r    (beta = 0: q = +0.0
//     exactly)
//
// Backward with the straight-through estimator (dr/dc = 1), g = dL/dq:
//
//     lo <= u <= hi : dq/dw = 1   dq/dbeta = 0                          dq/de = ln2 * (q - w)
//     u < lo        : dq/dw = 0   dq/dbeta = -ln2 * s * 2^(beta-1)      dq/de = ln2 * q
//     u > hi        : dq/dw = 0   dq/dbeta = +ln2 * s * 2^(beta-1)      dq/de = ln2 * q
//
//     dL/db = [b > 0] * (sum g * dq/dbeta + penalty)         dL/de = [b > 0] * sum g * dq/de
//
// A channel with b <= 0 is dead: q = +0.0 and all its gradients are exactly zero, whatever w and e are. One that is not
// dead and has a b that is NaN or an e that is not finite is spoilt: q and all its gradients are NaN, so that training
// that has gone wrong is seen, and it counts as live everywhere else. A NaN weight gives a NaN q and is treated as
// inside [lo, hi].
//
// The equations hold for every finite e and every b, b = inf included, up to the rounding of q and of the gradients to
// float: w = 0 gives q = 0 for every e. s, 2^-e, lo and hi are computed once per channel in double precision. Where
// they do as floats, -100 <= e <= 100 and b <= 128, they are rounded to float, and so is every step from w to q;
// elsewhere the steps are doubles (ops/quantize/wide.h). The channel sums are taken in a fixed order that depends on
// perChannel alone.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

SELFCOMPRESS_HOST_DEVICE inline bool isDead(float bitDepth) { return bitDepth <= 0; }
SELFCOMPRESS_HOST_DEVICE inline bool isSpoilt(float bitDepth, float exponent) {
  return !isDead(bitDepth) && (bitDepth != bitDepth || exponent - exponent != 0);
}

struct QuantizeForward {
  int channels = 0;                 // output channels
  std::int64_t perChannel = 0;      // weights of one output channel
  const float* weight = nullptr;    // [channels][perChannel]
  const float* bitDepth = nullptr;  // [channels]
  const float* exponent = nullptr;  // [channels]
  float* output = nullptr;          // [channels][perChannel]; may be `weight` itself
};

// The gradient of a length of the codes (ops/rate.h) that is piecewise linear between whole |c|: with i of group g,
//
//     slope = max(0, (|c| < 1 ? slope[0] : slope[1]) + row_i + element_(g,k))          for weight k of channel i
//     lo <= u <= hi : dL/dw += sign(u) * slope / s     dL/de -= ln2 * slope * |c|
//     u < lo        : dL/dbeta += ln2 * 2^(beta-1) * slope
//     u > hi        : dL/dbeta += ln2 * 2^(beta-1) * slope, minus where hi < 0
//
// A NaN weight adds nothing to dL/dw. An element of -inf leaves its weights out.
struct QuantizeRate {
  const float* slope = nullptr;    // [2]; nullptr: no such gradient
  const float* row = nullptr;      // [channels]
  const float* element = nullptr;  // [groups][perChannel]
  int groups = 1;
};

struct QuantizeBackward {
  int channels = 0;
  std::int64_t perChannel = 0;
  const float* weight = nullptr;      // [channels][perChannel]
  const float* bitDepth = nullptr;    // [channels]
  const float* exponent = nullptr;    // [channels]
  const float* gradOutput = nullptr;  // dL/dq, [channels][perChannel]
  const float* penalty = nullptr;     // gamma * dQ/db of each channel, [channels]; nullptr: no penalty
  float* gradWeight = nullptr;        // [channels][perChannel]; may be gradOutput itself
  float* gradBitDepth = nullptr;      // [channels], overwritten
  float* gradExponent = nullptr;      // [channels], overwritten
  QuantizeRate rate = {};
};

// Integer codes r of every weight, and per channel the bits of the shortest two's complement integer that holds all of
// them: 0 when every code is 0, else the least d >= 1 with -2^(d-1) <= r <= 2^(d-1)-1. A NaN u gives code 0; b is
// clamped to 31 for codes. A spoilt channel has no codes: they are 0, and its bits -1.
struct QuantizeCodes {
  int channels = 0;
  std::int64_t perChannel = 0;
  const float* weight = nullptr;
  const float* bitDepth = nullptr;
  const float* exponent = nullptr;
  std::int32_t* codes = nullptr;     // [channels][perChannel]
  std::int32_t* codeBits = nullptr;  // [channels]; -1: spoilt
};

// One layer's part of the size penalty. With N weights in the original network, K = kernelArea and I_i = live (not
// dead) input channels that output channel i reads (those of its own group):
//
//     Q_l  = K / N * sum_i I_i * max(b_i, 0)
//     own:      dQ/db_i = K * I_i / N
//     coupled:  dQ/db_i = K * I_i / N + sum over the readers r of channel i of weights_r * (sum_j max(b_rj, 0)) / N
//
// A reader is a slice of another layer's weights that would leave with the channel: those of its output channels j that
// read it. Readers that are alike for many channels (all outputs of a layer) are listed once and referred to.
struct PenaltyReader {
  const float* bitDepth = nullptr;  // of its output channels that read; nullptr: plain weights, 32 bits each
  int channels = 0;                 // how many of them
  float weights = 1;                // weights of each that read the channel
};
struct BitPenalty {
  int channels = 0;
  const float* bitDepth = nullptr;  // [channels]; nullptr: plain weights
  int kernelArea = 1;
  int groups = 1;                            // divides channels and inChannels
  const std::int32_t* inputState = nullptr;  // ChannelState of the input channels; nullptr: all live
  int inChannels = 0;
  double originalWeights = 1;    // N
  const float* gamma = nullptr;  // one float in device memory
  // For the penalty `coupled`; all in device memory. The readers of channel i are readers[index[k]], start[i] <= k <
  // start[i + 1]; readerBits is scratch, [readerCount].
  int readerCount = 0;
  const PenaltyReader* readers = nullptr;
  const std::int32_t *start = nullptr, *index = nullptr;
  double* readerBits = nullptr;
  float* penalty = nullptr;    // [channels]: gamma * dQ/db, or nullptr
  float* layerBits = nullptr;  // one float: Q_l (not multiplied by gamma)
};

}  // namespace selfcompress
