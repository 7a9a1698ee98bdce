// Raw norms, activations and poolings on plain arrays.
#include <algorithm>
#include <climits>
#include <limits>

#include "graph/infer.h"
#include "node/describe.h"
#include "node/raw.h"
#include "ops/operators.h"
#include "ops/pooling/pools.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;

// A batch norm treats every position of every image alike: with channels last they are so many vectors, which are lanes
// without transposing.
ImageBatch readNormBatch(const Fields& f) {
  const ImageBatch images = readImageBatch(f);
  if (readLayout(f) == Layout::kNchw) return images;
  const std::int64_t vectors =
      product(f.env(), {{"batch", images.batch}, {"height", images.shape.height}, {"width", images.shape.width}},
              INT_MAX - kLanes);
  return {int(vectors), {images.shape.channels, 1, 1}};
}

Napi::Value batchNormForward(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"batch", "channels", "height", "width", "training", "epsilon", "momentum", "input", "weight", "bias",
               "runningMean", "runningVar", "savedMean", "savedInvStd", "output", "layout"});
  TypedArrays arrays;
  arrays.allowSame("input", "output");
  const ImageBatch images = readNormBatch(f);
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
               "gradInput", "gradWeight", "gradBias", "layout"});
  TypedArrays arrays;
  arrays.allowSame("gradOutput", "gradInput");
  const ImageBatch images = readNormBatch(f);
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

// The names of the functions of selfcompress/ops/activation.h, in the order of the enumeration.
const std::vector<const char*> kActivations{
    "relu", "gelu",     "silu", "geluTanh", "sigmoid", "tanh", "hardSigmoid", "hardSwish",  "leakyRelu", "clip",
    "elu",  "softplus", "exp",  "log",      "sqrt",    "abs",  "square",      "reciprocal", "affine"};

// run(shape, batch, first): element by element, on the arrays themselves, as planes of so many vectors, then of one;
// and the rest, less than a vector.
template <class Run>
void inVectors(std::int64_t count, Run run) {
  constexpr std::int64_t kMost = 1 << 20;  // channels of one call, which are counted in int
  std::int64_t done = 0;
  for (int pixels : {64, 1})
    while (count - done >= pixels * kLanes) {
      const std::int64_t channels = std::min(kMost, (count - done) / (pixels * kLanes));
      run(Shape{int(channels), 1, pixels}, kLanes, done);
      done += channels * pixels * kLanes;
    }
  if (done < count) run(Shape{1, 1, 1}, int(count - done), done);
}

Napi::Value activation(const Napi::CallbackInfo& info, bool backward) {
  Fields f(info[0], "");
  if (backward)
    f.allowOnly({"batch", "channels", "height", "width", "kind", "alpha", "beta", "input", "gradOutput", "gradInput"});
  else f.allowOnly({"batch", "channels", "height", "width", "kind", "alpha", "beta", "input", "output"});
  TypedArrays arrays;
  arrays.allowSame("input", "output");
  arrays.allowSame("gradOutput", "gradInput");
  const auto kind = Activation(f.choice("kind", kActivations));
  constexpr double kMost = std::numeric_limits<float>::max();
  const float alpha = float(f.number("alpha", -kMost, kMost, 0)), beta = float(f.number("beta", -kMost, kMost, 0));
  ImageBatch images = readImageBatch(f);
  const float* input = arrays.floats(f, "input", images.elements(), Access::kRead);
  const float* gradOutput = backward ? arrays.floats(f, "gradOutput", images.elements(), Access::kRead) : nullptr;
  float* output = arrays.floats(f, backward ? "gradInput" : "output", images.elements(), Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) {
    inVectors(images.elements(), [&](Shape shape, int batch, std::int64_t first) {
      const float *x = input + first, *g = backward ? gradOutput + first : nullptr;
      float* y = output + first;
      alignas(kAlignment) float tail[3][kLanes] = {};
      if (batch < kLanes) {
        std::copy_n(x, batch, tail[0]), x = tail[0], y = tail[2];
        if (backward) std::copy_n(g, batch, tail[1]), g = tail[1];
      }
      if (backward) backend.run(ActivationBackward{kind, shape, batch, x, g, nullptr, y, alpha, beta});
      else backend.run(ActivationForward{kind, shape, batch, x, nullptr, y, alpha, beta});
      if (batch < kLanes) std::copy_n(tail[2], batch, output + first);
    });
  });
}
Napi::Value activationForward(const Napi::CallbackInfo& info) { return activation(info, false); }
Napi::Value activationBackward(const Napi::CallbackInfo& info) { return activation(info, true); }

