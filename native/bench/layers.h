// The operations between convolutions that the bench server times, by name.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "selfcompress/backend.h"

namespace selfcompress::bench {

// One run of `name` on tensors {channels,1,positions} of `batch` examples. `memory` gives random floats.
template <class Memory>
std::function<void()> layerRun(Backend& backend, Memory& memory, const std::string& name, int channels, int positions,
                               int batch) {
  const Shape shape{channels, 1, positions};
  auto tensor = [&](Shape s) { return memory.random(laneElements(s, batch)); };
  float *x = tensor(shape), *y = tensor(shape), *z = tensor(shape), *weight = memory.random(channels),
        *mean = tensor({1, 1, positions}), *inverse = tensor({1, 1, positions});
  if (name == "multiply" || name == "add" || name == "gate") {
    BinaryForward a;
    a.kind = name == "add" ? Binary::kAdd : Binary::kMultiply, a.shape = shape, a.batch = batch;
    a.operand.onePosition = name == "gate", a.a = x, a.b = y, a.output = z;
    return [&backend, a] { backend.run(a); };
  }
  if (name == "multiplyBackward" || name == "gateBackward" || name == "positionsBackward") {
    BinaryBackward a;
    a.kind = name == "positionsBackward" ? Binary::kAdd : Binary::kMultiply, a.shape = shape, a.batch = batch;
    a.operand.onePosition = name == "gateBackward", a.operand.plain = name == "positionsBackward";
    a.a = x, a.b = y, a.gradOutput = z, a.gradA = tensor(shape), a.gradB = tensor(shape);
    if (a.operand.plain) a.gradA = nullptr;
    return [&backend, a] { backend.run(a); };
  }
  if (name == "layerNorm" || name == "rmsNorm") {
    LayerNormForward a;
    a.shape = shape, a.batch = batch, a.divisor = channels, a.rms = name == "rmsNorm", a.input = x, a.weight = weight;
    a.bias = weight, a.savedMean = mean, a.savedInvStd = inverse, a.output = y;
    return [&backend, a] { backend.run(a); };
  }
  if (name == "layerNormBackward") {
    LayerNormBackward a;
    a.shape = shape, a.batch = batch, a.divisor = channels, a.input = x, a.gradOutput = y, a.weight = weight;
    a.savedMean = mean, a.savedInvStd = inverse, a.gradInput = z;
    a.gradWeight = memory.random(channels), a.gradBias = memory.random(channels);
    return [&backend, a] { backend.run(a); };
  }
  if (name == "groupNorm") {
    GroupNormForward a;
    a.shape = shape, a.batch = batch, a.groups = channels % 8 ? 1 : channels / 8, a.divisor = channels / a.groups;
    a.input = x, a.weight = a.bias = weight, a.output = y;
    return [&backend, a] { backend.run(a); };
  }
  if (name == "softmax" || name == "softmaxWidth") {
    SoftmaxForward a{shape, batch, name == "softmax" ? SoftmaxAxis::kChannels : SoftmaxAxis::kWidth, false, x, y};
    return [&backend, a] { backend.run(a); };
  }
  if (name == "softmaxBackward") {
    SoftmaxBackward a{shape, batch, SoftmaxAxis::kChannels, false, x, y, z};
    return [&backend, a] { backend.run(a); };
  }
  for (auto [word, kind] : {std::pair("tanh", Activation::kTanh), std::pair("geluTanh", Activation::kGeluTanh),
                            std::pair("sigmoid", Activation::kSigmoid), std::pair("log", Activation::kLog),
                            std::pair("relu", Activation::kRelu)})
    if (name == word) {
      ActivationForward a{kind, shape, batch, x, nullptr, y};
      return [&backend, a] { backend.run(a); };
    }
  throw std::runtime_error("layer: unknown operation " + name);
}

}  // namespace selfcompress::bench
