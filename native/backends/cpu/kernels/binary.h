// Arithmetic of two tensors with broadcasting (ops/binary.h): planes, and the sums over what was broadcast.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// One plane of the second operand: vectors, or floats that every image shares, one for each position or one for all.
template <bool kPlain>
struct SecondPlane {
  const float* first;
  std::int64_t step;  // floats from one position to the next
  F16 at(std::int64_t position) const {
    if constexpr (kPlain) return set(first[position * step]);
    else return load(first + position * step);
  }
};
template <bool kPlain, class Arguments>
inline SecondPlane<kPlain> secondPlane(const Arguments& a, int block, int channel) {
  const Shape shape = {a.operand.oneChannel ? 1 : a.shape.channels, a.operand.onePosition ? 1 : a.shape.height,
                       a.operand.onePosition ? 1 : a.shape.width};
  const int own = a.operand.oneChannel ? 0 : channel;
  if constexpr (kPlain) return {a.b + own * pixelsOf(shape), a.operand.onePosition ? 0 : 1};
  else return {a.b + planeOffset(shape, block, own), a.operand.onePosition ? 0 : 16};
}

template <Binary kKind>
inline F16 combined(F16 x, F16 y) {
  if constexpr (kKind == Binary::kAdd) return x + y;
  if constexpr (kKind == Binary::kSubtract) return x - y;
  if constexpr (kKind == Binary::kMultiply) return x * y;
  if constexpr (kKind == Binary::kDivide) return x / y;
}
// dL/da and dL/db of one element.
template <Binary kKind>
inline F16 gradientOfA(F16 g, F16 y) {
  if constexpr (kKind == Binary::kMultiply) return g * y;
  if constexpr (kKind == Binary::kDivide) return g / y;
  return g;
}
template <Binary kKind>
inline F16 gradientOfB(F16 g, F16 x, F16 y) {
  if constexpr (kKind == Binary::kAdd) return g;
  if constexpr (kKind == Binary::kSubtract) return zero() - g;
  if constexpr (kKind == Binary::kMultiply) return g * x;
  if constexpr (kKind == Binary::kDivide) return zero() - g * x / (y * y);
}
constexpr bool readsOperands(Binary kind) { return kind == Binary::kMultiply || kind == Binary::kDivide; }

template <Binary kKind, bool kPlain>
inline void binaryPlane(const BinaryForward& a, int block, int channel, bool past) {
  const std::int64_t at = planeOffset(a.shape, block, channel), pixels = pixelsOf(a.shape);
  const bool noA = isZeroChannel(a.stateA, channel), noB = isZeroChannel(a.stateB, a.operand.oneChannel ? 0 : channel);
  const SecondPlane<kPlain> b = secondPlane<kPlain>(a, block, channel);
  const float* x = a.a + at;
  float* output = a.output + at;
  const int images = imagesOf(a.batch, block);
  if (noA || noB || (kKind == Binary::kDivide && images < 16)) {
    const M16 used = lanesBelow(kKind == Binary::kDivide ? images : 16);  // padding lanes may be 0 / 0
    for (std::int64_t p = 0; p < pixels; p++) {
      const F16 v = combined<kKind>(noA ? zero() : load(x + p * 16), noB ? zero() : b.at(p));
      storeResult(output + p * 16, select(used, v, zero()), past);
    }
  } else if (past) {
    for (std::int64_t p = 0; p < pixels; p++) storePast(output + p * 16, combined<kKind>(load(x + p * 16), b.at(p)));
  } else {
    for (std::int64_t p = 0; p < pixels; p++) store(output + p * 16, combined<kKind>(load(x + p * 16), b.at(p)));
  }
}

// gradA of a plane, and gradB where that has the shape of a.
template <Binary kKind, bool kPlain>
inline void binaryPlaneGradient(const BinaryBackward& a, int block, int channel, bool past) {
  const std::int64_t at = planeOffset(a.shape, block, channel), pixels = pixelsOf(a.shape);
  const bool noA = isZeroChannel(a.stateA, channel), noB = isZeroChannel(a.stateB, a.operand.oneChannel ? 0 : channel);
  const bool none = outputIsZero(kKind, noA, noB);
  const bool writesA = a.gradA && !noA;
  const bool writesB = a.gradB && !noB && !kPlain && !a.operand.oneChannel && !a.operand.onePosition;
  const SecondPlane<kPlain> b = secondPlane<kPlain>(a, block, channel);
  const M16 used = lanesBelow(imagesOf(a.batch, block));
  for (std::int64_t p = 0; p < pixels; p++) {
    const std::int64_t i = at + p * 16;
    F16 toA = zero(), toB = zero();
    if (!none) {
      const F16 g = load(a.gradOutput + i), x = readsOperands(kKind) && writesB && !noA ? load(a.a + i) : zero(),
                y = readsOperands(kKind) && !noB ? b.at(p) : zero();
      if (writesA) toA = select(used, gradientOfA<kKind>(g, y), zero());
      if (writesB) toB = select(used, gradientOfB<kKind>(g, x, y), zero());
    }
    if (writesA) storeResult(a.gradA + i, toA, past);
    if (writesB) storeResult(a.gradB + i, toB, past);
  }
}

