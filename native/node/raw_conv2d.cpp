// Raw convolutions on plain arrays.
#include "backends/cpu/threads.h"
#include "graph/infer.h"
#include "node/describe.h"
#include "node/raw.h"
#include "ops/convolution/weight_layer.h"
#include "ops/operators.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;

#define CONV2D_FIELDS                                                                                               \
  "batch", "inChannels", "height", "width", "outChannels", "kernel", "stride", "padding", "paddingEnd", "dilation", \
      "groups", "liveIn", "liveOut", "layout"

// A list of channels as it was given: nullptr: all.
struct GivenList {
  const char* name;
  const std::int32_t* values = nullptr;
  std::size_t length = 0;
};
struct Convolution {
  Conv2dGeometry geometry;  // of the padded image where padding is asymmetric
  Shape image;              // as it was given
  AsymmetricPadding padding;
  Layout layout = Layout::kNchw;
  int batch = 0;
  GivenList givenIn{"liveIn"}, givenOut{"liveOut"};
  std::shared_ptr<std::vector<std::int32_t>> liveIn, liveOut;  // copies, once the arrays have been verified
  std::int64_t inputs() const { return image.elements() * batch; }
  std::int64_t outputs() const { return geometry.output().elements() * batch; }

  // The image that the operation reads, in lanes.
  float* input(Backend& backend, LaneBuffers& lanes, const float* plain) const {
    float* x = lanes.from(image, batch, plain);
    if (!padding.needed()) return x;
    float* padded = lanes.empty(geometry.input(), batch);
    backend.run(PadForward{padding.geometry(image, 0), batch, x, nullptr, nullptr, padded});
    return padded;
  }
};

// Weights as the operations take them, [out][in/groups][height][width]. With images [.., channels] they are given as
// [height][width][in/groups][out].
float* weightsFrom(const Convolution& c, DeviceMemory& memory, const float* plain) {
  if (c.layout == Layout::kNchw) return const_cast<float*>(plain);
  const int area = c.geometry.kernelHeight * c.geometry.kernelWidth, in = c.geometry.inPerGroup(),
            out = c.geometry.outChannels;
  float* weights = memory.allocate<float>(std::size_t(c.geometry.weights()));
  cpu::parallelFor(out,
                   [=](std::int64_t o) {
                     for (int i = 0; i < in; i++)
                       for (int k = 0; k < area; k++)
                         weights[(std::size_t(o) * in + i) * area + k] = plain[(std::size_t(k) * in + i) * out + o];
                   },
                   {double(area) * in});
  return weights;
}

// The way back.
void weightsTo(const Convolution& c, const float* weights, float* plain) {
  const int area = c.geometry.kernelHeight * c.geometry.kernelWidth, in = c.geometry.inPerGroup(),
            out = c.geometry.outChannels;
  cpu::parallelFor(std::int64_t(area) * in,
                   [=](std::int64_t ki) {
                     const std::int64_t k = ki / in, i = ki % in;
                     for (int o = 0; o < out; o++) plain[ki * out + o] = weights[(std::size_t(o) * in + i) * area + k];
                   },
                   {double(out)});
}

void readList(const Fields& f, TypedArrays& arrays, GivenList& list) {
  if (!f.has(list.name)) return;
  list.values = arrays.integers(f, list.name, -1, Access::kRead);
  list.length = arrays.lengthOf(list.name);
}

std::shared_ptr<std::vector<std::int32_t>> copyList(const Fields& f, const GivenList& given, int channels) {
  if (!given.values) return nullptr;
  auto list = std::make_shared<std::vector<std::int32_t>>(given.values, given.values + given.length);
  for (std::size_t i = 0; i < list->size(); i++)
    if ((*list)[i] < 0 || (*list)[i] >= channels || (i && (*list)[i] <= (*list)[i - 1]))
      throwRange(f.env(), "ascending channels from 0 to " + std::to_string(channels - 1),
                 f.path(given.name) + "[" + std::to_string(i) + "]", std::to_string((*list)[i]));
  return list;
}

Convolution readConvolution(const Fields& f, TypedArrays& arrays) {
  ImageBatch images = readImageBatch(f, "inChannels");
  NodeDescription node = readRawNode(f, ops::conv2d, {"outChannels", "kernel", "stride", "dilation", "groups"});
  Convolution c;
  c.image = images.shape, c.batch = images.batch, c.layout = readLayout(f), c.padding = readPadding(f);
  if (c.padding.needed()) images.shape = c.padding.padded(images.shape);
  else node.set("padding", {double(c.padding.begin[0]), double(c.padding.begin[1])});
  const NodeContext context = rawContext(node, images);
  readOutputShape(f, context, images);  // throws for what cannot be
  c.geometry = conv2dGeometry(context);
  readList(f, arrays, c.givenIn);
  readList(f, arrays, c.givenOut);
  return c;
}

