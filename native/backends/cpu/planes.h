// Operations that work plane by plane (one channel of one block of images).
#pragma once

#include <algorithm>

#include "cpu/past_caches.h"
#include "cpu/threads.h"
#include "selfcompress/tensor.h"

namespace selfcompress::cpu {

inline bool isZero(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }

inline constexpr int kTaskVectors = 256;  // of a task at least: what starts one is small beside them

// Nanoseconds of reading and writing some values, about.
inline double timeOf(std::int64_t values) { return 0.15 * double(values); }

// task(block, channel) for the planes of channels that are not kZero; small planes in runs.
template <class Task>
void forPlanes(Shape shape, int batch, const std::int32_t* state, Task task) {
  const std::int64_t planes = std::int64_t(blocksOf(batch)) * shape.channels,
                     run = std::max(1, kTaskVectors / std::max(1, shape.pixels()));
  parallelFor((planes + run - 1) / run,
              [&](std::int64_t r) {
                for (std::int64_t i = r * run; i < std::min(planes, (r + 1) * run); i++) {
                  const int channel = int(i % shape.channels);
                  if (!isZero(state, channel)) task(int(i / shape.channels), channel);
                }
              },
              {timeOf(run * std::int64_t(shape.pixels()) * kLanes)});
}

// past_caches.h, for the planes of the channels that are written.
template <class Written>
bool writesPast(Shape shape, int batch, Written written) {
  std::int64_t channels = 0;
  for (int c = 0; c < shape.channels; c++) channels += written(c);
  return writesPastCaches(channels * shape.pixels() * blocksOf(batch) * kLanes);
}

// Positions of a block that a task takes side by side: as many as keep all their channels, `tensors` vectors for each,
// in a cache of half a megabyte, but at most 16 and, for the sake of whole memory pages, at least 4.
inline int positionsOfTask(int channels, int tensors, int pixels) {
  const int fit = int((std::int64_t(512) << 10) / (std::int64_t(64) * channels * tensors));
  return std::clamp(std::min(fit, pixels), std::min(4, pixels), 16);
}
// Bytes of the copies that a task makes of them (kernels/strips.h). Copies that leave the caches are not worth it: 0.
inline std::size_t roomOfTask(int channels, int tensors, int positions) {
  const std::size_t bytes =
      std::size_t(channels) * std::size_t(tensors) * std::size_t(positions) * kLanes * sizeof(float);
  return bytes > std::size_t(1) << 20 ? 0 : bytes;
}

}  // namespace selfcompress::cpu
