// What the raw operations on images share: plain NCHW arrays in, the lanes layout inside.
#pragma once

#include "graph/infer.h"
#include "node/addon.h"
#include "node/arguments.h"
#include "program/device_memory.h"
#include "program/program.h"

namespace selfcompress::node {

// Lanes copies for the time of one operation.
class LaneBuffers {
 public:
  explicit LaneBuffers(Backend& backend) : backend_(backend), memory_(backend) {}
  float* empty(Shape shape, int batch) { return memory_.allocate<float>(std::size_t(laneElements(shape, batch))); }
  float* from(Shape shape, int batch, const float* plain) {
    float* lanes = empty(shape, batch);
    backend_.run(ToLanes{shape, batch, plain, lanes});
    return lanes;
  }
  void to(Shape shape, int batch, const float* lanes, float* plain) {
    backend_.run(FromLanes{shape, batch, lanes, plain});
  }
  DeviceMemory& memory() { return memory_; }

 private:
  Backend& backend_;
  DeviceMemory memory_;
};

struct ImageBatch {
  int batch;
  Shape shape;
  std::int64_t elements() const { return shape.elements() * batch; }
};
// `batch` images as the lanes layout holds them, so many that their elements can be counted.
inline ImageBatch readImageBatch(const Fields& f, const char* channels = "channels") {
  ImageBatch images{
      f.integer("batch", 1, kMostBatch),
      {f.integer(channels, 1, kMostChannels), f.integer("height", 1, kMostPixels), f.integer("width", 1, kMostPixels)}};
  product(f.env(),
          {{"batch", images.batch},
           {channels, images.shape.channels},
           {"height", images.shape.height},
           {"width", images.shape.width}},
          kMostElements / kLanes);
  return images;
}

// The output of one operation. What cannot be throws a RangeError that names the argument, not a node of a graph.
inline Shape readOutputShape(const Fields& f, const NodeContext& context, const ImageBatch& images) {
  try {
    return inferNode(context, images.batch).folded();
  } catch (const DescriptionError& error) {
    std::string text = error.what();
    const std::string prefix = context.node.where();
    if (std::size_t at = text.find(prefix + "."); at != std::string::npos) text.erase(at, prefix.size() + 1);
    else if (at = text.find(prefix); at != std::string::npos) text.replace(at, prefix.size(), "the output");
    throw makeError<Napi::RangeError>(f.env(), kArgumentError, text);
  }
}

inline NodeContext rawContext(const NodeDescription& node, const ImageBatch& images) {
  return {node, 0, {Axes::image(images.shape.channels, images.shape.height, images.shape.width)}, {}};
}

// Queues `work(backend)` on the stream once the arrays have been verified.
template <class Work>
Napi::Value queueRaw(const Napi::CallbackInfo& info, const TypedArrays& arrays, Work work, Stream::Result result = {}) {
  arrays.verify();
  auto backend = addonData(info.Env()).backend;
  return addonData(info.Env())
      .stream.queue(info.Env(), {arrays.keepAlive(), [=] { work(*backend); }, std::move(result), {}, nullptr});
}

}  // namespace selfcompress::node
