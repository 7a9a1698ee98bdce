// LSTM and GRU, one image at a time.
#include <cmath>
#include <vector>

#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

using Values = std::vector<double>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

template <class Operation>
struct Image {
  const Operation& a;
  const RecurrentGeometry& g;
  int n, units;
  Image(const Operation& operation, int image)
      : a(operation), g(operation.geometry), n(image), units(operation.geometry.units) {}

  bool dead(int u) const { return a.state && a.state[u] == kZero; }
  std::size_t index(Shape shape, int channel, int t) const { return laneOffset(shape, n, channel, 0, t); }
  Values read(const float* from, Shape shape, int first, int t) const {
    Values v(std::size_t(units), 0.0);
    for (int u = 0; u < units && from; u++)
      if (!dead(u)) v[std::size_t(u)] = double(from[index(shape, first + u, t)]);
    return v;
  }
  void write(const Values& v, float* to, Shape shape, int first, int t) const {
    for (int u = 0; u < units && to; u++)
      if (!dead(u)) to[index(shape, first + u, t)] = float(v[std::size_t(u)]);
  }
  // R_gate v
  double product(int gate, int u, const Values& v) const {
    double sum = 0;
    for (int k = 0; k < units; k++) sum += double(a.weight[(gate * units + u) * units + k]) * v[std::size_t(k)];
    return sum;
  }
  int position(int step) const { return g.reverse ? g.positions - 1 - step : step; }
  // The state before step `step`.
  Values before(int step, const float* start, const float* all, Shape shape, int first) const {
    return step == 0 ? read(start, g.state(), 0, 0) : read(all, shape, first, position(step - 1));
  }
};

double biased(const RecurrentForward& a, int row) { return a.bias ? double(a.bias[row]) : 0.0; }

void lstmStep(const Image<RecurrentForward>& m, int t, Values& hidden, Values& cell) {
  const int units = m.units;
  Values gates[4];
  for (int gate = 0; gate < 4; gate++) {
    gates[gate] = m.read(m.a.input, m.g.input(), gate * units, t);
    for (int u = 0; u < units; u++) {
      double& v = gates[gate][std::size_t(u)];
      v += m.product(gate, u, hidden) + biased(m.a, gate * units + u);
      v = gate == 2 ? std::tanh(v) : sigmoid(v);
    }
    m.write(gates[gate], m.a.saved, m.g.saved(), gate * units, t);
  }
  for (std::size_t u = 0; u < std::size_t(units); u++) {
    const double c = gates[1][u] * cell[u] + gates[0][u] * gates[2][u];
    cell[u] = m.dead(int(u)) ? 0 : c;
    hidden[u] = m.dead(int(u)) ? 0 : gates[3][u] * std::tanh(c);
  }
  m.write(cell, m.a.saved, m.g.saved(), 4 * units, t);
}

void gruStep(const Image<RecurrentForward>& m, int t, Values& hidden) {
  const int units = m.units;
  const bool resetFirst = m.g.kind == RecurrentKind::kGruResetFirst;
  Values r = m.read(m.a.input, m.g.input(), 0, t), z = m.read(m.a.input, m.g.input(), units, t),
         n = m.read(m.a.input, m.g.input(), 2 * units, t), inner(std::size_t(units), 0.0), reset = hidden;
  for (std::size_t u = 0; u < std::size_t(units); u++) {
    r[u] = sigmoid(r[u] + m.product(0, int(u), hidden) + biased(m.a, int(u)));
    z[u] = sigmoid(z[u] + m.product(1, int(u), hidden) + biased(m.a, units + int(u)));
    if (resetFirst) reset[u] *= r[u];
  }
  for (std::size_t u = 0; u < std::size_t(units); u++) {
    inner[u] = m.product(2, int(u), reset) + biased(m.a, 2 * units + int(u));
    n[u] = std::tanh(n[u] + (resetFirst ? 1 : r[u]) * inner[u]);
  }
  for (std::size_t u = 0; u < std::size_t(units); u++)
    hidden[u] = m.dead(int(u)) ? 0 : (1 - z[u]) * n[u] + z[u] * hidden[u];
  const Values* all[4] = {&r, &z, &n, &inner};
  for (int plane = 0; plane < 4; plane++) m.write(*all[plane], m.a.saved, m.g.saved(), plane * units, t);
}

// Gradients of the weights of one gate: sums over images and positions.
struct WeightSums {
  Values weight, bias;
  explicit WeightSums(const RecurrentGeometry& g)
      : weight(std::size_t(g.gates()) * std::size_t(g.units) * std::size_t(g.units)),
        bias(std::size_t(g.gates()) * std::size_t(g.units)) {}
};

// Adds R_gate^T grad to `before`, and the gradient of R_gate, whose factor was v.
void throughGate(const Image<RecurrentBackward>& m, int gate, const Values& grad, const Values& v, Values& before,
                 WeightSums& sums) {
  for (int u = 0; u < m.units; u++) {
    if (m.dead(u)) continue;
    const int row = gate * m.units + u;
    if (m.n < m.a.batch) sums.bias[std::size_t(row)] += grad[std::size_t(u)];
    for (int k = 0; k < m.units; k++) {
      before[std::size_t(k)] += double(m.a.weight[row * m.units + k]) * grad[std::size_t(u)];
      if (m.n < m.a.batch) sums.weight[std::size_t(row * m.units + k)] += grad[std::size_t(u)] * v[std::size_t(k)];
    }
  }
}

