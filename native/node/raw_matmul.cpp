// Products of plain matrices, by the kernels of linear layers.
//
// Of output = A B one side becomes the lanes of a batch, the other the weights of a 1x1 convolution. With columns in
// the lanes, B = [inner][columns] and the output are copied row by row and A = [rows][inner] is used in place; with
// rows in the lanes, the same holds of the transposed product. Which of the two has less to do decides.
#include <algorithm>
#include <cstring>

#include "backends/cpu/threads.h"
#include "node/raw.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;

struct Matmul {
  int batch = 0, rows = 0, inner = 0, columns = 0;
  bool transposeA = false, transposeB = false;
  bool sharedA = false, sharedB = false;  // one matrix for the whole batch
  const float *a = nullptr, *b = nullptr, *bias = nullptr;
  bool relu = false;
  float* output = nullptr;
};

// [from][to] of `plain` -> [to][from].
void transpose(const float* plain, int from, int to, float* result) {
  constexpr int kTile = 32;
  cpu::parallelFor((to + kTile - 1) / kTile,
                   [=](std::int64_t tile) {
                     const int first = int(tile) * kTile, last = std::min(to, first + kTile);
                     for (int i = 0; i < from; i += kTile)
                       for (int t = first; t < last; t++)
                         for (int j = i; j < std::min(from, i + kTile); j++)
                           result[std::size_t(t) * from + j] = plain[std::size_t(j) * to + t];
                   },
                   {double(kTile) * from});
}

// The side in lanes: `count` vectors of `inner` numbers; `contiguous`: each is a run of memory, else [inner][count].
float* toLanes(LaneBuffers& lanes, const float* plain, int count, int inner, bool contiguous) {
  if (contiguous) return lanes.from({inner, 1, 1}, count, plain);
  float* result = lanes.empty({inner, 1, 1}, count);
  cpu::parallelFor(blocksOf(count),
                   [=](std::int64_t block) {
                     const int width = std::min(kLanes, count - int(block) * kLanes);
                     for (int i = 0; i < inner; i++)
                       std::memcpy(result + (std::size_t(block) * inner + i) * kLanes,
                                   plain + std::size_t(i) * count + block * kLanes, std::size_t(width) * sizeof(float));
                   },
                   {4.0 * inner});
  return result;
}

void fromLanes(LaneBuffers& lanes, const float* y, int count, int features, bool contiguous, float* plain) {
  if (contiguous) return lanes.to({features, 1, 1}, count, y, plain);
  cpu::parallelFor(features,
                   [=](std::int64_t feature) {
                     for (int block = 0; block < blocksOf(count); block++)
                       std::memcpy(plain + std::size_t(feature) * count + std::size_t(block) * kLanes,
                                   y + (std::size_t(block) * features + feature) * kLanes,
                                   std::size_t(std::min(kLanes, count - block * kLanes)) * sizeof(float));
                   },
                   {4.0 * blocksOf(count)});
}

// Elements moved between memory and lanes, and the padding lanes' share of the product.
double costOf(int count, int others, int inner, bool lanesContiguous, bool weightsContiguous) {
  const double full = double(blocksOf(count)) * kLanes;
  return full * others * inner / 16 + (lanesContiguous ? 2 : 1) * full * inner +
         (weightsContiguous ? 0 : 2.0) * others * inner;
}

// Features (the other side's vectors) of every vector of the side in lanes: y[count][features].
void multiply(Backend& backend, const float* side, int count, bool sideContiguous, const float* other, int features,
              bool otherContiguous, int inner, const float* bias, bool relu, bool outputContiguous, float* output) {
  LaneBuffers lanes(backend);
  Conv2dGeometry geometry;
  geometry.inChannels = inner, geometry.outChannels = features;
  float* x = toLanes(lanes, side, count, inner, sideContiguous);
  const float* weight = other;
  if (!otherContiguous) {
    float* copy = lanes.memory().allocate<float>(std::size_t(features) * inner);
    transpose(other, inner, features, copy);
    weight = copy;
  }
  float* y = lanes.empty({features, 1, 1}, count);
  void* workspace = lanes.memory().allocate<std::byte>(backend.conv2dWorkspace(geometry, count));
  backend.run(Conv2dForward{geometry, count, x, weight, bias, relu, {}, {}, nullptr, y, workspace});
  fromLanes(lanes, y, count, features, outputContiguous, output);
}