Napi::Value pool(const Napi::CallbackInfo& info, bool backward) {
  Fields f(info[0], "");
  if (backward)
    f.allowOnly({"batch", "channels", "height", "width", "kind", "kernel", "stride", "padding", "paddingEnd",
                 "countIncludePad", "input", "gradOutput", "gradInput", "layout"});
  else
    f.allowOnly({"batch", "channels", "height", "width", "kind", "kernel", "stride", "padding", "paddingEnd",
                 "countIncludePad", "input", "output", "layout"});
  TypedArrays arrays;
  const ImageBatch images = readImageBatch(f);
  const Layout layout = readLayout(f);
  const Pool kind = f.choice("kind", {"max", "average"}) ? Pool::kAverage : Pool::kMax;
  NodeDescription node = readRawNode(f, ops::averagePool, {"kernel", "stride", "countIncludePad"});
  const AsymmetricPadding padding = readPadding(f);
  if (padding.needed() && kind == Pool::kAverage)
    throwRange(f.env(), "the same as padding, which an average wants", "paddingEnd",
               "[" + std::to_string(padding.end[0]) + ", " + std::to_string(padding.end[1]) + "]");
  ImageBatch padded = images;
  if (padding.needed()) padded.shape = padding.padded(images.shape);
  else node.set("padding", {double(padding.begin[0]), double(padding.begin[1])});
  const NodeContext context = rawContext(node, padded);
  const Shape out = readOutputShape(f, context, padded);
  const PoolGeometry geometry = poolGeometry(context);
  const float* input = arrays.floats(f, "input", images.elements(), Access::kRead);
  const float* gradOutput =
      backward ? arrays.floats(f, "gradOutput", out.elements() * images.batch, Access::kRead) : nullptr;
  float* result = backward ? arrays.floats(f, "gradInput", images.elements(), Access::kWrite)
                           : arrays.floats(f, "output", out.elements() * images.batch, Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend, layout);
    const int batch = images.batch;
    const PadGeometry around = padding.geometry(images.shape, -std::numeric_limits<float>::infinity());
    float* x = lanes.from(images.shape, batch, input);
    if (padding.needed()) {
      float* wide = lanes.empty(padded.shape, batch);
      backend.run(PadForward{around, batch, x, nullptr, nullptr, wide});
      x = wide;
    }
    float* y = lanes.empty(backward ? padded.shape : out, batch);
    if (!backward) {
      backend.run(PoolForward{kind, geometry, batch, x, nullptr, y});
      return lanes.to(out, batch, y, result);
    }
    backend.run(PoolBackward{kind, geometry, batch, x, lanes.from(out, batch, gradOutput), nullptr, nullptr, y});
    if (padding.needed()) {
      float* inside = lanes.empty(images.shape, batch);
      backend.run(PadBackward{around, batch, y, nullptr, nullptr, inside});
      y = inside;
    }
    lanes.to(images.shape, batch, y, result);
  });
}
Napi::Value poolForward(const Napi::CallbackInfo& info) { return pool(info, false); }
Napi::Value poolBackward(const Napi::CallbackInfo& info) { return pool(info, true); }

}  // namespace

void exportRawImages(Napi::Object exports) {
  exportRaw<batchNormForward>(exports, "batchNormForward");
  exportRaw<batchNormBackward>(exports, "batchNormBackward");
  exportRaw<activationForward>(exports, "activationForward");
  exportRaw<activationBackward>(exports, "activationBackward");
  exportRaw<poolForward>(exports, "poolForward");
  exportRaw<poolBackward>(exports, "poolBackward");
}

}  // namespace selfcompress::node
