// Attention, head by head of a block of images. The channels that are not zero are packed side by side, so that every
// product is one of LaneProducts; scores are taken for a few queries at a time, all their keys at once.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

constexpr int kForwardRows = 16;  // queries at a time

// Queries of which backward takes the scores at a time: their probabilities and gradients should stay in the caches.
int backwardRows(int keys) { return keys <= 128 ? 16 : keys <= 512 ? 8 : 4; }

// Floats from one packed plane of so many positions to the next: an odd number of lines, so that the same position of
// many planes is spread over the sets of the caches.
std::int64_t packedStride(int positions) { return std::int64_t(positions | 1) * kLanes; }

bool isZero(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }

// The channels of a tensor that belong to one head, as planes of one block of images.
struct HeadPlanes {
  const float* data;  // nullptr: no such tensor
  Shape shape;
  const std::int32_t* state;
  int first;
  bool dead(int i) const { return isZero(state, first + i); }
  std::int64_t offset(int block, int i) const {
    return (std::int64_t(block) * shape.channels + first + i) * shape.width * kLanes;
  }
};

// Sizes of the parts of a task's memory, in floats.
struct HeadMemory {
  std::int64_t keyStride, rowStride;  // of packed planes of all keys, of some queries
  std::int64_t scores;                // of some queries
  int size, values, rows;             // of the largest head
  HeadMemory(const AttentionGeometry& g, const AttentionHeads& h, int queries)
      : keyStride(packedStride(g.keys)),
        rowStride(packedStride(queries)),
        scores(queries * packedStride(g.keys)),
        size(*std::max_element(h.headSize, h.headSize + h.keyHeads)),
        values(*std::max_element(h.valueSize, h.valueSize + h.keyHeads)),
        rows(queries) {}
};

// Hands out parts of a task's memory one after the other.
class Parts {
 public:
  explicit Parts(std::byte* memory) : next_(reinterpret_cast<float*>(memory)) {}
  float* take(std::int64_t floats) {
    float* part = next_;
    next_ += floats;
    return part;
  }

 private:
  float* next_;
};

// What forward and backward share: one key head of a block, and its query heads in turn.
template <class Operation>
class HeadTask {
 public:
  HeadTask(const Operation& a, const SequenceKernels& kernels, const HeadMemory& memory, int block, int keyHead)
      : a_(a), g_(a.geometry), kernels_(kernels), m_(memory), block_(block), keyHead_(keyHead) {
    const AttentionHeads& h = a.heads;
    key_ = {a.key, g_.key(), a.states.key, h.keyFirst[keyHead]};
    value_ = {a.value, g_.value(), a.states.value, h.valueFirst[keyHead]};
  }
  int sharing() const { return a_.heads.queryHeads / a_.heads.keyHeads; }

 protected:
  void setQueryHead(int head) {
    query_ = {a_.query, g_.query(), a_.states.query, a_.heads.queryFirst[head]};
    output_ = {nullptr, g_.output(), a_.states.output, a_.heads.outputFirst[head]};
  }
  int size() const { return a_.heads.headSize[keyHead_]; }
  int values() const { return a_.heads.valueSize[keyHead_]; }

  // Packs positions [begin, end) of the planes for which takes(i); returns how many they are.
  template <class Takes>
  int pack(const HeadPlanes& planes, int count, int begin, int end, float factor, std::int64_t stride, float* to,
           Takes takes) const {
    int packed = 0;
    for (int i = 0; i < count; i++) {
      if (!takes(i)) continue;
      const float* from = planes.data + planes.offset(block_, i) + std::int64_t(begin) * kLanes;
      kernels_.scaleVectors(from, end - begin, factor, to + packed * stride);
      packed++;
    }
    return packed;
  }
  // The way back, into a gradient or an output; what takes no part in the products is zero.
  template <class Takes>
  void unpack(const HeadPlanes& planes, int count, int begin, int end, float factor, std::int64_t stride,
              const float* from, float* to, Takes takes) const {
    int packed = 0;
    for (int i = 0; i < count; i++) {
      const bool taken = takes(i);
      const float* plane = from + packed * stride;
      packed += taken;
      if (planes.dead(i)) continue;
      float* target = to + planes.offset(block_, i) + std::int64_t(begin) * kLanes;
      if (taken) kernels_.scaleVectors(plane, end - begin, factor, target);
      else std::fill_n(target, std::int64_t(end - begin) * kLanes, 0.0f);
    }
  }
  bool takesTerm(int i) const { return !query_.dead(i) && !key_.dead(i); }
  bool takesValue(int j) const { return !value_.dead(j) && !output_.dead(j); }
  auto liveKeys() const {
    return [this](int i) { return !key_.dead(i); };
  }
  auto liveValues() const {
    return [this](int j) { return !value_.dead(j); };
  }
  auto terms() const {
    return [this](int i) { return takesTerm(i); };
  }
  auto outputs() const {
    return [this](int j) { return takesValue(j); };
  }

