// One position of a recurrent layer for one block of images: the products with its weights, and what happens to each
// unit. Arrays are [units] or [gates][units] vectors, side by side.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline F16 gateSigmoid(F16 x) { return set(1.0f) / (set(1.0f) + vexp(zero() - x)); }
// tanh(x) = 1 - 2 / (e^2x + 1), to within a rounding of 1; exactly -1 and 1 far out.
inline F16 gateTanh(F16 x) { return set(1.0f) - set(2.0f) / (vexp(x + x) + set(1.0f)); }

template <int R>
inline void broadcastTile(const BroadcastProducts& t, int row) {
  F16 sum[R];
  float* to = t.target + std::int64_t(row) * 16;
  SC_UNROLL
  for (int r = 0; r < R; r++) sum[r] = t.accumulate ? load(to + r * 16) : zero();
  const float *weight = t.weight + row * t.rowStep, *vector = t.vectors;
  for (int k = 0; k < t.terms; k++, weight += t.termStep, vector += 16) {
    const F16 v = load(vector);
    SC_UNROLL
    for (int r = 0; r < R; r++) sum[r] = fma(set(weight[r * t.rowStep]), v, sum[r]);
  }
  SC_UNROLL
  for (int r = 0; r < R; r++) store(to + r * 16, sum[r]);
}

inline void broadcastProducts(const BroadcastProducts& t) {
  for (int row = 0; row < t.rows;) {
    const int rows = tileShare(t.rows - row, kTileO);
    withSize<kTileO>(rows, [&](auto size) { broadcastTile<decltype(size)::value>(t, row); });
    row += rows;
  }
}

inline void lstmUnits(float* gates, float* cell, float* hidden, int units) {
  const int plane = units * 16;
  for (int u = 0; u < plane; u += 16) {
    const F16 i = gateSigmoid(load(gates + u)), f = gateSigmoid(load(gates + plane + u)),
              g = gateTanh(load(gates + 2 * plane + u)), o = gateSigmoid(load(gates + 3 * plane + u));
    const F16 c = fma(f, load(cell + u), i * g);
    store(gates + u, i), store(gates + plane + u, f), store(gates + 2 * plane + u, g), store(gates + 3 * plane + u, o);
    store(cell + u, c), store(hidden + u, o * gateTanh(c));
  }
}

inline void lstmUnitsBack(const float* saved, const float* cellBefore, const float* gradHidden, float* gradCell,
                          float* grads, int units) {
  const int plane = units * 16;
  const F16 one = set(1.0f);
  for (int u = 0; u < plane; u += 16) {
    const F16 i = load(saved + u), f = load(saved + plane + u), g = load(saved + 2 * plane + u),
              o = load(saved + 3 * plane + u), c = gateTanh(load(saved + 4 * plane + u)), dh = load(gradHidden + u);
    const F16 dc = fma(dh * o, one - c * c, load(gradCell + u));
    store(grads + u, dc * g * (i * (one - i)));
    store(grads + plane + u, dc * load(cellBefore + u) * (f * (one - f)));
    store(grads + 2 * plane + u, dc * i * (one - g * g));
    store(grads + 3 * plane + u, dh * c * (o * (one - o)));
    store(gradCell + u, dc * f);
  }
}

inline void gruGates(float* gates, const float* hidden, float* reset, int units) {
  const int plane = units * 16;
  for (int u = 0; u < plane; u += 16) {
    const F16 r = gateSigmoid(load(gates + u));
    store(gates + u, r);
    store(gates + plane + u, gateSigmoid(load(gates + plane + u)));
    store(reset + u, r * load(hidden + u));
  }
}

inline void gruUnits(float* gates, const float* inner, float* hidden, int units, bool resetFirst) {
  const int plane = units * 16;
  for (int u = 0; u < plane; u += 16) {
    const F16 z = load(gates + plane + u), m = load(inner + u), x = load(gates + 2 * plane + u);
    const F16 n = gateTanh(resetFirst ? x + m : fma(load(gates + u), m, x));
    store(gates + 2 * plane + u, n);
    store(hidden + u, fma(set(1.0f) - z, n, z * load(hidden + u)));
  }
}

inline void gruUnitsBack(const float* saved, const float* hidden, float* gradHidden, float* grads, float* gradInner,
                         int units, bool resetFirst) {
  const int plane = units * 16;
  const F16 one = set(1.0f);
  for (int u = 0; u < plane; u += 16) {
    const F16 r = load(saved + u), z = load(saved + plane + u), n = load(saved + 2 * plane + u),
              dh = load(gradHidden + u);
    const F16 dn = dh * (one - z) * (one - n * n);
    if (!resetFirst) store(grads + u, dn * load(saved + 3 * plane + u) * (r * (one - r)));
    store(grads + plane + u, dh * (load(hidden + u) - n) * (z * (one - z)));
    store(grads + 2 * plane + u, dn);
    store(gradInner + u, resetFirst ? dn : dn * r);
    store(gradHidden + u, dh * z);
  }
}

inline void gruResetBack(const float* saved, const float* hidden, const float* gradReset, float* grads,
                         float* gradHidden, int units) {
  const F16 one = set(1.0f);
  for (int u = 0; u < units * 16; u += 16) {
    const F16 r = load(saved + u), d = load(gradReset + u);
    store(grads + u, d * load(hidden + u) * (r * (one - r)));
    store(gradHidden + u, fma(d, r, load(gradHidden + u)));
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
