// Attention: a block for each query (of a head and a block of images), eight workers for each of its images, with the
// scores of all keys in shared memory; where there are more keys than fit, scores are computed again for a chunk of
// them at a time. Backward takes the gradient of a query in the same way and leaves what describes
// its row of probabilities in scratch memory; a second kernel, a block for each key, sums over the queries. Rotary
// positions: a pair of float4s for each thread.
#include <algorithm>
#include <cmath>

#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

constexpr int kWorkers = 8;  // of an image
constexpr int kAttentionThreads = kWorkers * kLanes;
constexpr int kCells = kAttentionThreads;
// Of a multiprocessor: 128 registers a thread. Left alone the compiler takes 72 and spills.
constexpr int kAttentionBlocks = 4;
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
__device__ inline float scoreOf(const Head& h, const AttentionGeometry& g, int t, int s, int lane) {
  return g.scale * dot(h.query, t, h.key, s, h.size, lane);
}
// Describes the probabilities of query t. With `kept`, scores[s][lane] becomes exp(score - largest) for visible keys.
__device__ inline Row takeScores(const Head& h, const AttentionGeometry& g, int t, bool kept, Shared<float> scores,
                                 Shared<float> cells) {
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(t);
  float best = -INFINITY, sum = 0;
  for (int s = worker; s < visible; s += kWorkers) {
    const float score = scoreOf(h, g, t, s, lane);
    if (kept) scores[s * kLanes + lane] = score;
    best = score > best ? score : best;
  }
  best = workerMax(best, cells);
  for (int s = worker; s < visible; s += kWorkers) {
    float score;
    if (kept) score = scores[s * kLanes + lane];
    else score = scoreOf(h, g, t, s, lane);
    const float e = expf(score - best);
    if (kept) scores[s * kLanes + lane] = e;
    sum += e;
  }
  sum = workerSum(sum, cells);
  return {best, 1.0f / sum};
}

// chunk: keys that have room in shared memory, here and below.
__global__ void __launch_bounds__(kAttentionThreads, kAttentionBlocks)
    attentionForwardKernel(AttentionForward a, int chunk) {
  const AttentionGeometry& g = a.geometry;
  const auto cells = sharedArray<float>(0, kCells);
  const auto scores = sharedArray<float>(kCells * int(sizeof(float)), chunk * kLanes);
  const Query q = queryOf(blockIdx.x, a.heads.queryHeads, g.queries);
  const Head h = headOf(a, a.output, q.block, q.head);
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(q.t);
  const bool kept = visible <= chunk;
  const Row row = takeScores(h, g, q.t, kept, scores, cells);
  const auto output = global(a.output);
  int first = 0;
  do {
    const int last = visible - first < chunk ? visible : first + chunk;
    if (!kept) {
      __syncthreads();  // the chunk before has been used
      for (int s = first + worker; s < last; s += kWorkers)
        scores[(s - first) * kLanes + lane] = expf(scoreOf(h, g, q.t, s, lane) - row.largest);
      __syncthreads();
    }
    for (int j = worker; j < h.values; j += kWorkers) {
      if (h.output.zero(j)) continue;
      const bool taken = visible > 0 && !h.value.zero(j);
      float sum = 0;
      for (int s = first; s < last && taken; s++) sum += scores[(s - first) * kLanes + lane] * h.value.at(j, s, lane);
      const std::int64_t at = h.output.offset(j, q.t, lane);
      const float before = first > 0 ? output[at] : 0.0f;
      output[at] = taken ? before + sum * row.inverse : 0.0f;
    }
    first += chunk;
  } while (first < visible);
}

