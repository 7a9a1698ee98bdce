// lstm and gru: the recurrent part over a sequence, one position after another.
#include "ops/recurrent/recurrent.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/view.h"

namespace selfcompress::engine {
namespace {

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

template <RecurrentGeometry (*geometryOf)(const NodeContext&)>
class Recurrent final : public Step {
 public:
  explicit Recurrent(const Preparation& p)
      : g_(geometryOf(p.context)), bias_(p.tensors.floats(Role::kBias)), window_(p.window) {
    const std::vector<float> weight = p.tensors.floats(Role::kWeight);
    const std::size_t rows = std::size_t(g_.gates()) * std::size_t(g_.units), units = std::size_t(g_.units);
    weight_.resize(weight.size());
    for (std::size_t row = 0; row < rows; row++)
      for (std::size_t k = 0; k < units; k++) weight_[k * rows + row] = weight[row * units + k];
  }

  void run(const Run& r) const override {
    const int lanes = imagesOf(r.layout);
    State s;
    s.sums = r.scratch, s.hidden = s.sums + std::int64_t(g_.gates()) * g_.units * lanes;
    s.cell = s.hidden + std::int64_t(g_.units) * lanes, s.reset = s.cell + std::int64_t(g_.units) * lanes;
    if (r.state) s.hidden = r.state, s.cell = r.state + g_.units;  // one position behind those before it
    else
      std::fill_n(s.hidden, std::int64_t(g_.units) * lanes, 0.0f),
          std::fill_n(s.cell, std::int64_t(g_.units) * lanes, 0.0f);
    const View to = viewOf(g_.output(), r.layout);
    for (int step = 0; step < g_.positions; step++) {
      const int t = g_.reverse ? g_.positions - 1 - step : step;
      if (g_.kind == RecurrentKind::kLstm) lstm(r, s, t);
      else gru(r, s, t);
      for (int u = 0; u < g_.units; u++) std::copy_n(s.hidden + std::int64_t(u) * lanes, lanes, r.output + to.at(u, t));
    }
  }
  std::int64_t scratchFloats(Layout layout) const override {
    return std::int64_t(g_.gates() + 3) * g_.units * imagesOf(layout);
  }
  std::int64_t stateFloats() const override { return window_ ? 2 * std::int64_t(g_.units) : 0; }
  std::size_t weightBytes() const override { return (weight_.size() + bias_.size()) * sizeof(float); }
  double cost(Layout layout, const Kernels& kernels) const override {
    return double(weight_.size()) * g_.positions * imagesOf(layout) / kernels.width;
  }

 private:
  // All [...][lanes].
  struct State {
    float *sums, *hidden, *cell, *reset;  // rows of gates; units
  };

  // sums[row] = bias + R state, rows [first, last).
  void multiply(float* sums, const float* state, int first, int last, int lanes) const {
    const std::int64_t rows = std::int64_t(g_.gates()) * g_.units;
    for (int row = first; row < last; row++)
      std::fill_n(sums + std::int64_t(row) * lanes, lanes, bias_.empty() ? 0.0f : bias_[std::size_t(row)]);
    for (int k = 0; k < g_.units; k++) {
      const float *w = weight_.data() + k * rows, *h = state + std::int64_t(k) * lanes;
      if (lanes == 1) {
        for (int row = first; row < last; row++) sums[row] += w[row] * h[0];
      } else {
        for (int row = first; row < last; row++)
          for (int n = 0; n < kBlock; n++) sums[row * kBlock + n] += w[row] * h[n];
      }
    }
  }

  // visit(element of the state, element of a gate's sums, element of its input) for every unit and lane; gate: 0..
  template <class Visit>
  void forUnits(const Run& r, int t, Visit visit) const {
    const View from = viewOf(g_.input(), r.layout);
    for (int u = 0; u < g_.units; u++)
      for (int n = 0; n < from.lanes; n++) {
        auto sum = [&](int gate) { return std::int64_t(gate * g_.units + u) * from.lanes + n; };
        auto input = [&](int gate) { return r.inputs[0][from.at(gate * g_.units + u, t) + n]; };
        visit(std::int64_t(u) * from.lanes + n, sum, input);
      }
  }

  void lstm(const Run& r, const State& s, int t) const {
    multiply(s.sums, s.hidden, 0, 4 * g_.units, imagesOf(r.layout));
    forUnits(r, t, [&](std::int64_t i, auto sum, auto input) {
      auto gate = [&](int k) { return input(k) + s.sums[sum(k)]; };
      s.cell[i] = sigmoid(gate(1)) * s.cell[i] + sigmoid(gate(0)) * std::tanh(gate(2));
      s.hidden[i] = sigmoid(gate(3)) * std::tanh(s.cell[i]);
    });
  }

  void gru(const Run& r, const State& s, int t) const {
    const bool resetFirst = g_.kind == RecurrentKind::kGruResetFirst;
    const int lanes = imagesOf(r.layout), units = g_.units;
    multiply(s.sums, s.hidden, 0, resetFirst ? 2 * units : 3 * units, lanes);
    forUnits(r, t, [&](std::int64_t i, auto sum, auto input) {
      for (int k = 0; k < 2; k++) s.sums[sum(k)] = sigmoid(input(k) + s.sums[sum(k)]);
      if (resetFirst) s.reset[i] = s.sums[sum(0)] * s.hidden[i];
    });
    if (resetFirst) multiply(s.sums, s.reset, 2 * units, 3 * units, lanes);
    forUnits(r, t, [&](std::int64_t i, auto sum, auto input) {
      const float reset = s.sums[sum(0)], update = s.sums[sum(1)], inner = s.sums[sum(2)],
                  candidate = std::tanh(input(2) + (resetFirst ? inner : reset * inner));
      s.hidden[i] = (1 - update) * candidate + update * s.hidden[i];
    });
  }

  RecurrentGeometry g_;
  std::vector<float> weight_;  // R transposed, [units][gates * units]
  std::vector<float> bias_;
  int window_;
};

EngineOperator recurrent(const char* kind, std::unique_ptr<Step> (*prepare)(const Preparation&)) {
  EngineOperator e{kind, prepare};
  e.byPosition = [](const NodeDescription& node) { return !node.flag("reverse"); };
  return e;
}

}  // namespace

namespace ops {
extern const EngineOperator lstm, gru;
const EngineOperator lstm = recurrent("lstm", prepareStep<Recurrent<lstmGeometry>>);
const EngineOperator gru = recurrent("gru", prepareStep<Recurrent<gruGeometry>>);
}  // namespace ops

}  // namespace selfcompress::engine
