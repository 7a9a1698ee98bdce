// Recurrent layers: a task for each block of images, position by position. The gradients of the weights are those of a
// 1x1 convolution over the sequence, whose input is the state before each position.
#include <cstring>

#include "cpu/cpu_backend.h"

namespace selfcompress::cpu {
namespace {

// Tensors that backward makes for the gradients of the weights, in its workspace. The rows of the gates are one tensor,
// but for the third gate of a GRU, which has a product of its own.
struct RecurrentWorkspace {
  Conv2dGeometry gates, inner;                        // inner.outChannels == 0: no such gate
  std::int64_t before, gateGrads, innerGrads, reset;  // floats
  RecurrentWorkspace(const RecurrentGeometry& g, int batch) {
    const bool lstm = g.kind == RecurrentKind::kLstm;
    gates.inChannels = inner.inChannels = g.units;
    gates.width = inner.width = g.positions;
    gates.outChannels = (lstm ? 4 : 2) * g.units, inner.outChannels = lstm ? 0 : g.units;
    before = laneElements(gates.input(), batch), gateGrads = laneElements(gates.output(), batch);
    innerGrads = laneElements(inner.output(), batch);
    reset = g.kind == RecurrentKind::kGruResetFirst ? before : 0;
  }
  std::int64_t floats() const { return before + gateGrads + innerGrads + reset; }
};

// Tensors of one block of images, a position at a time, as [channels] vectors side by side.
class Positions {
 public:
  Positions(const RecurrentGeometry& g, const std::int32_t* state, const SequenceKernels& kernels, std::int64_t block)
      : g_(g), state_(state), kernels_(kernels), block_(block) {}
  bool dead(int u) const { return state_ && state_[u] == kZero; }
  void clearDead(float* vectors) const {
    for (int u = 0; u < g_.units && state_; u++)
      if (dead(u)) std::memset(vectors + u * kLanes, 0, kLanes * sizeof(float));
  }
  // `planes` times all units; zeros for dead units and where there is no tensor.
  void read(const float* from, int width, int planes, int t, float* to) const {
    readFrom(from ? at(from, width, planes, t) : nullptr, width, planes, to);
  }
  // One plane of several.
  void readPlane(const float* from, int width, int planes, int plane, int t, float* to) const {
    readFrom(at(from, width, planes, t) + std::int64_t(plane) * g_.units * width * kLanes, width, 1, to);
  }
  // Dead units are left out, or with `all` written too.
  void write(const float* from, int width, int planes, int t, float* to, bool all = false) const {
    if (!to) return;
    const std::int64_t step = std::int64_t(width) * kLanes;
    float* target = at(to, width, planes, t);
    for (int p = 0; p < planes; p++)
      for (int u = 0; u < g_.units; u++, from += kLanes, target += step)
        if (all || !dead(u)) std::memcpy(target, from, kLanes * sizeof(float));
  }

 private:
  void readFrom(const float* from, int width, int planes, float* to) const {
    kernels_.copyRun(from, std::int64_t(width) * kLanes, to, kLanes, std::int64_t(planes) * g_.units, false);
    for (int p = 0; p < planes && from; p++) clearDead(to + std::int64_t(p) * g_.units * kLanes);
  }
  template <class Float>
  Float* at(Float* tensor, int width, int planes, int t) const {
    return tensor + (block_ * planes * g_.units * width + t) * kLanes;
  }
  const RecurrentGeometry& g_;
  const std::int32_t* state_;
  const SequenceKernels& kernels_;
  std::int64_t block_;
};

class Forward {
 public:
  Forward(const RecurrentForward& a, const SequenceKernels& kernels, std::int64_t block, std::byte* memory)
      : a_(a),
        g_(a.geometry),
        kernels_(kernels),
        at_(a.geometry, a.state, kernels, block),
        plane_(std::int64_t(a.geometry.units) * kLanes),
        gates_(reinterpret_cast<float*>(memory)),
        extra_(gates_ + 4 * plane_),
        hidden_(gates_ + 5 * plane_),
        reset_(gates_ + 6 * plane_) {}
  static std::size_t bytes(const RecurrentGeometry& g) { return 7 * std::size_t(g.units) * kLanes * sizeof(float); }

