// Products of small matrices, the work at each point of Winograd's form: a register tile of O outputs times P vectors
// over all terms. Each term costs P vector loads and O broadcasts for O * P fused multiply-adds.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// How a term enters a sum: floats, or words of two bf16.
struct FloatProduct {
  static F16 add(F16 a, F16 b, F16 sum) { return fma(a, b, sum); }
};
struct PairProduct {
  static F16 add(F16 a, F16 b, F16 sum) { return addPairs(a, b, sum); }
};

template <int O, int P>
inline void storeTile(const Products& t, const F16 (&sum)[O][P], float* target) {
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    SC_UNROLL
    for (int p = 0; p < P; p++) {
      float* at = target + o * t.outStride + p * t.targetStride;
      store(at, t.accumulate ? sum[o][p] + load(at) : sum[o][p]);
    }
  }
}

// L: neighbouring terms whose factors stand side by side in the panel, [term / L][outs][term % L].
template <class Product, int L, int O, int P>
inline void productTile(const Products& t, const float* source, const float* panel, float* target) {
  F16 sum[O][P];
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    SC_UNROLL
    for (int p = 0; p < P; p++) sum[o][p] = zero();
  }
  for (int k = 0; k < t.terms; k += L, panel += O * L)
    for (int l = 0; l < L; l++, source += t.termStride) {
      F16 in[P];
      SC_UNROLL
      for (int p = 0; p < P; p++) in[p] = load(source + p * t.sourceStride);
      SC_UNROLL
      for (int o = 0; o < O; o++) {
        F16 w = set(panel[o * L + l]);
        SC_UNROLL
        for (int p = 0; p < P; p++) sum[o][p] = Product::add(w, in[p], sum[o][p]);
      }
    }
  storeTile<O, P>(t, sum, target);
}

// The factors of each output from a plane of its own, as a tensor has them: nothing is copied for it. Lines of the next
// terms are fetched ahead, as the planes lie on pages of their own, which no prefetcher follows.
template <int O, int P>
inline void planesTile(const Products& t, const float* source, float* target) {
  constexpr int kAhead = 4 * 16;
  F16 sum[O][P];
  const float* plane[O];
  SC_UNROLL
  for (int o = 0; o < O; o++) {
    plane[o] = t.planes[o];
    SC_UNROLL
    for (int p = 0; p < P; p++) sum[o][p] = zero();
  }
  for (std::int64_t k = 0; k < t.terms; k += 16) {
    SC_UNROLL
    for (int o = 0; o < O; o++) prefetch(plane[o] + k + kAhead);
    for (std::int64_t l = k; l < k + 16; l++, source += t.termStride) {
      F16 in[P];
      SC_UNROLL
      for (int p = 0; p < P; p++) in[p] = load(source + p * t.sourceStride);
      SC_UNROLL
      for (int o = 0; o < O; o++) {
        F16 w = set(plane[o][l]);
        SC_UNROLL
        for (int p = 0; p < P; p++) sum[o][p] = fma(w, in[p], sum[o][p]);
      }
    }
  }
  storeTile<O, P>(t, sum, target);
}
inline void productPlanes(const Products& t) {
  withSize<kTileO>(t.blocks->outs, [&](auto o) {
    inTiles(t.positions, [&](int p, auto size) {
      planesTile<decltype(o)::value, decltype(size)::value>(t, t.source + p * t.sourceStride,
                                                            t.target + p * t.targetStride);
    });
  });
}

template <class Product, int L>
inline void productBlock(const Products& t, int outs, const float* source, const float* panel, float* target) {
  withSize<kTileO>(outs, [&](auto o) {
    inTiles(t.positions, [&](int p, auto size) {
      productTile<Product, L, decltype(o)::value, decltype(size)::value>(t, source + p * t.sourceStride, panel,
                                                                         target + p * t.targetStride);
    });
  });
}

template <class Product, int L>
inline void productsOf(const Products& t) {
  for (int point = 0; point < t.points; point++) {
    float* target = t.target + point * t.targetPoint;
    for (int b = 0; b < t.blockCount; b++) {
      const ProductBlock& block = t.blocks[b];
      productBlock<Product, L>(t, block.outs, t.source + point * t.sourcePoint,
                               t.panel + point * t.panelPoint + block.panel + std::int64_t(t.firstTerm) * block.outs,
                               target);
      target += block.outs * t.outStride;
    }
  }
}

inline void products(const Products& t) {
  if (t.planes) productPlanes(t);
  else if (t.lanes) productsOf<FloatProduct, 16>(t);
  else productsOf<FloatProduct, 1>(t);
}
inline void productsPairs(const Products& t) {
  if (t.lanes) productsOf<PairProduct, 8>(t);
  else productsOf<PairProduct, 1>(t);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