  const Operation& a_;
  const AttentionGeometry& g_;
  const SequenceKernels& kernels_;
  const HeadMemory& m_;
  int block_, keyHead_;
  HeadPlanes query_{}, key_{}, value_{}, output_{};
};

class ForwardTask : HeadTask<AttentionForward> {
 public:
  ForwardTask(const AttentionForward& a, const SequenceKernels& kernels, const HeadMemory& m, int block, int head,
              std::byte* memory)
      : HeadTask(a, kernels, m, block, head / (a.heads.queryHeads / a.heads.keyHeads)) {
    setQueryHead(head);
    Parts parts(memory);
    keys_ = parts.take(m.size * m.keyStride);
    packedValues_ = parts.take(m.values * m.keyStride);
    queries_ = parts.take(m.size * m.rowStride);
    scores_ = parts.take(m.scores);
    result_ = parts.take(m.values * m.rowStride);
    inverse_ = parts.take(m.rows * kLanes);
  }
  static std::size_t bytes(const HeadMemory& m) {
    return std::size_t((m.size + m.values) * (m.keyStride + m.rowStride) + m.scores + m.rows * kLanes) * sizeof(float);
  }
  // Queries [begin, end).
  void run(int begin, int end) {
    const int seen = std::min(g_.keys, g_.visible(end - 1));
    termCount_ = pack(key_, size(), 0, seen, 1, m_.keyStride, keys_, terms());
    valueCount_ = pack(value_, values(), 0, seen, 1, m_.keyStride, packedValues_, outputs());
    for (int t = begin; t < end; t += m_.rows) rows(t, std::min(end, t + m_.rows));
  }

 private:
  void rows(int begin, int end) {
    const int count = end - begin, seen = g_.visible(end - 1);
    pack(query_, size(), begin, end, g_.scale, m_.rowStride, queries_, terms());
    kernels_.laneProducts({queries_, kLanes, m_.rowStride, keys_, kLanes, m_.keyStride, scores_, m_.keyStride, kLanes,
                           count, seen, termCount_, false});
    for (int r = 0; r < count; r++) {
      const int visible = g_.visible(begin + r);
      float* row = scores_ + r * m_.keyStride;
      if (visible > 0) kernels_.softmax(row, visible, inverse_ + r * kLanes);
      else std::fill_n(inverse_ + r * kLanes, kLanes, 0.0f);
      std::fill(row + std::int64_t(visible) * kLanes, row + std::int64_t(seen) * kLanes, 0.0f);
    }
    // Transposed on the way: a row of the result is a query, as its factor 1 / sum is.
    const std::int64_t resultRow = std::int64_t(m_.values) * kLanes;
    kernels_.laneProducts({scores_, m_.keyStride, kLanes, packedValues_, m_.keyStride, kLanes, result_, resultRow,
                           kLanes, count, valueCount_, seen, false});
    for (int r = 0; r < count; r++)
      kernels_.scaleLanes(result_ + r * resultRow, valueCount_, inverse_ + r * kLanes, result_ + r * resultRow);
    write(begin, count, resultRow);
  }
  void write(int begin, int count, std::int64_t resultRow) {
    int packed = 0;
    for (int j = 0; j < values(); j++) {
      const bool taken = takesValue(j);
      const float* from = result_ + std::int64_t(packed) * kLanes;
      packed += taken;
      if (output_.dead(j)) continue;
      float* to = a_.output + output_.offset(block_, j) + std::int64_t(begin) * kLanes;
      for (int r = 0; r < count; r++, to += kLanes)
        if (taken) kernels_.scaleVectors(from + r * resultRow, 1, 1, to);
        else std::fill_n(to, kLanes, 0.0f);
    }
  }

