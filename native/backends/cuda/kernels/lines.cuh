// Blocks that take some lines of elements side by side, each with the 16 images of a block: softmax, norms over
// channels, cross-entropy at positions. A thread is one image of one line ("cell") and one part of the line's elements;
// what the parts found is combined in their order.
#pragma once

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {

struct LineGrid {
  int side = 1;    // lines of a block: 1, 2 or 4
  int lines = 0;   // of a block of images
  int groups = 0;  // blocks of the grid for a block of images
  __host__ __device__ int cells() const { return side * kLanes; }
};
inline LineGrid lineGrid(int lines) {
  LineGrid g;
  g.side = lines >= 4 ? 4 : lines >= 2 ? 2 : 1;
  g.lines = lines;
  g.groups = (lines + g.side - 1) / g.side;
  return g;
}
inline dim3 gridOf(const LineGrid& g, int batch) {
  return dim3(blocksFor(std::int64_t(g.groups) * blocksOf(batch), 1));
}

// This thread's place.
struct Cell {
  int block, line, lane, part, parts, cell, cells;
  bool used;  // whether there is such a line
};
__device__ inline Cell cellOf(const LineGrid& g) {
  Cell c;
  c.cells = g.cells();
  c.cell = int(threadIdx.x) % c.cells;
  c.part = int(threadIdx.x) / c.cells;
  c.parts = int(blockDim.x) / c.cells;
  c.block = int(blockIdx.x) / g.groups;
  c.line = int(blockIdx.x) % g.groups * g.side + c.cell / kLanes;
  c.lane = c.cell % kLanes;
  c.used = c.line < g.lines;
  return c;
}

// The parts' values combined, for every thread of the cell. All threads call it; `room` is one T for each thread.
template <class T, class Combine>
__device__ inline T overParts(const Cell& c, T value, Shared<T> room, Combine combine) {
  __syncthreads();  // whoever still reads what was there
  room[c.part * c.cells + c.cell] = value;
  __syncthreads();
  T all = room[c.cell];
  for (int p = 1; p < c.parts; p++) all = combine(all, T(room[p * c.cells + c.cell]));
  return all;
}
template <class T>
__device__ inline T sumOverParts(const Cell& c, T value, Shared<T> room) {
  return overParts(c, value, room, [](T x, T y) { return x + y; });
}

}  // namespace selfcompress::cuda
