// Attention: a block for each query (of a head and a block of images), eight workers for each of its images, with the
// scores of all keys in shared memory. Backward takes the gradient of a query in the same way and leaves what describes
// its row of probabilities in scratch memory; a second kernel, a block for each key, sums over the queries. Rotary
// positions: a pair of float4s for each thread.
#include <algorithm>
#include <cmath>
#include <string>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kWorkers = 8;  // of an image
constexpr int kAttentionThreads = kWorkers * kLanes;
constexpr int kCells = kAttentionThreads;
constexpr int kRowValues = 3;  // of a row of probabilities: largest score, 1 / sum, mean of the gradient

// Channels of one head: those of a tensor from `first` on.
struct HeadTensor {
  const float* data;
  const std::int32_t* state;
  int channels, positions, first;
  std::int64_t block;
  __device__ bool zero(int i) const { return isZero(state, unsigned(first + i)); }
  __device__ std::int64_t offset(int i, int t, int lane) const {
    return ((block * channels + first + i) * positions + t) * kLanes + lane;
  }
  __device__ float at(int i, int t, int lane) const { return global(data)[offset(i, t, lane)]; }
};

// All tensors of a query head and its key head.
struct Head {
  HeadTensor query, key, value, output;
  int size, values;
};
template <class Operation>
__device__ inline Head headOf(const Operation& a, const float* output, std::int64_t block, int head) {
  const AttentionGeometry& g = a.geometry;
  const int keyHead = head / (a.heads.queryHeads / a.heads.keyHeads);
  const int query = global(a.heads.queryFirst)[head], out = global(a.heads.outputFirst)[head],
            key = global(a.heads.keyFirst)[keyHead], value = global(a.heads.valueFirst)[keyHead];
  const int size = global(a.heads.headSize)[keyHead], values = global(a.heads.valueSize)[keyHead];
  return {{a.query, a.states.query, g.queryChannels, g.queries, query, block},
          {a.key, a.states.key, g.keyChannels, g.keys, key, block},
          {a.value, a.states.value, g.valueChannels, g.keys, value, block},
          {output, a.states.output, g.outputChannels, g.queries, out, block},
          size,
          values};
}

__device__ inline float dot(const HeadTensor& a, int t, const HeadTensor& b, int s, int count, int lane) {
  float sum = 0;
  for (int i = 0; i < count; i++)
    if (!a.zero(i) && !b.zero(i)) sum += a.at(i, t, lane) * b.at(i, s, lane);
  return sum;
}

// Every worker of an image gets the sum over its workers, in ascending order. `cells` may be used again after a
// barrier.
__device__ inline float workerSum(float value, Shared<float> cells) {
  const int lane = int(threadIdx.x) % kLanes;
  __syncthreads();
  cells[int(threadIdx.x)] = value;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kWorkers; w++) sum += cells[w * kLanes + lane];
  return sum;
}
__device__ inline float workerMax(float value, Shared<float> cells) {
  const int lane = int(threadIdx.x) % kLanes;
  __syncthreads();
  cells[int(threadIdx.x)] = value;
  __syncthreads();
  float best = cells[lane];
  for (int w = 1; w < kWorkers; w++) {
    const float other = cells[w * kLanes + lane];
    best = other > best ? other : best;
  }
  return best;
}

// Where a block of one query is.
struct Query {
  std::int64_t block;
  int head, t;
};
__device__ inline Query queryOf(unsigned index, int heads, int queries) {
  return {std::int64_t(index) / (std::int64_t(heads) * queries), int(index / unsigned(queries)) % heads,
          int(index % unsigned(queries))};
}

struct Row {
  float largest, inverse;
};
// Fills scores[s][lane] with exp(score - largest) for the visible keys.
__device__ inline Row takeScores(const Head& h, const AttentionGeometry& g, int t, Shared<float> scores,
                                 Shared<float> cells) {
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(t);
  float best = -INFINITY, sum = 0;
  for (int s = worker; s < visible; s += kWorkers) {
    const float score = g.scale * dot(h.query, t, h.key, s, h.size, lane);
    scores[s * kLanes + lane] = score;
    best = score > best ? score : best;
  }
  best = workerMax(best, cells);
  for (int s = worker; s < visible; s += kWorkers) {
    const float score = scores[s * kLanes + lane], e = expf(score - best);
    scores[s * kLanes + lane] = e;
    sum += e;
  }
  sum = workerSum(sum, cells);
  return {best, 1.0f / sum};
}

__global__ void __launch_bounds__(kAttentionThreads) attentionForwardKernel(AttentionForward a) {
  const AttentionGeometry& g = a.geometry;
  const auto cells = sharedArray<float>(0, kCells);
  const auto scores = sharedArray<float>(kCells * int(sizeof(float)), g.keys * kLanes);
  const Query q = queryOf(blockIdx.x, a.heads.queryHeads, g.queries);
  const Head h = headOf(a, a.output, q.block, q.head);
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(q.t);
  const Row row = takeScores(h, g, q.t, scores, cells);
  const auto output = global(a.output);
  for (int j = worker; j < h.values; j += kWorkers) {
    if (h.output.zero(j)) continue;
    float sum = 0;
    for (int s = 0; s < visible && !h.value.zero(j); s++) sum += scores[s * kLanes + lane] * h.value.at(j, s, lane);
    output[h.output.offset(j, q.t, lane)] = visible > 0 && !h.value.zero(j) ? sum * row.inverse : 0.0f;
  }
}