void lstmBack(const Image<RecurrentBackward>& m, int step, Values& dh, Values& dc, WeightSums& sums) {
  const int t = m.position(step), units = m.units;
  Values saved[5], grads[4];
  for (int plane = 0; plane < 5; plane++) saved[plane] = m.read(m.a.saved, m.g.saved(), plane * units, t);
  const Values cell = m.before(step, m.a.cellStart, m.a.saved, m.g.saved(), 4 * units),
               hidden = m.before(step, m.a.hiddenStart, m.a.output, m.g.output(), 0);
  for (Values& grad : grads) grad.resize(std::size_t(units));
  for (std::size_t u = 0; u < std::size_t(units); u++) {
    const double i = saved[0][u], f = saved[1][u], g = saved[2][u], o = saved[3][u], c = std::tanh(saved[4][u]);
    dc[u] += dh[u] * o * (1 - c * c);
    grads[0][u] = dc[u] * g * i * (1 - i), grads[1][u] = dc[u] * cell[u] * f * (1 - f);
    grads[2][u] = dc[u] * i * (1 - g * g), grads[3][u] = dh[u] * c * o * (1 - o);
    dc[u] *= f;
  }
  dh.assign(dh.size(), 0.0);
  for (int gate = 0; gate < 4; gate++) {
    m.write(grads[gate], m.a.gradInput, m.g.input(), gate * units, t);
    throughGate(m, gate, grads[gate], hidden, dh, sums);
  }
}

void gruBack(const Image<RecurrentBackward>& m, int step, Values& dh, WeightSums& sums) {
  const int t = m.position(step), units = m.units;
  const bool resetFirst = m.g.kind == RecurrentKind::kGruResetFirst;
  const Values r = m.read(m.a.saved, m.g.saved(), 0, t), z = m.read(m.a.saved, m.g.saved(), units, t),
               n = m.read(m.a.saved, m.g.saved(), 2 * units, t), inner = m.read(m.a.saved, m.g.saved(), 3 * units, t),
               hidden = m.before(step, m.a.hiddenStart, m.a.output, m.g.output(), 0);
  const std::size_t count = std::size_t(units);
  Values dr(count), dz(count), dn(count), dInner(count), reset(count), dReset(count), before(count);
  for (std::size_t u = 0; u < count; u++) {
    dn[u] = dh[u] * (1 - z[u]) * (1 - n[u] * n[u]);
    dz[u] = dh[u] * (hidden[u] - n[u]) * z[u] * (1 - z[u]);
    dInner[u] = resetFirst ? dn[u] : dn[u] * r[u];
    reset[u] = resetFirst ? r[u] * hidden[u] : hidden[u];
    before[u] = dh[u] * z[u];
  }
  throughGate(m, 2, dInner, reset, resetFirst ? dReset : before, sums);
  for (std::size_t u = 0; u < count; u++) {
    dr[u] = (resetFirst ? dReset[u] * hidden[u] : dn[u] * inner[u]) * r[u] * (1 - r[u]);
    before[u] += dReset[u] * r[u];
  }
  throughGate(m, 0, dr, hidden, before, sums);
  throughGate(m, 1, dz, hidden, before, sums);
  m.write(dr, m.a.gradInput, m.g.input(), 0, t);
  m.write(dz, m.a.gradInput, m.g.input(), units, t);
  m.write(dn, m.a.gradInput, m.g.input(), 2 * units, t);
  dh = before;
}

}  // namespace

void ReferenceBackend::run(const RecurrentForward& a) {
  const bool lstm = a.geometry.kind == RecurrentKind::kLstm;
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++) {
    const Image<RecurrentForward> m(a, n);
    Values hidden = m.read(a.hiddenStart, m.g.state(), 0, 0), cell = m.read(a.cellStart, m.g.state(), 0, 0);
    for (int step = 0; step < m.g.positions; step++) {
      const int t = m.position(step);
      if (lstm) lstmStep(m, t, hidden, cell);
      else gruStep(m, t, hidden);
      m.write(hidden, a.output, m.g.output(), 0, t);
    }
    m.write(hidden, a.hiddenEnd, m.g.state(), 0, 0);
    if (lstm) m.write(cell, a.cellEnd, m.g.state(), 0, 0);
  }
}

void ReferenceBackend::run(const RecurrentBackward& a) {
  const RecurrentGeometry& g = a.geometry;
  WeightSums sums(g);
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++) {
    const Image<RecurrentBackward> m(a, n);
    Values dh = m.read(a.gradHiddenEnd, g.state(), 0, 0), dc = m.read(a.gradCellEnd, g.state(), 0, 0);
    for (int step = g.positions; step-- > 0;) {
      const Values grad = m.read(a.gradOutput, g.output(), 0, m.position(step));
      for (std::size_t u = 0; u < dh.size(); u++) dh[u] = m.dead(int(u)) ? 0 : dh[u] + grad[u];
      if (g.kind == RecurrentKind::kLstm) lstmBack(m, step, dh, dc, sums);
      else gruBack(m, step, dh, sums);
    }
    m.write(dh, a.gradHiddenStart, g.state(), 0, 0);
    if (g.kind == RecurrentKind::kLstm) m.write(dc, a.gradCellStart, g.state(), 0, 0);
  }
  for (std::size_t i = 0; i < sums.weight.size(); i++) a.gradWeight[i] = float(sums.weight[i]);
  for (std::size_t i = 0; i < sums.bias.size() && a.gradBias; i++) a.gradBias[i] = float(sums.bias[i]);
}

}  // namespace selfcompress
