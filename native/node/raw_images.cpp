// Raw norms, activations and poolings on plain arrays.
#include "graph/infer.h"
#include "node/describe.h"
#include "node/raw.h"
#include "ops/operators.h"
#include "ops/pooling/pools.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;

Napi::Value batchNormForward(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"batch", "channels", "height", "width", "training", "epsilon", "momentum", "input", "weight", "bias",
               "runningMean", "runningVar", "savedMean", "savedInvStd", "output"});
  TypedArrays arrays;
  arrays.allowSame("input", "output");
  ImageBatch images = readImageBatch(f);
  int channels = images.shape.channels;
  BatchNormForward a;
  a.shape = images.shape, a.batch = images.batch;
  if (!f.has("training")) throwType(f.env(), "a boolean", "training", "undefined");
  a.training = f.boolean("training", false);
  a.epsilon = float(f.number("epsilon", 1e-12, 1, 1e-5)), a.momentum = float(f.number("momentum", 0, 1, 0.1));
  const float* input = arrays.floats(f, "input", images.elements(), Access::kRead);
  a.weight = arrays.optionalFloats(f, "weight", channels, Access::kRead);
  a.bias = arrays.optionalFloats(f, "bias", channels, Access::kRead);
  a.runningMean = arrays.floats(f, "runningMean", channels, Access::kWrite);
  a.runningVar = arrays.floats(f, "runningVar", channels, Access::kWrite);
  if (a.training || f.has("savedMean")) a.savedMean = arrays.floats(f, "savedMean", channels, Access::kWrite);
  if (a.training || f.has("savedInvStd")) a.savedInvStd = arrays.floats(f, "savedInvStd", channels, Access::kWrite);
  float* output = arrays.floats(f, "output", images.elements(), Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend);
    BatchNormForward op = a;
    float* y = lanes.empty(a.shape, a.batch);
    op.input = lanes.from(a.shape, a.batch, input);
    op.output = y;
    backend.run(op);
    lanes.to(a.shape, a.batch, y, output);
  });
}

Napi::Value batchNormBackward(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"batch", "channels", "height", "width", "input", "gradOutput", "weight", "savedMean", "savedInvStd",
               "gradInput", "gradWeight", "gradBias"});
  TypedArrays arrays;
  arrays.allowSame("gradOutput", "gradInput");
  ImageBatch images = readImageBatch(f);
  int channels = images.shape.channels;
  BatchNormBackward a;
  a.shape = images.shape, a.batch = images.batch;
  const float* input = arrays.floats(f, "input", images.elements(), Access::kRead);
  const float* gradOutput = arrays.floats(f, "gradOutput", images.elements(), Access::kRead);
  a.weight = arrays.optionalFloats(f, "weight", channels, Access::kRead);
  a.savedMean = arrays.floats(f, "savedMean", channels, Access::kRead);
  a.savedInvStd = arrays.floats(f, "savedInvStd", channels, Access::kRead);
  float* gradInput = arrays.floats(f, "gradInput", images.elements(), Access::kWrite);
  a.gradWeight = arrays.optionalFloats(f, "gradWeight", channels, Access::kWrite);
  a.gradBias = arrays.optionalFloats(f, "gradBias", channels, Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend);
    BatchNormBackward op = a;
    op.input = lanes.from(a.shape, a.batch, input);
    op.gradInput = lanes.from(a.shape, a.batch, gradOutput);
    op.gradOutput = op.gradInput;
    backend.run(op);
    lanes.to(a.shape, a.batch, op.gradInput, gradInput);
  });
}

Napi::Value activation(const Napi::CallbackInfo& info, bool backward) {
  Fields f(info[0], "");
  if (backward) f.allowOnly({"batch", "channels", "height", "width", "kind", "input", "gradOutput", "gradInput"});
  else f.allowOnly({"batch", "channels", "height", "width", "kind", "input", "output"});
  TypedArrays arrays;
  arrays.allowSame("input", "output");
  arrays.allowSame("gradOutput", "gradInput");
  constexpr Activation kinds[] = {Activation::kRelu, Activation::kGelu, Activation::kSilu};
  Activation kind = kinds[f.choice("kind", {"relu", "gelu", "silu"})];
  ImageBatch images = readImageBatch(f);
  const float* input = arrays.floats(f, "input", images.elements(), Access::kRead);
  const float* gradOutput = backward ? arrays.floats(f, "gradOutput", images.elements(), Access::kRead) : nullptr;
  float* output = arrays.floats(f, backward ? "gradInput" : "output", images.elements(), Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend);
    float* x = lanes.from(images.shape, images.batch, input);
    float* y = lanes.empty(images.shape, images.batch);
    if (backward)
      backend.run(ActivationBackward{kind, images.shape, images.batch, x,
                                     lanes.from(images.shape, images.batch, gradOutput), nullptr, y});
    else backend.run(ActivationForward{kind, images.shape, images.batch, x, nullptr, y});
    lanes.to(images.shape, images.batch, y, output);
  });
}
Napi::Value activationForward(const Napi::CallbackInfo& info) { return activation(info, false); }
Napi::Value activationBackward(const Napi::CallbackInfo& info) { return activation(info, true); }

Napi::Value pool(const Napi::CallbackInfo& info, bool backward) {
  Fields f(info[0], "");
  if (backward)
    f.allowOnly({"batch", "channels", "height", "width", "kind", "kernel", "stride", "padding", "countIncludePad",
                 "input", "gradOutput", "gradInput"});
  else
    f.allowOnly({"batch", "channels", "height", "width", "kind", "kernel", "stride", "padding", "countIncludePad",
                 "input", "output"});
  TypedArrays arrays;
  ImageBatch images = readImageBatch(f);
  const Pool kind = f.choice("kind", {"max", "average"}) ? Pool::kAverage : Pool::kMax;
  const NodeDescription node = readRawNode(f, ops::averagePool, {"kernel", "stride", "padding", "countIncludePad"});
  const NodeContext context = rawContext(node, images);
  const Shape out = readOutputShape(f, context, images);
  const PoolGeometry geometry = poolGeometry(context);
  const float* input = arrays.floats(f, "input", images.elements(), Access::kRead);
  const float* gradOutput =
      backward ? arrays.floats(f, "gradOutput", out.elements() * images.batch, Access::kRead) : nullptr;
  float* result = backward ? arrays.floats(f, "gradInput", images.elements(), Access::kWrite)
                           : arrays.floats(f, "output", out.elements() * images.batch, Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend);
    int batch = images.batch;
    float *x = lanes.from(images.shape, batch, input), *y = lanes.empty(backward ? images.shape : out, batch);
    if (backward)
      backend.run(PoolBackward{kind, geometry, batch, x, lanes.from(out, batch, gradOutput), nullptr, nullptr, y});
    else backend.run(PoolForward{kind, geometry, batch, x, nullptr, y});
    lanes.to(backward ? images.shape : out, batch, y, result);
  });
}
Napi::Value poolForward(const Napi::CallbackInfo& info) { return pool(info, false); }
Napi::Value poolBackward(const Napi::CallbackInfo& info) { return pool(info, true); }

}  // namespace

void exportRawImages(Napi::Object exports) {
  exportFunction<batchNormForward>(exports, "batchNormForward");
  exportFunction<batchNormBackward>(exports, "batchNormBackward");
  exportFunction<activationForward>(exports, "activationForward");
  exportFunction<activationBackward>(exports, "activationBackward");
  exportFunction<poolForward>(exports, "poolForward");
  exportFunction<poolBackward>(exports, "poolBackward");
}

}  // namespace selfcompress::node
