// From a data set to a batch in the lanes layout, and the plain <-> lanes conversions. A thread has four images of one
// pixel: lanes are read or written 16 bytes at a time, and the 8 pixels of a warp are neighbours in each plain image,
// so that whole 32-byte sectors of them are used. Every value is read once and written once.
#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kGather = 256;                             // pixels (of all channels) of a block
constexpr int kPixelsAtOnce = kThreads / kPixelVectors;  // of a block

// Raw value of a plane at (row, column), 0 outside.
template <class T>
__device__ inline float rawPixel(const T* images, std::int64_t plane, Shape shape, int row, int column) {
  if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) return 0;
  float raw = float(global(images)[(plane * shape.height + row) * shape.width + column]);
  if constexpr (sizeof(T) == 1) raw *= 1.0f / 255.0f;
  return raw;
}

// Between a and b; what has no weight does not count, or an infinity beside would make NaN of all.
__device__ inline float between(float a, float b, float beyond) {
  return beyond == 0 ? a : a * (1 - beyond) + b * beyond;
}

// Raw value at a place between pixels.
template <class T>
__device__ inline float interpolated(const T* images, std::int64_t plane, Shape shape, Place place) {
  const int row = pixelAt(place.y), column = pixelAt(place.x);
  const float beyond = beyondPixel(place.x);
  const float above =
      between(rawPixel(images, plane, shape, row, column), rawPixel(images, plane, shape, row, column + 1), beyond);
  const float below = between(rawPixel(images, plane, shape, row + 1, column),
                              rawPixel(images, plane, shape, row + 1, column + 1), beyond);
  return between(above, below, beyondPixel(place.y));
}

// Value of the image at pixel (y, x) of channel c of the result, normalised.
template <bool kAffine, class T>
__device__ inline float gathered(const GatherImages& a, const T* images, std::int32_t index, const ImageTransform& t,
                                 int c, int y, int x) {
  const bool cut = y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight;
  if (index < 0 || cut) return 0.0f;
  const std::int64_t plane = std::int64_t(index) * a.shape.channels + c;
  const int column = t.flip ? a.shape.width - 1 - (x + t.shiftX) : x + t.shiftX;
  const float raw = kAffine ? interpolated(images, plane, a.shape, placeOf(t, a.shape, y, x))
                            : rawPixel(images, plane, a.shape, y + t.shiftY, column);
  return (raw - global(a.mean)[c]) * global(a.invStd)[c];
}

// What happens to an image of the block, and to the one that it is mixed with.
struct Change {
  ImageTransform own, partner;
  Mixing mixing;
  std::int32_t partnerIndex = -1;
};

template <class T, bool kAffine, bool kMixed>
__global__ void __launch_bounds__(kThreads) gatherImagesKernel(GatherImages a, const T* images, unsigned stretches) {
  const int block = int(blockIdx.x / stretches), t = int(threadIdx.x);
  const auto changes = sharedArray<Change>(0, kLanes);
  if (t < kLanes) {
    const StepCounter* counter = a.counter ? global(a.counter).at(0) : nullptr;
    const int position = block * kLanes + t;
    Change change;
    change.own = imageTransform(a.augmentation, a.shape, counter, position);
    if (kMixed && position < a.batch) {
      change.mixing = mixingOf(a.augmentation, a.shape, counter, position, a.batch);
      const int partner = change.mixing.partner;
      change.partnerIndex = partner < 0 ? -1 : global(a.indices)[partner];
      change.partner = imageTransform(a.augmentation, a.shape, counter, partner);
    }
    changes[t] = change;
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
    auto value = [&](int j) {
      const Change& change = changes[quarter + j];
      const float own = gathered<kAffine>(a, images, index[j], change.own, c, y, x);
      if (!kMixed || index[j] < 0 || change.mixing.partner < 0) return own;
      return mixed(change.mixing, own, gathered<kAffine>(a, images, change.partnerIndex, change.partner, c, y, x), y,
                   x);
    };
    global(a.output).store4((block * elements + i) * kLanes + quarter, float4{value(0), value(1), value(2), value(3)});
  }
}