  int termCount_ = 0, valueCount_ = 0;
  float *keys_, *packedValues_, *queries_, *scores_, *result_, *inverse_;
};

class BackwardTask : HeadTask<AttentionBackward> {
 public:
  BackwardTask(const AttentionBackward& a, const SequenceKernels& kernels, const HeadMemory& m, int block, int keyHead,
               std::byte* memory)
      : HeadTask(a, kernels, m, block, keyHead) {
    Parts parts(memory);
    keys_ = parts.take(m.size * m.keyStride), keyGrads_ = parts.take(m.size * m.keyStride);
    packedValues_ = parts.take(m.values * m.keyStride), valueGrads_ = parts.take(m.values * m.keyStride);
    queries_ = parts.take(m.size * m.rowStride), queryGrads_ = parts.take(m.size * m.rowStride);
    grads_ = parts.take(m.values * m.rowStride);
    p_ = parts.take(m.scores), scoreGrads_ = parts.take(m.scores);
    inverse_ = parts.take(kLanes);
  }
  static std::size_t bytes(const HeadMemory& m) {
    return std::size_t(2 * (m.size + m.values) * m.keyStride + (2 * m.size + m.values) * m.rowStride + 2 * m.scores +
                       kLanes) *
           sizeof(float);
  }
  // Every channel of the key head takes part that one of its query heads uses; so many are packed.
  void run() {
    termCount_ = pack(key_, size(), 0, g_.keys, 1, m_.keyStride, keys_, liveKeys());
    valueCount_ = pack(value_, values(), 0, g_.keys, 1, m_.keyStride, packedValues_, liveValues());
    std::fill_n(keyGrads_, termCount_ * m_.keyStride, 0.0f);
    std::fill_n(valueGrads_, valueCount_ * m_.keyStride, 0.0f);
    for (int i = 0; i < sharing(); i++) {
      setQueryHead(keyHead_ * sharing() + i);
      for (int t = 0; t < g_.queries; t += m_.rows) rows(t, std::min(g_.queries, t + m_.rows));
    }
    unpack(key_, size(), 0, g_.keys, 1, m_.keyStride, keyGrads_, a_.gradKey, liveKeys());
    unpack(value_, values(), 0, g_.keys, 1, m_.keyStride, valueGrads_, a_.gradValue, liveValues());
  }

 private:
  // As pack, for the planes that go with packed keys or values; those that are zero themselves are packed as zeros.
  template <class Takes>
  void packBeside(const HeadPlanes& planes, int count, int begin, int end, float factor, float* to, Takes takes) const {
    for (int i = 0; i < count; i++) {
      if (!takes(i)) continue;
      if (planes.dead(i)) std::fill_n(to, std::int64_t(end - begin) * kLanes, 0.0f);
      else
        kernels_.scaleVectors(planes.data + planes.offset(block_, i) + std::int64_t(begin) * kLanes, end - begin,
                              factor, to);
      to += m_.rowStride;
    }
  }

  void rows(int begin, int end) {
    const int count = end - begin, seen = g_.visible(end - 1);
    HeadPlanes grad = output_;
    grad.data = a_.gradOutput;
    packBeside(query_, size(), begin, end, g_.scale, queries_, liveKeys());
    packBeside(grad, values(), begin, end, 1, grads_, liveValues());
    const std::int64_t row = m_.rowStride, key = m_.keyStride;
    kernels_.laneProducts({queries_, kLanes, row, keys_, kLanes, key, p_, key, kLanes, count, seen, termCount_, false});
    kernels_.laneProducts(
        {grads_, kLanes, row, packedValues_, kLanes, key, scoreGrads_, key, kLanes, count, seen, valueCount_, false});
    for (int r = 0; r < count; r++) probabilitiesOf(r, g_.visible(begin + r), seen);
    kernels_.laneProducts(
        {grads_, row, kLanes, p_, kLanes, key, valueGrads_, key, kLanes, valueCount_, seen, count, true});
    kernels_.laneProducts(
        {queries_, row, kLanes, scoreGrads_, kLanes, key, keyGrads_, key, kLanes, termCount_, seen, count, true});
    kernels_.laneProducts(
        {keys_, key, kLanes, scoreGrads_, key, kLanes, queryGrads_, row, kLanes, termCount_, count, seen, false});
    unpack(query_, size(), begin, end, g_.scale, row, queryGrads_, a_.gradQuery, liveKeys());
  }
  // Row r of the scores becomes probabilities, that of their gradients the gradient of the scores.
  void probabilitiesOf(int r, int visible, int seen) {
    float *p = p_ + r * m_.keyStride, *grad = scoreGrads_ + r * m_.keyStride;
    if (visible > 0) {
      kernels_.softmax(p, visible, inverse_);
      kernels_.scaleLanes(p, visible, inverse_, p);
      kernels_.softmaxGradient(p, grad, visible);
    }
    const std::int64_t from = std::int64_t(visible) * kLanes, to = std::int64_t(seen) * kLanes;
    std::fill(p + from, p + to, 0.0f);
    std::fill(grad + from, grad + to, 0.0f);
  }

