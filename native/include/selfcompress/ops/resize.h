// Resizing of images, nearest or bilinear (separable, without antialiasing):
//
//     output[c, y, x] = sum of the taps of y and x: weightY * weightX * input[c, row, column]
//
// Position o of the output lies at coordinate u of the input, with s = scale:
//
//     kHalfPixel      u = (o + 0.5) / s - 0.5         PyTorch's align_corners = false, nearest-exact; ONNX half_pixel
//     kAlignCorners   u = o * (in - 1) / (out - 1)    0 where out is 1
//     kAsymmetric     u = o / s                       PyTorch's nearest
//
// Nearest takes the pixel at u, rounded; linear the two pixels around u, both clamped to the image.
//
// States: a kZero channel of the input is neither read, nor is its output or its gradient written.
#pragma once

#include "selfcompress/tensor.h"

namespace selfcompress {

enum class ResizeMode { kNearest, kLinear };
enum class ResizeCoordinates { kHalfPixel, kAlignCorners, kAsymmetric };
enum class ResizeRounding { kFloor, kCeil, kHalfDown, kHalfUp };  // ONNX: floor, ceil, round_prefer_floor, _ceil

struct ResizeGeometry {
  Shape input;
  int outHeight = 1, outWidth = 1;
  double scaleH = 0, scaleW = 0;  // output / input where they are given by a model; 0: the ratio of the sizes
  ResizeMode mode = ResizeMode::kNearest;
  ResizeCoordinates coordinates = ResizeCoordinates::kAsymmetric;
  ResizeRounding rounding = ResizeRounding::kFloor;
  SELFCOMPRESS_HOST_DEVICE Shape output() const { return {input.channels, outHeight, outWidth}; }
};

// One position of the output along an axis: (1 - weight) of position `first` and weight of `second`.
struct ResizeTap {
  std::int32_t first, second;
  float weight;
};

// Internal linkage, as in activation.h.
SELFCOMPRESS_HOST_DEVICE static inline int resizeFloor(double u) {
  const int whole = int(u);
  return double(whole) > u ? whole - 1 : whole;
}
SELFCOMPRESS_HOST_DEVICE static inline int resizeClamp(int i, int size) { return i < 0 ? 0 : i < size ? i : size - 1; }
SELFCOMPRESS_HOST_DEVICE static inline double resizeCoordinate(ResizeCoordinates kind, int o, int in, int out,
                                                               double scale) {
  if (kind == ResizeCoordinates::kAlignCorners) return out > 1 ? double(o) * (in - 1) / (out - 1) : 0.0;
  const double at = kind == ResizeCoordinates::kHalfPixel ? o + 0.5 : o;
  const double u = scale > 0 ? at / scale : at * in / out;
  return kind == ResizeCoordinates::kHalfPixel ? u - 0.5 : u;
}
SELFCOMPRESS_HOST_DEVICE static inline ResizeTap resizeTap(const ResizeGeometry& g, int o, int in, int out,
                                                           double scale) {
  const double u = resizeCoordinate(g.coordinates, o, in, out, scale);
  if (g.mode == ResizeMode::kLinear) {
    const int floor = resizeFloor(u);
    return {resizeClamp(floor, in), resizeClamp(floor + 1, in), float(u - floor)};
  }
  int nearest = 0;
  if (g.rounding == ResizeRounding::kFloor) nearest = resizeFloor(u);
  if (g.rounding == ResizeRounding::kCeil) nearest = -resizeFloor(-u);
  if (g.rounding == ResizeRounding::kHalfDown) nearest = -resizeFloor(0.5 - u);
  if (g.rounding == ResizeRounding::kHalfUp) nearest = resizeFloor(u + 0.5);
  nearest = resizeClamp(nearest, in);
  return {nearest, nearest, 0.0f};
}
SELFCOMPRESS_HOST_DEVICE static inline ResizeTap resizeRow(const ResizeGeometry& g, int y) {
  return resizeTap(g, y, g.input.height, g.outHeight, g.scaleH);
}
SELFCOMPRESS_HOST_DEVICE static inline ResizeTap resizeColumn(const ResizeGeometry& g, int x) {
  return resizeTap(g, x, g.input.width, g.outWidth, g.scaleW);
}

struct ResizeForward {
  ResizeGeometry geometry;
  int batch = 0;
  const float* input = nullptr;
  const std::int32_t* state = nullptr;  // ChannelState or nullptr
  float* output = nullptr;
};
// gradInput[p] = sum of gradOutput times the weight that p has in it. Every element of a channel that is not kZero is
// written.
struct ResizeBackward {
  ResizeGeometry geometry;
  int batch = 0;
  const float* gradOutput = nullptr;
  const std::int32_t* state = nullptr;
  float* gradInput = nullptr;
};

}  // namespace selfcompress
