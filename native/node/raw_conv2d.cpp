// Raw convolutions on plain arrays.
#include "graph/infer.h"
#include "node/describe.h"
#include "node/raw.h"
#include "ops/convolution/weight_layer.h"
#include "ops/operators.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;

#define CONV2D_FIELDS                                                                                           \
  "batch", "inChannels", "height", "width", "outChannels", "kernel", "stride", "padding", "dilation", "groups", \
      "liveIn", "liveOut"

// A list of channels as it was given: nullptr: all.
struct GivenList {
  const char* name;
  const std::int32_t* values = nullptr;
  std::size_t length = 0;
};
struct Convolution {
  Conv2dGeometry geometry;
  int batch = 0;
  GivenList givenIn{"liveIn"}, givenOut{"liveOut"};
  std::shared_ptr<std::vector<std::int32_t>> liveIn, liveOut;  // copies, once the arrays have been verified
  std::int64_t inputs() const { return geometry.input().elements() * batch; }
  std::int64_t outputs() const { return geometry.output().elements() * batch; }
};

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
  const NodeDescription node =
      readRawNode(f, ops::conv2d, {"outChannels", "kernel", "stride", "padding", "dilation", "groups"});
  const NodeContext context = rawContext(node, images);
  readOutputShape(f, context, images);  // throws for what cannot be
  Convolution c;
  c.geometry = conv2dGeometry(context), c.batch = images.batch;
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
    LaneBuffers lanes(backend);
    float* y = lanes.empty(c.geometry.output(), c.batch);
    void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(c.geometry, c.batch));
    backend.run(Conv2dForward{c.geometry, c.batch, lanes.from(c.geometry.input(), c.batch, input), weight, bias, relu,
                              upload(backend, lanes.memory(), c.liveIn), upload(backend, lanes.memory(), c.liveOut),
                              nullptr, y, workspace});
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
    LaneBuffers lanes(backend);
    float* dx = lanes.empty(c.geometry.input(), c.batch);
    void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(c.geometry, c.batch));
    backend.run(Conv2dGradInput{c.geometry, c.batch, lanes.from(c.geometry.output(), c.batch, gradOutput), weight,
                                upload(backend, lanes.memory(), c.liveIn), upload(backend, lanes.memory(), c.liveOut),
                                nullptr, false, dx, workspace});
    lanes.to(c.geometry.input(), c.batch, dx, result);
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
    LaneBuffers lanes(backend);
    void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(c.geometry, c.batch));
    backend.run(Conv2dGradWeight{c.geometry, c.batch, lanes.from(c.geometry.input(), c.batch, input),
                                 lanes.from(c.geometry.output(), c.batch, gradOutput),
                                 upload(backend, lanes.memory(), c.liveIn), upload(backend, lanes.memory(), c.liveOut),
                                 result, bias, workspace});
  });
}

}  // namespace

void exportRawConv2d(Napi::Object exports) {
  exportFunction<forward>(exports, "conv2dForward");
  exportFunction<gradInput>(exports, "conv2dGradInput");
  exportFunction<gradWeight>(exports, "conv2dGradWeight");
}

}  // namespace selfcompress::node