// Raw values of the batch's images in other colours, [batch][C][H][W] with 1 or 3 channels: a block for each image.
template <class T>
__global__ void __launch_bounds__(kThreads) colourImagesKernel(GatherImages a, const T* images, float* coloured) {
  const int position = int(blockIdx.x), channels = a.shape.channels;
  const std::int64_t pixels = std::int64_t(a.shape.height) * a.shape.width, elements = channels * pixels;
  const std::int32_t index = global(a.indices)[position];
  if (index < 0) return;
  const ColourFactors f = colourFactors(a.augmentation, global(a.counter).at(0), position);
  const float unit = sizeof(T) == 1 ? 1.0f / 255.0f : 1.0f;
  auto bright = [&](int c, std::int64_t p) {
    return unitClip(f.brightness * (float(global(images)[index * elements + c * pixels + p]) * unit));
  };
  double values[1] = {0};
  for (std::int64_t p = threadIdx.x; p < pixels; p += kThreads)
    values[0] += double(channels == 3 ? greyOf(bright(0, p), bright(1, p), bright(2, p)) : bright(0, p));
  double sums[1];
  const auto room = sharedArray<double>(0, kWarps + 1);
  blockSums<1>(values, room, sums);
  if (threadIdx.x == 0) room[kWarps] = sums[0];
  __syncthreads();
  const float mean = float(room[kWarps] / double(pixels));
  const auto to = global(coloured);
  for (std::int64_t p = threadIdx.x; p < pixels; p += kThreads) {
    const std::int64_t first = position * elements + p;
    const float red = blend(bright(0, p), mean, f.contrast);
    if (channels != 3) {
      to[first] = red;
      continue;
    }
    const float green = blend(bright(1, p), mean, f.contrast), blue = blend(bright(2, p), mean, f.contrast),
                grey = greyOf(red, green, blue);
    to[first] = blend(red, grey, f.saturation);
    to[first + pixels] = blend(green, grey, f.saturation);
    to[first + 2 * pixels] = blend(blue, grey, f.saturation);
  }
}

// The numbers of the images that the kernel above wrote.
__global__ void __launch_bounds__(kThreads) colouredIndicesKernel(GatherImages a, std::int32_t* indices) {
  const int i = int(threadInGrid());
  if (i < a.batch) global(indices)[i] = global(a.indices)[i] < 0 ? -1 : i;
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

template <class T>
void enqueueGather(Stream& stream, const GatherImages& a, const T* images) {
  const Planes planes = imageBlocks(a.shape, a.batch);
  const unsigned stretches = (planes.perPlane / kPixelVectors + kGather - 1) / kGather;
  const dim3 grid(stretches * unsigned(blocksOf(a.batch))), block(kThreads);
  const bool affine = isAffine(a.augmentation), isMixed = a.counter && mixes(a.augmentation);
  const auto kernel = affine ? (isMixed ? gatherImagesKernel<T, true, true> : gatherImagesKernel<T, true, false>)
                             : (isMixed ? gatherImagesKernel<T, false, true> : gatherImagesKernel<T, false, false>);
  launch(stream, "gather images", kernel, grid, block, kLanes * sizeof(Change), a, images, stretches);
}

// The images in other colours first, then those as they are.
template <class T>
void enqueueColoured(Stream& stream, const GatherImages& a, const T* images) {
  const std::size_t bytes = std::size_t(a.batch) * std::size_t(a.shape.elements()) * sizeof(float);
  auto* coloured = static_cast<float*>(scratch(stream, bytes + std::size_t(a.batch) * sizeof(std::int32_t)));
  auto* indices = reinterpret_cast<std::int32_t*>(reinterpret_cast<std::byte*>(coloured) + bytes);
  launch(stream, "colour images", colourImagesKernel<T>, dim3(unsigned(a.batch)), dim3(kThreads),
         (kWarps + 1) * sizeof(double), a, images, coloured);
  launch(stream, "colour images", colouredIndicesKernel, dim3(blocksFor(a.batch)), dim3(kThreads), 0, a, indices);
  GatherImages of = a;
  of.indices = indices;
  enqueueGather(stream, of, static_cast<const float*>(coloured));
}

}  // namespace

void enqueue(Stream& stream, const GatherImages& a) {
  const bool colours = a.counter && a.augmentation.colour > 0;
  if (colours && a.bytes) enqueueColoured(stream, a, a.bytes);
  else if (colours) enqueueColoured(stream, a, a.floats);
  else if (a.bytes) enqueueGather(stream, a, a.bytes);
  else enqueueGather(stream, a, a.floats);
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
