// Shapes and the one memory layout that every tensor of activations has.
//
// Layout "lanes": images are stored in blocks of kLanes, and the image index is the innermost one:
//
//     offset(n, c, h, w) = ((((n / kLanes) * C + c) * H + h) * W + w) * kLanes + n % kLanes
//
// One (block, c, h, w) is therefore one 64-byte vector that holds the same pixel of 16 images. Every kernel is
// vectorised over images: any number of channels, any stride, padding or dilation runs without masks or tails, a dead
// channel costs nothing, and a weight is a scalar that is broadcast. Flattening (C,H,W) -> (C*H*W,1,1) is free: the
// bytes are the same. The last block of a batch may be partly filled: its spare lanes ("padding lanes") are allocated.
// They hold finite values in forward tensors (whatever the network computes from zero inputs) and exact zeros in
// gradient tensors; every reduction over the batch leaves them out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "selfcompress/host_device.h"

namespace selfcompress {

inline constexpr int kLanes = 16;      // images in a block
inline constexpr int kAlignment = 64;  // bytes; every buffer starts on such a boundary

// One image of an activation tensor. A vector of F features is {F, 1, 1}.
struct Shape {
  int channels = 0;
  int height = 1;
  int width = 1;
  SELFCOMPRESS_HOST_DEVICE int pixels() const { return height * width; }
  SELFCOMPRESS_HOST_DEVICE std::int64_t elements() const { return std::int64_t(channels) * height * width; }
  bool operator==(const Shape&) const = default;
};

SELFCOMPRESS_HOST_DEVICE inline int blocksOf(int batch) { return (batch + kLanes - 1) / kLanes; }

// Floats that a batch of `batch` images of `shape` takes in the lanes layout.
SELFCOMPRESS_HOST_DEVICE inline std::int64_t laneElements(Shape shape, int batch) {
  return shape.elements() * kLanes * blocksOf(batch);
}

SELFCOMPRESS_HOST_DEVICE inline std::size_t laneOffset(Shape s, int n, int c, int h, int w) {
  return ((((std::size_t(n) / kLanes) * s.channels + c) * s.height + h) * s.width + w) * kLanes + n % kLanes;
}

// Ascending indices of the channels that an operation has to touch; both pointers are device memory, so that a recorded
// step need not change when channels die. index == nullptr: every channel.
struct ChannelList {
  const std::int32_t* index = nullptr;
  const std::int32_t* count = nullptr;
};

// What is known of one channel of an activation tensor during a step.
enum ChannelState : std::int32_t {
  kLive = 0,      // varies from image to image
  kConstant = 1,  // dead: the same value for every image, not zero
  kZero = 2,      // dead: exactly zero everywhere; never written, never read
};

}  // namespace selfcompress