  int termCount_ = 0, valueCount_ = 0;
  float *keys_, *keyGrads_, *packedValues_, *valueGrads_, *queries_, *queryGrads_, *grads_, *p_, *scoreGrads_,
      *inverse_;
};

}  // namespace

void CpuBackend::run(const AttentionForward& a) {
  const AttentionGeometry& g = a.geometry;
  const HeadMemory memory(g, a.heads, std::min(kForwardRows, g.queries));
  const std::int64_t heads = std::int64_t(blocksOf(a.batch)) * a.heads.queryHeads;
  // Few heads: their queries are shared out as well.
  const int chunks = (g.queries + kForwardRows - 1) / kForwardRows;
  const int parts = int(std::clamp<std::int64_t>(2 * threads() / heads, 1, chunks));
  parallelFor(heads * parts, ForwardTask::bytes(memory), [&](std::int64_t i, std::byte* bytes) {
    const std::int64_t head = i / parts, part = i % parts;
    const int begin = int(chunks * part / parts) * kForwardRows,
              end = std::min(g.queries, int(chunks * (part + 1) / parts) * kForwardRows);
    ForwardTask(a, sequences_, memory, int(head / a.heads.queryHeads), int(head % a.heads.queryHeads), bytes)
        .run(begin, end);
  });
}

void CpuBackend::run(const AttentionBackward& a) {
  const HeadMemory memory(a.geometry, a.heads, std::min(backwardRows(a.geometry.keys), a.geometry.queries));
  parallelFor(std::int64_t(blocksOf(a.batch)) * a.heads.keyHeads, BackwardTask::bytes(memory),
              [&](std::int64_t i, std::byte* bytes) {
                BackwardTask(a, sequences_, memory, int(i / a.heads.keyHeads), int(i % a.heads.keyHeads), bytes).run();
              });
}

// A pair for each task: its angles serve all blocks of images.
void CpuBackend::run(const Rotary& a) {
  const int positions = a.shape.width;
  parallelFor(a.pairs, 2 * std::size_t(positions) * sizeof(float), [&](std::int64_t pair, std::byte* memory) {
    const int first = a.first[pair], second = a.second[pair];
    const bool turns = second >= 0;
    float *cosines = reinterpret_cast<float*>(memory), *sines = cosines + positions;
    for (int t = 0; t < positions; t++) {
      const double angle = turns ? (double(a.firstPosition) + t) * double(a.frequency[pair]) : 0.0;
      cosines[t] = float(std::cos(angle)), sines[t] = float(a.inverse ? -std::sin(angle) : std::sin(angle));
    }
    for (int n = 0; n < blocksOf(a.batch); n++) {
      auto plane = [&](auto* data, const std::int32_t* state, int channel) -> decltype(data) {
        if (channel < 0 || isZero(state, channel)) return nullptr;
        return data + (std::int64_t(n) * a.shape.channels + channel) * positions * kLanes;
      };
      sequences_.rotate(plane(a.input, a.inputState, first), plane(a.input, a.inputState, second), cosines, sines,
                        positions, plane(a.output, a.outputState, first), plane(a.output, a.outputState, second));
    }
  });
}

}  // namespace selfcompress::cpu
