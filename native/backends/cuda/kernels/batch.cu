// From a data set to a batch in the lanes layout, and the plain <-> lanes conversions. A thread has four images of one
// pixel: lanes are read or written 16 bytes at a time, and the 8 pixels of a warp are neighbours in each plain image,
// so that whole 32-byte sectors of them are used. Every value is read once and written once.
#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kGather = 256;                             // pixels (of all channels) of a block
constexpr int kPixelsAtOnce = kThreads / kPixelVectors;  // of a block

// Value of the image at pixel (y, x) of channel c of the result, normalised.
template <class T>
__device__ inline float gathered(const GatherImages& a, const T* images, std::int32_t index, const ImageTransform& t,
                                 int c, int y, int x) {
  const bool cut = y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight;
  if (index < 0 || cut) return 0.0f;
  const int row = y + t.shiftY, column = x + t.shiftX;
  float raw = 0;
  if (row >= 0 && row < a.shape.height && column >= 0 && column < a.shape.width) {
    const int from = t.flip ? a.shape.width - 1 - column : column;
    raw = float(
        global(images)[((std::int64_t(index) * a.shape.channels + c) * a.shape.height + row) * a.shape.width + from]);
    if constexpr (sizeof(T) == 1) raw *= 1.0f / 255.0f;
  }
  return (raw - global(a.mean)[c]) * global(a.invStd)[c];
}

template <class T>
__global__ void __launch_bounds__(kThreads) gatherImagesKernel(GatherImages a, const T* images, unsigned stretches) {
  const int block = int(blockIdx.x / stretches), t = int(threadIdx.x);
  const auto transforms = sharedArray<ImageTransform>(0, kLanes);
  if (t < kLanes) {
    const StepCounter* counter = a.counter ? global(a.counter).at(0) : nullptr;
    transforms[t] = imageTransform(a.augmentation, a.shape, counter, block * kLanes + t);
  }
  __syncthreads();
  const int quarter = t % kPixelVectors * 4, first = block * kLanes + quarter;
  std::int32_t index[4];
  for (int j = 0; j < 4; j++) index[j] = first + j < a.batch ? global(a.indices)[first + j] : -1;
  const std::int64_t elements = a.shape.elements(), begin = std::int64_t(blockIdx.x % stretches) * kGather,
                     end = begin + kGather < elements ? begin + kGather : elements;
  for (std::int64_t i = begin + t / kPixelVectors; i < end; i += kPixelsAtOnce) {
    const unsigned line = unsigned(i) / unsigned(a.shape.width);
    const int x = int(unsigned(i) % unsigned(a.shape.width)), y = int(line % unsigned(a.shape.height)),
              c = int(line / unsigned(a.shape.height));
    auto value = [&](int j) { return gathered(a, images, index[j], transforms[quarter + j], c, y, x); };
    global(a.output).store4((block * elements + i) * kLanes + quarter, float4{value(0), value(1), value(2), value(3)});
  }
}

// Thread's float4 of lanes: block of images, pixel (of all channels), first image.
struct LanePlace {
  std::int64_t pixel;
  int image;
};
__device__ inline LanePlace lanePlace(unsigned v, unsigned perBlock) {
  return {v % perBlock / kPixelVectors, int(v / perBlock) * kLanes + int(v % kPixelVectors) * 4};
}

__global__ void __launch_bounds__(kThreads) toLanesKernel(ToLanes a, Planes blocks) {
  const unsigned v = threadInGrid();
  if (v >= blocks.total) return;
  const LanePlace p = lanePlace(v, blocks.perPlane);
  const std::int64_t elements = a.shape.elements();
  auto value = [&](int j) {
    return p.image + j < a.batch ? global(a.plain)[(p.image + j) * elements + p.pixel] : 0.0f;
  };
  global(a.lanes).store4(std::int64_t(v) * 4, float4{value(0), value(1), value(2), value(3)});
}

__global__ void __launch_bounds__(kThreads) fromLanesKernel(FromLanes a, Planes blocks) {
  const unsigned v = threadInGrid();
  if (v >= blocks.total) return;
  const LanePlace p = lanePlace(v, blocks.perPlane);
  const std::int64_t elements = a.shape.elements();
  const float4 lanes = global(a.lanes).load4(std::int64_t(v) * 4);
  const float values[4] = {lanes.x, lanes.y, lanes.z, lanes.w};
  for (int j = 0; j < 4; j++)
    if (p.image + j < a.batch) global(a.plain)[(p.image + j) * elements + p.pixel] = values[j];
}

// A block of images as one plane.
Planes imageBlocks(Shape shape, int batch) { return planesOf({1, int(shape.elements()), 1}, batch); }

}  // namespace

void enqueue(Stream& stream, const GatherImages& a) {
  const Planes planes = imageBlocks(a.shape, a.batch);
  const unsigned stretches = (planes.perPlane / kPixelVectors + kGather - 1) / kGather;
  const dim3 grid(stretches * unsigned(blocksOf(a.batch))), block(kThreads);
  const std::size_t shared = kLanes * sizeof(ImageTransform);
  if (a.bytes)
    launch(stream, "gather images", gatherImagesKernel<std::uint8_t>, grid, block, shared, a, a.bytes, stretches);
  else launch(stream, "gather images", gatherImagesKernel<float>, grid, block, shared, a, a.floats, stretches);
}

void enqueue(Stream& stream, const ToLanes& a) {
  const Planes blocks = imageBlocks(a.shape, a.batch);
  launch(stream, "to lanes", toLanesKernel, dim3(blocksFor(blocks.total)), dim3(kThreads), 0, a, blocks);
}
void enqueue(Stream& stream, const FromLanes& a) {
  const Planes blocks = imageBlocks(a.shape, a.batch);
  launch(stream, "from lanes", fromLanesKernel, dim3(blocksFor(blocks.total)), dim3(kThreads), 0, a, blocks);
}

}  // namespace selfcompress::cuda
