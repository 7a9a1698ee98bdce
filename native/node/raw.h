// What the raw operations on images share: plain arrays in, the lanes layout inside.
#pragma once

#include "base/layout.h"
#include "graph/infer.h"
#include "node/addon.h"
#include "node/arguments.h"
#include "program/device_memory.h"
#include "program/program.h"

namespace selfcompress::node {

// Of plain images: [batch, channels, height, width], or [batch, height, width, channels] as TensorFlow has them.
inline Layout readLayout(const Fields& f) {
  return f.choice("layout", {"nchw", "nhwc"}, 0) ? Layout::kNhwc : Layout::kNchw;
}

// Lanes copies for the time of one operation.
class LaneBuffers {
 public:
  explicit LaneBuffers(Backend& backend, Layout layout = Layout::kNchw)
      : backend_(backend), memory_(backend), layout_(layout) {}
  float* empty(Shape shape, int batch) { return memory_.allocate<float>(std::size_t(laneElements(shape, batch))); }
  float* from(Shape shape, int batch, const float* plain) {
    float* lanes = empty(shape, batch);
    if (!transposes(shape)) {
      backend_.run(ToLanes{shape, batch, plain, lanes});
      return lanes;
    }
    const Shape pixelsFirst{shape.pixels(), 1, shape.channels};  // the plain array's order, as channels of an image
    float* between = empty(shape, batch);
    backend_.run(ToLanes{pixelsFirst, batch, plain, between});
    backend_.run(Transpose{pixelsFirst, batch, between, nullptr, nullptr, lanes});
    return lanes;
  }
  void to(Shape shape, int batch, const float* lanes, float* plain) {
    if (!transposes(shape)) return backend_.run(FromLanes{shape, batch, lanes, plain});
    float* between = empty(shape, batch);
    backend_.run(Transpose{shape, batch, lanes, nullptr, nullptr, between});
    backend_.run(FromLanes{{shape.pixels(), 1, shape.channels}, batch, between, plain});
  }
  DeviceMemory& memory() { return memory_; }

 private:
  bool transposes(Shape shape) const { return layout_ == Layout::kNhwc && shape.channels > 1 && shape.pixels() > 1; }
  Backend& backend_;
  DeviceMemory memory_;
  Layout layout_;
};

// Zeros around an image that a convolution or pooling reads: `padding` before, `paddingEnd` after. Where they differ
// the image is padded first and the operation itself pads nothing.
struct AsymmetricPadding {
  std::array<int, 2> begin{}, end{};
  bool needed() const { return begin != end; }
  Shape padded(Shape s) const { return {s.channels, s.height + begin[0] + end[0], s.width + begin[1] + end[1]}; }
  PadGeometry geometry(Shape s, float value) const {
    return {s, begin[0], end[0], begin[1], end[1], PadMode::kConstant, value};
  }
};
inline AsymmetricPadding readPadding(const Fields& f) {
  AsymmetricPadding padding;
  padding.begin = f.pair("padding", 0, kMostKernel, {0, 0});
  padding.end = f.pair("paddingEnd", 0, kMostKernel, padding.begin);
  return padding;
}

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

// Runs `work(backend)` once the arrays have been verified: on the stream, or for a function that ends in Sync before it
// returns, which does not wait for what is queued.
template <class Work>
Napi::Value queueRaw(const Napi::CallbackInfo& info, const TypedArrays& arrays, Work work, Stream::Result result = {}) {
  arrays.verify();
  if (info.Data()) {
    work(*addonData(info.Env()).synchronous);
    return result ? result(info.Env()) : info.Env().Undefined();
  }
  auto backend = addonData(info.Env()).backend;
  return addonData(info.Env())
      .stream.queue(info.Env(), {arrays.keepAlive(), [=] { work(*backend); }, std::move(result), {}, nullptr});
}

// Under its name, and with Sync behind it.
template <Method method>
void exportRaw(Napi::Object exports, const std::string& name) {
  exportFunction<method>(exports, name.c_str());
  static char synchronous;  // any address that is none
  exportFunction<method>(exports, (name + "Sync").c_str(), &synchronous);
}

}  // namespace selfcompress::node
