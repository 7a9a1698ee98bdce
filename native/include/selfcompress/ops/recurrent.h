// LSTM and GRU over a sequence. The products of the inputs are done outside, for all positions at once, by a 1x1
// convolution: `input` is x = W in + b, {gates * units, 1, positions}, gate by gate. With R the recurrent weights, b'
// the recurrent bias, h and c the states of the position before (after, with `reverse`):
//
//     kLstm (gates i, f, g, o):  a = x + R h + b'
//         c' = sigmoid(a_f) * c + sigmoid(a_i) * tanh(a_g)      h' = sigmoid(a_o) * tanh(c')
//     kGru (r, z, n), PyTorch's and ONNX's linear_before_reset = 1:
//         r, z = sigmoid(x + R h + b')     n = tanh(x_n + r * (R_n h + b'_n))     h' = (1 - z) * n + z * h
//     kGruResetFirst, linear_before_reset = 0:
//         the same but for                  n = tanh(x_n + R_n (r * h) + b'_n)
//
// (Hochreiter & Schmidhuber 1997; Cho et al. 2014.) Everything of a unit in state kZero counts as zeros: it is neither
// read nor written, and its gradients of weights and bias are 0.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class RecurrentKind { kLstm, kGru, kGruResetFirst };

struct RecurrentGeometry {
  RecurrentKind kind = RecurrentKind::kLstm;
  int units = 0, positions = 1;
  bool reverse = false;  // from the last position to the first
  SELFCOMPRESS_HOST_DEVICE int gates() const { return kind == RecurrentKind::kLstm ? 4 : 3; }
  SELFCOMPRESS_HOST_DEVICE Shape input() const { return {gates() * units, 1, positions}; }
  SELFCOMPRESS_HOST_DEVICE Shape output() const { return {units, 1, positions}; }
  SELFCOMPRESS_HOST_DEVICE Shape state() const { return {units, 1, 1}; }
  // What backward needs: LSTM i, f, g, o after their functions and c'; GRU r, z, n and R_n h + b'_n.
  SELFCOMPRESS_HOST_DEVICE int savedPlanes() const { return kind == RecurrentKind::kLstm ? 5 : 4; }
  SELFCOMPRESS_HOST_DEVICE Shape saved() const { return {savedPlanes() * units, 1, positions}; }
};

struct RecurrentForward {
  RecurrentGeometry geometry;
  int batch = 0;
  const float* input = nullptr;         // lanes
  const float* weight = nullptr;        // R, [gates * units][units]
  const float* bias = nullptr;          // b', [gates * units] or nullptr: 0
  const std::int32_t* state = nullptr;  // ChannelState of each unit, or nullptr
  const float* hiddenStart = nullptr;   // lanes, {units, 1, 1}, or nullptr: 0
  const float* cellStart = nullptr;     // the same, LSTM only
  float* output = nullptr;              // lanes, h' of every position
  float* hiddenEnd = nullptr;           // lanes, {units, 1, 1}, or nullptr
  float* cellEnd = nullptr;             // the same, LSTM only
  float* saved = nullptr;               // lanes, or nullptr: no backward follows
};

// Through time. Gradients in padding lanes are zero, those given and those written.
struct RecurrentBackward {
  RecurrentGeometry geometry;
  int batch = 0;
  const float* weight = nullptr;
  const std::int32_t* state = nullptr;
  const float* hiddenStart = nullptr;  // as in forward
  const float* cellStart = nullptr;
  const float* output = nullptr;  // of forward
  const float* saved = nullptr;
  const float* gradOutput = nullptr;     // lanes
  const float* gradHiddenEnd = nullptr;  // lanes, {units, 1, 1}, or nullptr: 0
  const float* gradCellEnd = nullptr;
  float* gradInput = nullptr;        // lanes, {gates * units, 1, positions}
  float* gradWeight = nullptr;       // [gates * units][units], every element is written
  float* gradBias = nullptr;         // [gates * units] or nullptr
  float* gradHiddenStart = nullptr;  // lanes, {units, 1, 1}, or nullptr
  float* gradCellStart = nullptr;
  void* workspace = nullptr;  // Backend::recurrentWorkspace(geometry, batch) bytes
};

}  // namespace selfcompress