// One element of gradB before it is summed. Not for channels whose output is zero.
template <Binary kKind, bool kPlain>
struct SecondTerms {
  const BinaryBackward& a;
  bool noA, noB;
  const float *g, *x;
  SecondPlane<kPlain> b;
  SecondTerms(const BinaryBackward& arguments, int block, int channel)
      : a(arguments),
        noA(isZeroChannel(a.stateA, channel)),
        noB(isZeroChannel(a.stateB, a.operand.oneChannel ? 0 : channel)),
        g(a.gradOutput + planeOffset(a.shape, block, channel)),
        x(a.a ? a.a + planeOffset(a.shape, block, channel) : nullptr),
        b(readsOperands(kKind) ? secondPlane<kPlain>(a, block, channel) : SecondPlane<kPlain>{nullptr, 0}) {}
  bool none() const { return outputIsZero(kKind, noA, noB); }
  F16 at(std::int64_t p) const {
    return gradientOfB<kKind>(load(g + p * 16), readsOperands(kKind) && !noA ? load(x + p * 16) : zero(),
                              kKind == Binary::kDivide ? b.at(p) : zero());
  }
};

// sums[16] = over the positions of a plane.
template <Binary kKind, bool kPlain>
inline void binaryPlaneSums(const BinaryBackward& a, int block, int channel, float* sums) {
  const SecondTerms<kKind, kPlain> terms(a, block, channel);
  F16 all = zero();
  if (!terms.none())
    for (std::int64_t p = 0, pixels = pixelsOf(a.shape); p < pixels;) {
      const std::int64_t end = p + 64 < pixels ? p + 64 : pixels;
      F16 part = zero();
      for (; p < end; p++) part = part + terms.at(p);
      all = all + part;
    }
  store(sums, select(lanesBelow(imagesOf(a.batch, block)), all, zero()));
}

// sums[i] = of the lanes of vector i, n <= 16 of them.
inline void sumOfLanes(const F16* vectors, int n, float* sums) {
  F16 r[16];
  for (int i = 0; i < 16; i++) r[i] = i < n ? vectors[i] : zero();
  transpose(r);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) r[i] = r[i] + r[i + half];
  if (n == 16) store(sums, r[0]);
  else storeTail(sums, r[0], n);
}

// gradB of some positions, over the blocks and channels of the range.
template <Binary kKind, bool kPlain>
inline void binaryPositionSums(const BinaryBackward& a, const BinaryRange& r) {
  F16 all[kBinaryPositions], part[kBinaryPositions];
  for (int i = 0; i < r.positions; i++) all[i] = zero();
  for (int n = r.block; n < r.blockEnd; n++) {
    const M16 used = lanesBelow(imagesOf(a.batch, n));
    for (int i = 0; i < r.positions; i++) part[i] = zero();
    for (int c = r.channel; c < r.channelEnd; c++) {
      const SecondTerms<kKind, kPlain> terms(a, n, c);
      if (terms.none()) continue;
      for (int i = 0; i < r.positions; i++) part[i] = part[i] + terms.at(r.first + i);
    }
    for (int i = 0; i < r.positions; i++) all[i] = all[i] + select(used, part[i], zero());
  }
  if constexpr (kPlain) {
    for (int i = 0; i < r.positions; i += 16)
      sumOfLanes(all + i, r.positions - i < 16 ? r.positions - i : 16, r.to + i);
  } else {
    for (int i = 0; i < r.positions; i++) store(r.to + i * 16, all[i]);
  }
}

#define SC_BINARY_CASES(name, ...)                                                                                   \
  switch (a.kind) {                                                                                                  \
    case Binary::kAdd:                                                                                               \
      return a.operand.plain ? name<Binary::kAdd, true>(a, __VA_ARGS__) : name<Binary::kAdd, false>(a, __VA_ARGS__); \
    case Binary::kSubtract:                                                                                          \
      return a.operand.plain ? name<Binary::kSubtract, true>(a, __VA_ARGS__)                                         \
                             : name<Binary::kSubtract, false>(a, __VA_ARGS__);                                       \
    case Binary::kMultiply:                                                                                          \
      return a.operand.plain ? name<Binary::kMultiply, true>(a, __VA_ARGS__)                                         \
                             : name<Binary::kMultiply, false>(a, __VA_ARGS__);                                       \
    case Binary::kDivide:                                                                                            \
      return a.operand.plain ? name<Binary::kDivide, true>(a, __VA_ARGS__)                                           \
                             : name<Binary::kDivide, false>(a, __VA_ARGS__);                                         \
  }
inline void binaryForward(const BinaryForward& a, int block, int channel, bool past) {
  SC_BINARY_CASES(binaryPlane, block, channel, past)
}
inline void binaryGradient(const BinaryBackward& a, int block, int channel, bool past) {
  SC_BINARY_CASES(binaryPlaneGradient, block, channel, past)
}
inline void binaryPlaneSum(const BinaryBackward& a, int block, int channel, float* sums) {
  SC_BINARY_CASES(binaryPlaneSums, block, channel, sums)
}
inline void binaryPositionSum(const BinaryBackward& a, const BinaryRange& range) {
  SC_BINARY_CASES(binaryPositionSums, range)
}
#undef SC_BINARY_CASES

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