// rows: [blocks of images][query heads][queries][kRowValues][lanes]; firstBlock: of the first of them.
__global__ void __launch_bounds__(kAttentionThreads)
    attentionQueryGradientKernel(AttentionBackward a, int firstBlock, float* rows) {
  const AttentionGeometry& g = a.geometry;
  const auto cells = sharedArray<float>(0, kCells);
  const auto p = sharedArray<float>(kCells * int(sizeof(float)), g.keys * kLanes),
             grads = sharedArray<float>((kCells + g.keys * kLanes) * int(sizeof(float)), g.keys * kLanes);
  const Query q = queryOf(blockIdx.x, a.heads.queryHeads, g.queries);
  const Head h = headOf(a, a.gradOutput, firstBlock + q.block, q.head);
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(q.t);
  const Row row = takeScores(h, g, q.t, p, cells);
  float mean = 0;
  for (int s = worker; s < visible; s += kWorkers) {
    const float probability = p[s * kLanes + lane] * row.inverse, grad = dot(h.output, q.t, h.value, s, h.values, lane);
    p[s * kLanes + lane] = probability;
    grads[s * kLanes + lane] = grad;
    mean += probability * grad;
  }
  mean = workerSum(mean, cells);
  for (int s = worker; s < visible; s += kWorkers) {
    const float probability = p[s * kLanes + lane], grad = grads[s * kLanes + lane];
    grads[s * kLanes + lane] = probability * (grad - mean);
  }
  __syncthreads();
  const auto gradQuery = global(a.gradQuery);
  for (int i = worker; i < h.size; i += kWorkers) {
    if (h.query.zero(i)) continue;
    float sum = 0;
    for (int s = 0; s < visible && !h.key.zero(i); s++) sum += grads[s * kLanes + lane] * h.key.at(i, s, lane);
    gradQuery[h.query.offset(i, q.t, lane)] = g.scale * sum;
  }
  if (worker != 0) return;
  const auto mine = global(rows) + std::int64_t(blockIdx.x) * kRowValues * kLanes;
  mine[lane] = row.largest;
  mine[kLanes + lane] = row.inverse;
  mine[2 * kLanes + lane] = mean;
}

// Adds what one query head gives to the gradients of key s.
__device__ inline void addHead(const AttentionBackward& a, const Head& h, int s, bool first, Shared<float> p,
                               Shared<float> grads) {
  const AttentionGeometry& g = a.geometry;
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes;
  const auto gradKey = global(a.gradKey), gradValue = global(a.gradValue);
  for (int i = worker; i < h.size; i += kWorkers) {
    if (h.key.zero(i)) continue;
    float sum = 0;
    for (int t = 0; t < g.queries && !h.query.zero(i); t++) sum += grads[t * kLanes + lane] * h.query.at(i, t, lane);
    const std::int64_t at = h.key.offset(i, s, lane);
    const float before = first ? 0.0f : gradKey[at];
    gradKey[at] = before + g.scale * sum;
  }
  for (int j = worker; j < h.values; j += kWorkers) {
    if (h.value.zero(j)) continue;
    float sum = 0;
    for (int t = 0; t < g.queries && !h.output.zero(j); t++) sum += p[t * kLanes + lane] * h.output.at(j, t, lane);
    const std::int64_t at = h.value.offset(j, s, lane);
    const float before = first ? 0.0f : gradValue[at];
    gradValue[at] = before + sum;
  }
}

__global__ void __launch_bounds__(kAttentionThreads)
    attentionKeyGradientKernel(AttentionBackward a, int firstBlock, const float* rows) {
  const AttentionGeometry& g = a.geometry;
  const auto p = sharedArray<float>(0, g.queries * kLanes),
             grads = sharedArray<float>(g.queries * kLanes * int(sizeof(float)), g.queries * kLanes);
  const Query k = queryOf(blockIdx.x, a.heads.keyHeads, g.keys);
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, s = k.t,
            sharing = a.heads.queryHeads / a.heads.keyHeads;
  for (int i = 0; i < sharing; i++) {
    const int head = k.head * sharing + i;
    const Head h = headOf(a, a.gradOutput, firstBlock + k.block, head);
    const auto mine = global(rows) + (k.block * a.heads.queryHeads + head) * g.queries * kRowValues * kLanes;
    __syncthreads();  // the head before is done with its probabilities
    for (int t = worker; t < g.queries; t += kWorkers) {
      float probability = 0, grad = 0;
      if (s < g.visible(t)) {
        const std::int64_t row = std::int64_t(t) * kRowValues * kLanes + lane;
        const float largest = mine[row], inverse = mine[row + kLanes], mean = mine[row + 2 * kLanes];
        probability = expf(g.scale * dot(h.query, t, h.key, s, h.size, lane) - largest) * inverse;
        grad = probability * (dot(h.output, t, h.value, s, h.values, lane) - mean);
      }
      p[t * kLanes + lane] = probability;
      grads[t * kLanes + lane] = grad;
    }
    __syncthreads();
    addHead(a, h, s, i == 0, p, grads);
  }
}