// One query of backward: its probabilities and their gradients, which are kept or computed again.
struct QueryGradient {
  const Head& h;
  const AttentionGeometry& g;
  int t;
  bool kept;
  Shared<float> p, grads;
  Row row;
  __device__ float probability(int s, int lane) const {
    if (!kept) return expf(scoreOf(h, g, t, s, lane) - row.largest) * row.inverse;
    const float e = p[s * kLanes + lane];
    return e * row.inverse;
  }
  // The mean of the gradients of the probabilities, which are left in `grads` if they are kept.
  __device__ float mean(Shared<float> cells) const {
    const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(t);
    float sum = 0;
    for (int s = worker; s < visible; s += kWorkers) {
      const float grad = dot(h.output, t, h.value, s, h.values, lane);
      if (kept) grads[s * kLanes + lane] = grad;
      sum += probability(s, lane) * grad;
    }
    return workerSum(sum, cells);
  }
  // The gradients of the scores of keys [first, last), in `grads`.
  __device__ void scores(int first, int last, float mean) const {
    const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes;
    __syncthreads();  // the chunk before has been used
    for (int s = first + worker; s < last; s += kWorkers) {
      float grad;
      if (kept) grad = grads[s * kLanes + lane];
      else grad = dot(h.output, t, h.value, s, h.values, lane);
      grads[(s - first) * kLanes + lane] = probability(s, lane) * (grad - mean);
    }
    __syncthreads();
  }
};

// rows: [blocks of images][query heads][queries][kRowValues][lanes]; firstBlock: of the first of them.
__global__ void __launch_bounds__(kAttentionThreads, kAttentionBlocks)
    attentionQueryGradientKernel(AttentionBackward a, int chunk, int firstBlock, float* rows) {
  const AttentionGeometry& g = a.geometry;
  const auto cells = sharedArray<float>(0, kCells);
  const auto p = sharedArray<float>(kCells * int(sizeof(float)), chunk * kLanes),
             grads = sharedArray<float>((kCells + chunk * kLanes) * int(sizeof(float)), chunk * kLanes);
  const Query q = queryOf(blockIdx.x, a.heads.queryHeads, g.queries);
  const Head h = headOf(a, a.gradOutput, firstBlock + q.block, q.head);
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, visible = g.visible(q.t);
  const bool kept = visible <= chunk;
  const Row row = takeScores(h, g, q.t, kept, p, cells);
  const QueryGradient query{h, g, q.t, kept, p, grads, row};
  const float mean = query.mean(cells);
  const auto gradQuery = global(a.gradQuery);
  int first = 0;
  do {
    const int last = visible - first < chunk ? visible : first + chunk;
    query.scores(first, last, mean);
    for (int i = worker; i < h.size; i += kWorkers) {
      if (h.query.zero(i)) continue;
      float sum = 0;
      for (int s = first; s < last && !h.key.zero(i); s++)
        sum += grads[(s - first) * kLanes + lane] * h.key.at(i, s, lane);
      const std::int64_t at = h.query.offset(i, q.t, lane);
      const float before = first > 0 ? gradQuery[at] : 0.0f;
      gradQuery[at] = before + g.scale * sum;
    }
    first += chunk;
  } while (first < visible);
  if (worker != 0) return;
  const auto mine = global(rows) + std::int64_t(blockIdx.x) * kRowValues * kLanes;
  mine[lane] = row.largest;
  mine[kLanes + lane] = row.inverse;
  mine[2 * kLanes + lane] = mean;
}

// Adds what queries [begin, end) of one head give to the gradients of key s.
__device__ inline void addQueries(const AttentionBackward& a, const Head& h, int s, int begin, int end, bool first,
                                  Shared<float> p, Shared<float> grads) {
  const AttentionGeometry& g = a.geometry;
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes;
  const auto gradKey = global(a.gradKey), gradValue = global(a.gradValue);
  for (int i = worker; i < h.size; i += kWorkers) {
    if (h.key.zero(i)) continue;
    float sum = 0;
    for (int t = begin; t < end && !h.query.zero(i); t++)
      sum += grads[(t - begin) * kLanes + lane] * h.query.at(i, t, lane);
    const std::int64_t at = h.key.offset(i, s, lane);
    const float before = first ? 0.0f : gradKey[at];
    gradKey[at] = before + g.scale * sum;
  }
  for (int j = worker; j < h.values; j += kWorkers) {
    if (h.value.zero(j)) continue;
    float sum = 0;
    for (int t = begin; t < end && !h.output.zero(j); t++)
      sum += p[(t - begin) * kLanes + lane] * h.output.at(j, t, lane);
    const std::int64_t at = h.value.offset(j, s, lane);
    const float before = first ? 0.0f : gradValue[at];
    gradValue[at] = before + sum;
  }
}