  void run() {
    const bool lstm = g_.kind == RecurrentKind::kLstm;
    at_.read(a_.hiddenStart, 1, 1, 0, hidden_);
    if (lstm) at_.read(a_.cellStart, 1, 1, 0, extra_);
    for (int step = 0; step < g_.positions; step++) {
      const int t = g_.reverse ? g_.positions - 1 - step : step;
      at_.read(a_.input, g_.positions, g_.gates(), t, gates_);
      if (lstm) lstmStep();
      else gruStep();
      at_.clearDead(hidden_);
      at_.write(hidden_, g_.positions, 1, t, a_.output);
      writeSaved(t, lstm);
    }
    at_.write(hidden_, 1, 1, 0, a_.hiddenEnd);
    if (lstm) at_.write(extra_, 1, 1, 0, a_.cellEnd);
  }

 private:
  // to[row] (+)= b'[row] + R[row] v for rows [first, first + count)
  void product(int first, int count, const float* v, float* to, bool accumulate) {
    for (int i = 0; i < count; i++)
      for (int lane = 0; lane < kLanes; lane++) {
        const float bias = a_.bias ? a_.bias[first + i] : 0.0f;
        to[i * kLanes + lane] = accumulate ? to[i * kLanes + lane] + bias : bias;
      }
    kernels_.broadcastProducts({a_.weight + std::int64_t(first) * g_.units, g_.units, 1, v, to, count, g_.units, true});
  }
  void lstmStep() {
    product(0, 4 * g_.units, hidden_, gates_, true);
    kernels_.lstmUnits(gates_, extra_, hidden_, g_.units);
    at_.clearDead(extra_);
  }
  void gruStep() {
    const bool resetFirst = g_.kind == RecurrentKind::kGruResetFirst;
    product(0, 2 * g_.units, hidden_, gates_, true);
    kernels_.gruGates(gates_, hidden_, reset_, g_.units);
    product(2 * g_.units, g_.units, resetFirst ? reset_ : hidden_, extra_, false);
    kernels_.gruUnits(gates_, extra_, hidden_, g_.units, resetFirst);
  }
  // The gates, then the cell or R_n h + b'_n. A GRU's three gates leave a plane free in between.
  void writeSaved(int t, bool lstm) {
    if (!lstm) std::memcpy(gates_ + 3 * plane_, extra_, std::size_t(plane_) * sizeof(float));
    at_.write(gates_, g_.positions, g_.savedPlanes(), t, a_.saved);
  }

  const RecurrentForward& a_;
  const RecurrentGeometry& g_;
  const SequenceKernels& kernels_;
  Positions at_;
  std::int64_t plane_;
  float *gates_, *extra_, *hidden_, *reset_;  // [4], then one plane each; LSTM: the cell follows its gates
};

class Backward {
 public:
  Backward(const RecurrentBackward& a, const SequenceKernels& kernels, std::int64_t block, std::byte* memory)
      : a_(a),
        g_(a.geometry),
        kernels_(kernels),
        at_(a.geometry, a.state, kernels, block),
        plane_(std::int64_t(a.geometry.units) * kLanes) {
    float* next = reinterpret_cast<float*>(memory);
    auto take = [&](int planes) {
      float* part = next;
      next += planes * plane_;
      return part;
    };
    saved_ = take(5), grads_ = take(4), hidden_ = take(1), cell_ = take(1), gradHidden_ = take(1), gradCell_ = take(1);
    gradInner_ = take(1), scratch_ = take(1);
  }
  static std::size_t bytes(const RecurrentGeometry& g) { return 15 * std::size_t(g.units) * kLanes * sizeof(float); }

  void run(float* before, float* gateGrads, float* innerGrads, float* reset) {
    const bool lstm = g_.kind == RecurrentKind::kLstm;
    at_.read(a_.gradHiddenEnd, 1, 1, 0, gradHidden_);
    at_.read(lstm ? a_.gradCellEnd : nullptr, 1, 1, 0, gradCell_);
    for (int step = g_.positions; step-- > 0;) {
      const int t = position(step);
      at_.read(a_.saved, g_.positions, g_.savedPlanes(), t, saved_);
      readBefore(step, a_.hiddenStart, a_.output, 1, 0, hidden_);
      at_.read(a_.gradOutput, g_.positions, 1, t, scratch_);
      at_.clearDead(gradHidden_);
      kernels_.copyRun(scratch_, kLanes, gradHidden_, kLanes, g_.units, true);
      if (lstm) lstmStep(step);
      else gruStep();
      at_.write(grads_, g_.positions, g_.gates(), t, a_.gradInput);
      at_.write(hidden_, g_.positions, 1, t, before, true);
      at_.write(grads_, g_.positions, lstm ? 4 : 2, t, gateGrads, true);
      if (!lstm) at_.write(gradInner_, g_.positions, 1, t, innerGrads, true);
      if (reset) writeReset(t, reset);
    }
    at_.write(gradHidden_, 1, 1, 0, a_.gradHiddenStart);
    if (lstm) at_.write(gradCell_, 1, 1, 0, a_.gradCellStart);
  }