struct RotaryWork {
  unsigned perPlane, total;  // float4s of a plane, of all pairs
};
__global__ void __launch_bounds__(kThreads) rotaryKernel(Rotary a, RotaryWork work) {
  const unsigned v = threadInGrid();
  if (v >= work.total) return;
  const unsigned inPlane = v % work.perPlane, pair = v / work.perPlane % unsigned(a.pairs);
  const std::int64_t block = v / work.perPlane / unsigned(a.pairs);
  const int first = global(a.first)[pair], second = global(a.second)[pair];
  auto at = [&](int channel) { return ((block * a.shape.channels + channel) * work.perPlane + inPlane) * 4; };
  const float4 none{0, 0, 0, 0};
  const auto input = global(a.input);
  const auto output = global(a.output);
  const float4 x = isZero(a.inputState, unsigned(first)) ? none : input.load4(at(first));
  if (second < 0) {
    if (!isZero(a.outputState, unsigned(first))) output.store4(at(first), x);
    return;
  }
  const float4 y = isZero(a.inputState, unsigned(second)) ? none : input.load4(at(second));
  const int t = int(inPlane / kPixelVectors);
  const float frequency = global(a.frequency)[pair];
  const double angle = (double(a.firstPosition) + t) * double(frequency);
  const float c = float(cos(angle)), s = float(a.inverse ? -sin(angle) : sin(angle));
  if (!isZero(a.outputState, unsigned(first)))
    output.store4(at(first), map(x, y, [&](float u, float w) { return u * c - w * s; }));
  if (!isZero(a.outputState, unsigned(second)))
    output.store4(at(second), map(x, y, [&](float u, float w) { return u * s + w * c; }));
}

// Shared memory of a kernel with `rows` vectors of scores.
std::size_t scoreBytes(const Stream& stream, int rows, int positions) {
  const std::size_t bytes = (std::size_t(kCells) + std::size_t(rows) * std::size_t(positions) * kLanes) * sizeof(float),
                    most = limits(stream).sharedBytesPerBlock;
  if (bytes > most) {
    const std::size_t fit = (most / sizeof(float) - std::size_t(kCells)) / kLanes / std::size_t(rows);
    throw std::length_error("Expected at most " + std::to_string(fit) +
                            " positions for attention on this device but received " + std::to_string(positions));
  }
  return bytes;
}

}  // namespace

void enqueue(Stream& stream, const AttentionForward& a) {
  const std::int64_t queries = std::int64_t(blocksOf(a.batch)) * a.heads.queryHeads * a.geometry.queries;
  launch(stream, "attention forward", attentionForwardKernel, dim3(blocksFor(queries, 1)), dim3(kAttentionThreads),
         scoreBytes(stream, 1, a.geometry.keys), a);
}

// As many blocks of images at a time as have their rows in scratch memory.
void enqueue(Stream& stream, const AttentionBackward& a) {
  const AttentionGeometry& g = a.geometry;
  const std::size_t queryShared = scoreBytes(stream, 2, g.keys), keyShared = scoreBytes(stream, 2, g.queries);
  const std::size_t rowBytes =
      std::size_t(a.heads.queryHeads) * std::size_t(g.queries) * kRowValues * kLanes * sizeof(float);
  const int blocks = blocksOf(a.batch), most = std::max(1, int(kScratchBytes / rowBytes));
  for (int first = 0; first < blocks; first += most) {
    const int count = std::min(most, blocks - first);
    auto* rows = static_cast<float*>(scratch(stream, std::size_t(count) * rowBytes));
    launch(stream, "attention backward", attentionQueryGradientKernel,
           dim3(blocksFor(std::int64_t(count) * a.heads.queryHeads * g.queries, 1)), dim3(kAttentionThreads),
           queryShared, a, first, rows);
    launch(stream, "attention backward", attentionKeyGradientKernel,
           dim3(blocksFor(std::int64_t(count) * a.heads.keyHeads * g.keys, 1)), dim3(kAttentionThreads), keyShared, a,
           first, rows);
  }
}

void enqueue(Stream& stream, const Rotary& a) {
  if (a.pairs == 0) return;
  const std::int64_t perPlane = std::int64_t(a.shape.pixels()) * kPixelVectors,
                     total = perPlane * a.pairs * blocksOf(a.batch);
  launch(stream, "rotary positions", rotaryKernel, dim3(blocksFor(total)), dim3(kThreads), 0, a,
         RotaryWork{unsigned(perPlane), unsigned(total)});
}

}  // namespace selfcompress::cuda
