// Operations that move elements without computing with them: windows (slices, crops, concatenation along any axis),
// padding, channels by index, depth to space, transposition of channels and positions.
//
// States, of all of them: a kZero channel of the source counts as zeros and is not read; a channel of the target whose
// state is kZero is not written. Each array is indexed by the channel of its whole tensor; nullptr: all live.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

// target[outChannel + i, outTop + y, outLeft + x] = source[inChannel + i, inTop + y, inLeft + x], i < channels, y <
// height, x < width; with `accumulate` it is added. What lies outside the window is left as it is. The gradient is the
// same copy with the sides exchanged.
struct CopyWindow {
  Shape input, output;
  int batch = 0;
  int channels = 0, height = 0, width = 0;  // of the window, which lies inside both
  int inChannel = 0, inTop = 0, inLeft = 0;
  int outChannel = 0, outTop = 0, outLeft = 0;
  bool accumulate = false;
  const float* source = nullptr;
  const std::int32_t* sourceState = nullptr;
  const std::int32_t* targetState = nullptr;
  float* target = nullptr;
};

// kReflect: 2 1 | 0 1 2, kEdge: 0 0 | 0 1 2, kWrap: 1 2 | 0 1 2.
enum class PadMode { kConstant, kReflect, kEdge, kWrap };

struct PadGeometry {
  Shape input;
  int top = 0, bottom = 0, left = 0, right = 0;  // at least 0
  PadMode mode = PadMode::kConstant;
  float value = 0;  // of kConstant
  SELFCOMPRESS_HOST_DEVICE Shape output() const {
    return {input.channels, input.height + top + bottom, input.width + left + right};
  }
};

// The row or column of the input that position i of the output is a copy of, -1: of none. Internal linkage, as in
// activation.h.
SELFCOMPRESS_HOST_DEVICE static inline int padSource(PadMode mode, int i, int before, int size) {
  const int at = i - before;
  if (at >= 0 && at < size) return at;
  if (mode == PadMode::kConstant) return -1;
  if (mode == PadMode::kEdge) return at < 0 ? 0 : size - 1;
  const int period = mode == PadMode::kWrap ? size : size > 1 ? 2 * (size - 1) : 1;
  const int turn = (at % period + period) % period;
  return turn < size ? turn : period - turn;
}

struct PadForward {
  PadGeometry geometry;
  int batch = 0;
  const float* input = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* output = nullptr;
};
// gradInput[p] = sum of gradOutput over the copies of p.
struct PadBackward {
  PadGeometry geometry;
  int batch = 0;
  const float* gradOutput = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* gradInput = nullptr;
};

// output[c] = input[index[c]], zeros where index[c] is negative: shuffles, choices and repetitions of channels.
struct GatherChannels {
  Shape input;
  int channels = 0;  // of the output
  int batch = 0;
  const std::int32_t* index = nullptr;  // [channels], device memory
  const float* source = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* output = nullptr;
};
// gradInput[i] = sum of gradOutput[c] over all c with index[c] = i, in ascending order.
struct GatherChannelsBackward {
  Shape input;
  int channels = 0;
  int batch = 0;
  const std::int32_t* index = nullptr;
  const float* gradOutput = nullptr;
  const std::int32_t* inputState = nullptr;
  const std::int32_t* outputState = nullptr;
  float* gradInput = nullptr;
};

// kBlockFirst: channel (i * size + j) * C + c, ONNX's DCR; kChannelFirst: channel (c * size + i) * size + j, ONNX's CRD
// and PyTorch's PixelShuffle.
enum class DepthOrder { kBlockFirst, kChannelFirst };

// wide[c, y * size + i, x * size + j] = deep[channel of (c, i, j), y, x], or with `inverse` the way back. Each is the
// other's gradient.
struct DepthToSpace {
  Shape deep;  // channels: a multiple of size * size
  int size = 1;
  DepthOrder order = DepthOrder::kChannelFirst;
  bool inverse = false;
  int batch = 0;
  const float* source = nullptr;  // deep; wide with `inverse`
  const std::int32_t* sourceState = nullptr;
  const std::int32_t* targetState = nullptr;
  float* target = nullptr;
  SELFCOMPRESS_HOST_DEVICE Shape wide() const {
    return {deep.channels / (size * size), deep.height * size, deep.width * size};
  }
};
// Where a channel of the deep tensor comes to lie.
struct DepthPlace {
  int channel, row, column;
};
SELFCOMPRESS_HOST_DEVICE static inline DepthPlace depthPlace(const DepthToSpace& a, int deepChannel) {
  const int channels = a.deep.channels / (a.size * a.size), area = a.size * a.size;
  if (a.order == DepthOrder::kBlockFirst) {
    const int place = deepChannel / channels;
    return {deepChannel % channels, place / a.size, place % a.size};
  }
  const int place = deepChannel % area;
  return {deepChannel / area, place / a.size, place % a.size};
}

// target[t, 0, c] = source[c, 0, t]: {channels, 1, positions} becomes {positions, 1, channels}, and its gradient goes
// back the same way.
struct Transpose {
  Shape input;  // any height and width: its pixels are the positions
  int batch = 0;
  const float* source = nullptr;
  const std::int32_t* sourceState = nullptr;
  const std::int32_t* targetState = nullptr;
  float* target = nullptr;
};

// output[0, y, x] = factor * sum over channels of input[c, y, x]: a mean with factor 1 / channels.
struct ChannelSum {
  Shape input;
  int batch = 0;
  float factor = 1;
  const float* source = nullptr;
  const std::int32_t* inputState = nullptr;
  float* output = nullptr;  // {1, height, width}
};
// gradInput[c] = factor * gradOutput
struct ChannelSumBackward {
  Shape input;
  int batch = 0;
  float factor = 1;
  const float* gradOutput = nullptr;
  const std::int32_t* inputState = nullptr;
  float* gradInput = nullptr;
};

// State of a channel that is put together from several: output[c] of the states of channels index[c * perChannel + i].
// Any kLive -> kLive; all kZero -> kZero; else kConstant, or kLive with `mixed`: where constants become different
// values at different positions, or are multiplied by what varies. A negative index counts as kZero.
struct StateJoin {
  int channels = 0;
  int perChannel = 1;
  const std::int32_t* index = nullptr;  // [channels][perChannel], device memory
  bool mixed = false;
  const std::int32_t* input = nullptr;
  std::int32_t* output = nullptr;
};

}  // namespace selfcompress