// chunk: queries that have room in shared memory.
__global__ void __launch_bounds__(kAttentionThreads, kAttentionBlocks)
    attentionKeyGradientKernel(AttentionBackward a, int chunk, int firstBlock, const float* rows) {
  const AttentionGeometry& g = a.geometry;
  const auto p = sharedArray<float>(0, chunk * kLanes),
             grads = sharedArray<float>(chunk * kLanes * int(sizeof(float)), chunk * kLanes);
  const Query k = queryOf(blockIdx.x, a.heads.keyHeads, g.keys);
  const int lane = int(threadIdx.x) % kLanes, worker = int(threadIdx.x) / kLanes, s = k.t,
            sharing = a.heads.queryHeads / a.heads.keyHeads;
  for (int i = 0; i < sharing; i++) {
    const int head = k.head * sharing + i;
    const Head h = headOf(a, a.gradOutput, firstBlock + k.block, head);
    const auto mine = global(rows) + (k.block * a.heads.queryHeads + head) * g.queries * kRowValues * kLanes;
    for (int begin = 0; begin < g.queries; begin += chunk) {
      const int end = g.queries - begin < chunk ? g.queries : begin + chunk;
      __syncthreads();  // the probabilities before have been used
      for (int t = begin + worker; t < end; t += kWorkers) {
        float probability = 0, grad = 0;
        if (s < g.visible(t)) {
          const std::int64_t row = std::int64_t(t) * kRowValues * kLanes + lane;
          const float largest = mine[row], inverse = mine[row + kLanes], mean = mine[row + 2 * kLanes];
          probability = expf(scoreOf(h, g, t, s, lane) - largest) * inverse;
          grad = probability * (dot(h.output, t, h.value, s, h.values, lane) - mean);
        }
        p[(t - begin) * kLanes + lane] = probability;
        grads[(t - begin) * kLanes + lane] = grad;
      }
      __syncthreads();
      addQueries(a, h, s, begin, end, i == 0 && begin == 0, p, grads);
    }
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

// Positions that a kernel with `arrays` vectors for each has room for in shared memory, and the bytes of them.
struct Chunk {
  int positions;
  std::size_t bytes;
};
Chunk chunkOf(const Stream& stream, int arrays, int positions) {
  const std::size_t perPosition = std::size_t(arrays) * kLanes * sizeof(float), cells = kCells * sizeof(float),
                    fit = (limits(stream).sharedBytesPerBlock - cells) / perPosition;
  const int chunk = int(std::min(fit, std::size_t(positions)));
  return {chunk, cells + std::size_t(chunk) * perPosition};
}

}  // namespace

void enqueue(Stream& stream, const AttentionForward& a) {
  const std::int64_t queries = std::int64_t(blocksOf(a.batch)) * a.heads.queryHeads * a.geometry.queries;
  const Chunk keys = chunkOf(stream, 1, a.geometry.keys);
  launch(stream, "attention forward", attentionForwardKernel, dim3(blocksFor(queries, 1)), dim3(kAttentionThreads),
         keys.bytes, a, keys.positions);
}

// As many blocks of images at a time as have their rows in scratch memory.
void enqueue(Stream& stream, const AttentionBackward& a) {
  const AttentionGeometry& g = a.geometry;
  const Chunk keys = chunkOf(stream, 2, g.keys), queries = chunkOf(stream, 2, g.queries);
  const std::size_t rowBytes =
      std::size_t(a.heads.queryHeads) * std::size_t(g.queries) * kRowValues * kLanes * sizeof(float);
  const int blocks = blocksOf(a.batch), most = std::max(1, int(kScratchBytes / rowBytes));
  for (int first = 0; first < blocks; first += most) {
    const int count = std::min(most, blocks - first);
    auto* rows = static_cast<float*>(scratch(stream, std::size_t(count) * rowBytes));
    launch(stream, "attention backward", attentionQueryGradientKernel,
           dim3(blocksFor(std::int64_t(count) * a.heads.queryHeads * g.queries, 1)), dim3(kAttentionThreads),
           keys.bytes, a, keys.positions, first, rows);
    launch(stream, "attention backward", attentionKeyGradientKernel,
           dim3(blocksFor(std::int64_t(count) * a.heads.keyHeads * g.keys, 1)), dim3(kAttentionThreads), queries.bytes,
           a, queries.positions, first, rows);
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