 private:
  int position(int step) const { return g_.reverse ? g_.positions - 1 - step : step; }
  // The state before a step: plane `plane` of `planes` of the position before, or the start.
  void readBefore(int step, const float* start, const float* all, int planes, int plane, float* to) const {
    if (step == 0) at_.read(start, 1, 1, 0, to);
    else at_.readPlane(all, g_.positions, planes, plane, position(step - 1), to);
  }

  // to (+)= R^T grad over rows [first, first + count)
  void throughGates(int first, int count, const float* grad, float* to, bool accumulate) {
    kernels_.broadcastProducts(
        {a_.weight + std::int64_t(first) * g_.units, 1, g_.units, grad, to, g_.units, count, accumulate});
  }
  void lstmStep(int step) {
    readBefore(step, a_.cellStart, a_.saved, 5, 4, cell_);
    kernels_.lstmUnitsBack(saved_, cell_, gradHidden_, gradCell_, grads_, g_.units);
    throughGates(0, 4 * g_.units, grads_, gradHidden_, false);
  }
  void gruStep() {
    const bool resetFirst = g_.kind == RecurrentKind::kGruResetFirst;
    kernels_.gruUnitsBack(saved_, hidden_, gradHidden_, grads_, gradInner_, g_.units, resetFirst);
    throughGates(2 * g_.units, g_.units, gradInner_, resetFirst ? scratch_ : gradHidden_, !resetFirst);
    if (resetFirst) kernels_.gruResetBack(saved_, hidden_, scratch_, grads_, gradHidden_, g_.units);
    throughGates(0, 2 * g_.units, grads_, gradHidden_, true);
  }
  void writeReset(int t, float* reset) {
    for (std::int64_t i = 0; i < plane_; i++) scratch_[i] = saved_[i] * hidden_[i];
    at_.write(scratch_, g_.positions, 1, t, reset, true);
  }

  const RecurrentBackward& a_;
  const RecurrentGeometry& g_;
  const SequenceKernels& kernels_;
  Positions at_;
  std::int64_t plane_;
  float *saved_, *grads_, *hidden_, *cell_, *gradHidden_, *gradCell_, *gradInner_, *scratch_;
};

}  // namespace

std::size_t CpuBackend::recurrentWorkspace(const RecurrentGeometry& g, int batch) const {
  const RecurrentWorkspace w(g, batch);
  const std::size_t inner = w.inner.outChannels ? conv2dWorkspace(w.inner, batch) : 0;
  return std::size_t(w.floats()) * sizeof(float) + std::max(conv2dWorkspace(w.gates, batch), inner);
}

void CpuBackend::run(const RecurrentForward& a) {
  parallelFor(blocksOf(a.batch), Forward::bytes(a.geometry),
              [&](std::int64_t block, std::byte* memory) { Forward(a, sequences_, block, memory).run(); });
}

void CpuBackend::run(const RecurrentBackward& a) {
  const RecurrentWorkspace w(a.geometry, a.batch);
  float *before = static_cast<float*>(a.workspace), *gateGrads = before + w.before,
        *innerGrads = gateGrads + w.gateGrads, *reset = innerGrads + w.innerGrads;
  parallelFor(blocksOf(a.batch), Backward::bytes(a.geometry), [&](std::int64_t block, std::byte* memory) {
    Backward(a, sequences_, block, memory).run(before, gateGrads, innerGrads, w.reset ? reset : nullptr);
  });
  Conv2dGradWeight gates;
  gates.geometry = w.gates, gates.batch = a.batch, gates.input = before, gates.gradOutput = gateGrads;
  gates.gradWeight = a.gradWeight, gates.gradBias = a.gradBias, gates.workspace = reset + w.reset;
  run(gates);
  if (!w.inner.outChannels) return;
  const int first = w.gates.outChannels;
  Conv2dGradWeight inner = gates;
  inner.geometry = w.inner, inner.gradOutput = innerGrads, inner.input = w.reset ? reset : before;
  inner.gradWeight = a.gradWeight + std::int64_t(first) * a.geometry.units;
  inner.gradBias = a.gradBias ? a.gradBias + first : nullptr;
  run(inner);
}

}  // namespace selfcompress::cpu