// Once everything has been read.
void verify(const Fields& f, const TypedArrays& arrays, Convolution& c) {
  arrays.verify();
  c.liveIn = copyList(f, c.givenIn, c.geometry.inChannels);
  c.liveOut = copyList(f, c.givenOut, c.geometry.outChannels);
}

// The lists in memory of the backend.
ChannelList upload(Backend& backend, DeviceMemory& memory, const std::shared_ptr<std::vector<std::int32_t>>& list) {
  if (!list) return {};
  auto* index = memory.allocate<std::int32_t>(list->size() + 1);
  auto* count = memory.allocate<std::int32_t>(1);
  std::int32_t size = std::int32_t(list->size());
  backend.upload(index, list->data(), list->size() * sizeof(std::int32_t));
  backend.upload(count, &size, sizeof size);
  return {index, count};
}

Napi::Value forward(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({CONV2D_FIELDS, "input", "weight", "bias", "relu", "output"});
  TypedArrays arrays;
  Convolution c = readConvolution(f, arrays);
  const float* input = arrays.floats(f, "input", c.inputs(), Access::kRead);
  const float* weight = arrays.floats(f, "weight", c.geometry.weights(), Access::kRead);
  const float* bias = arrays.optionalFloats(f, "bias", c.geometry.outChannels, Access::kRead);
  bool relu = f.boolean("relu", false);
  float* output = arrays.floats(f, "output", c.outputs(), Access::kWrite);
  verify(f, arrays, c);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend, c.layout);
    float* y = lanes.empty(c.geometry.output(), c.batch);
    void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(c.geometry, c.batch));
    backend.run(Conv2dForward{
        c.geometry, c.batch, c.input(backend, lanes, input), weightsFrom(c, lanes.memory(), weight), bias, relu,
        upload(backend, lanes.memory(), c.liveIn), upload(backend, lanes.memory(), c.liveOut), nullptr, y, workspace});
    lanes.to(c.geometry.output(), c.batch, y, output);
  });
}

Napi::Value gradInput(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({CONV2D_FIELDS, "gradOutput", "weight", "gradInput"});
  TypedArrays arrays;
  Convolution c = readConvolution(f, arrays);
  const float* gradOutput = arrays.floats(f, "gradOutput", c.outputs(), Access::kRead);
  const float* weight = arrays.floats(f, "weight", c.geometry.weights(), Access::kRead);
  float* result = arrays.floats(f, "gradInput", c.inputs(), Access::kWrite);
  verify(f, arrays, c);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend, c.layout);
    float* dx = lanes.empty(c.geometry.input(), c.batch);
    void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(c.geometry, c.batch));
    backend.run(Conv2dGradInput{c.geometry, c.batch, lanes.from(c.geometry.output(), c.batch, gradOutput),
                                weightsFrom(c, lanes.memory(), weight), upload(backend, lanes.memory(), c.liveIn),
                                upload(backend, lanes.memory(), c.liveOut), nullptr, false, dx, workspace});
    if (c.padding.needed()) {
      float* inside = lanes.empty(c.image, c.batch);
      backend.run(PadBackward{c.padding.geometry(c.image, 0), c.batch, dx, nullptr, nullptr, inside});
      dx = inside;
    }
    lanes.to(c.image, c.batch, dx, result);
  });
}

Napi::Value gradWeight(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({CONV2D_FIELDS, "input", "gradOutput", "gradWeight", "gradBias"});
  TypedArrays arrays;
  Convolution c = readConvolution(f, arrays);
  const float* input = arrays.floats(f, "input", c.inputs(), Access::kRead);
  const float* gradOutput = arrays.floats(f, "gradOutput", c.outputs(), Access::kRead);
  float* result = arrays.floats(f, "gradWeight", c.geometry.weights(), Access::kWrite);
  float* bias = arrays.optionalFloats(f, "gradBias", c.geometry.outChannels, Access::kWrite);
  verify(f, arrays, c);
  return queueRaw(info, arrays, [=](Backend& backend) {
    LaneBuffers lanes(backend, c.layout);
    void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(c.geometry, c.batch));
    float* weights =
        c.layout == Layout::kNchw ? result : lanes.memory().allocate<float>(std::size_t(c.geometry.weights()));
    backend.run(Conv2dGradWeight{c.geometry, c.batch, c.input(backend, lanes, input),
                                 lanes.from(c.geometry.output(), c.batch, gradOutput),
                                 upload(backend, lanes.memory(), c.liveIn), upload(backend, lanes.memory(), c.liveOut),
                                 weights, bias, workspace});
    if (weights != result) weightsTo(c, weights, result);
  });
}

}  // namespace

void exportRawConv2d(Napi::Object exports) {
  exportRaw<forward>(exports, "conv2dForward");
  exportRaw<gradInput>(exports, "conv2dGradInput");
  exportRaw<gradWeight>(exports, "conv2dGradWeight");
}

}  // namespace selfcompress::node