// bias [columns] and relu on rows of the output.
void finishRows(const Matmul& m, float* output) {
  if (!m.bias && !m.relu) return;
  cpu::parallelFor(m.rows,
                   [=](std::int64_t row) {
                     float* y = output + row * m.columns;
                     if (m.bias)
                       for (int i = 0; i < m.columns; i++) y[i] += m.bias[i];
                     if (m.relu)
                       for (int i = 0; i < m.columns; i++) y[i] = y[i] < 0 ? 0 : y[i];
                   },
                   {double(m.columns)});
}

void run(const Matmul& m, Backend& backend) {
  const bool columns = costOf(m.columns, m.rows, m.inner, m.transposeB, !m.transposeA) <=
                       costOf(m.rows, m.columns, m.inner, !m.transposeA, m.transposeB);
  for (int i = 0; i < m.batch; i++) {
    const float* a = m.a + (m.sharedA ? 0 : std::size_t(i) * m.rows * m.inner);
    const float* b = m.b + (m.sharedB ? 0 : std::size_t(i) * m.inner * m.columns);
    float* output = m.output + std::size_t(i) * m.rows * m.columns;
    if (columns) {
      multiply(backend, b, m.columns, m.transposeB, a, m.rows, !m.transposeA, m.inner, nullptr, false, false, output);
      finishRows(m, output);
    } else {
      multiply(backend, a, m.rows, !m.transposeA, b, m.columns, m.transposeB, m.inner, m.bias, m.relu, true, output);
    }
  }
}

// One matrix for each of the batch, or one for all.
const float* readMatrices(const Fields& f, TypedArrays& arrays, const char* name, int batch, std::int64_t elements,
                          bool& shared) {
  const float* values = arrays.floats(f, name, -1, Access::kRead);
  const auto length = std::int64_t(arrays.lengthOf(name));
  shared = length == elements;
  if (!shared && length != elements * batch)
    throwRange(f.env(),
               std::to_string(elements * batch) + " elements" +
                   (batch > 1 ? " (or " + std::to_string(elements) + " for the whole batch)" : ""),
               name, std::to_string(length));
  return values;
}

Napi::Value matmul(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"batch", "rows", "inner", "columns", "transposeA", "transposeB", "a", "b", "bias", "relu", "output"});
  TypedArrays arrays;
  Matmul m;
  m.batch = f.integer("batch", 1, kMostBatch, 1), m.rows = f.integer("rows", 1, kMostChannels);
  m.inner = f.integer("inner", 1, kMostChannels), m.columns = f.integer("columns", 1, kMostChannels);
  m.transposeA = f.boolean("transposeA", false), m.transposeB = f.boolean("transposeB", false);
  const std::int64_t most = kMostElements / kLanes;
  const Factor batch{"batch", m.batch}, rows{"rows", m.rows}, inner{"inner", m.inner}, columns{"columns", m.columns};
  product(f.env(), {batch, rows, inner}, most), product(f.env(), {batch, inner, columns}, most);
  const std::int64_t results = product(f.env(), {batch, rows, columns}, most);
  m.a = readMatrices(f, arrays, "a", m.batch, std::int64_t(m.rows) * m.inner, m.sharedA);
  m.b = readMatrices(f, arrays, "b", m.batch, std::int64_t(m.inner) * m.columns, m.sharedB);
  m.bias = arrays.optionalFloats(f, "bias", m.columns, Access::kRead);
  m.relu = f.boolean("relu", false);
  m.output = arrays.floats(f, "output", results, Access::kWrite);
  return queueRaw(info, arrays, [=](Backend& backend) { run(m, backend); });
}

}  // namespace

void exportRawMatmul(Napi::Object exports) { exportRaw<matmul>(exports, "matmul"); }

}  // namespace selfcompress::node
