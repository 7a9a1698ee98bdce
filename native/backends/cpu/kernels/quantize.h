// The self-compressing quantizer over one channel's contiguous weights (equations in ops/quantize.h): one pass forward,
// one pass backward that reads w and g once, writes dL/dw once and sums dL/db and dL/de on the way.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline F16 quantizeCode(F16 u, F16 low, F16 high) { return roundEven(vmin(high, vmax(low, u))); }  // NaN stays NaN

inline F16 quantized(F16 w, const QuantizeChannel& c) {
  return set(c.scale) * quantizeCode(w * set(c.inverse), set(c.low), set(c.high));
}

#if defined(_MSC_VER)
__declspec(noinline)
#else
__attribute__((noinline, cold))
#endif
    inline F16 quantizedWide(F16 w, const QuantizeChannel& c) {
  alignas(64) float weights[16];
  store(weights, w);
  quantizeWide(weights, 16, c);
  return load(weights);
}

// n <= 16 weights from `at` on, as they multiply; lanes above may hold anything. A part of a vector is slow to load: it
// is done only where the memory ends.
inline F16 loadWeights(const WeightSource& from, std::int64_t at, int n, const float* memoryEnd) {
  if (!from.weight) return zero();
  const float* first = from.weight + at;
  F16 w = memoryEnd - first >= 16 ? load(first) : loadTail(first, n);
  if (!from.quantizer) return w;
  return from.quantizer->wide ? quantizedWide(w, *from.quantizer) : quantized(w, *from.quantizer);
}

inline bool onLine(const float* p) { return reinterpret_cast<std::uintptr_t>(p) % 64 == 0; }

inline void quantizeForward(const float* weight, std::int64_t n, const QuantizeChannel& channel, float* output,
                            bool past) {
  const QuantizeChannel c = channel;  // which the output cannot overlap
  std::int64_t i = 0;
  past = past && onLine(output);
  for (; i + 16 <= n; i += 16) storeResult(output + i, quantized(load(weight + i), c), past);
  if (i < n) {
    int rest = int(n - i);
    storeTail(output + i, quantized(loadTail(weight + i, rest), c), rest);
  }
}

struct QuantizeVectors {
  F16 gradWeight, bitDepth, exponent;
};

inline QuantizeVectors quantizeBackwardOf(F16 w, F16 g, F16 inverse, F16 scale, F16 low, F16 high, F16 slope, F16 ln2) {
  F16 u = w * inverse;
  F16 q = scale * quantizeCode(u, low, high);
  M16 below = less(u, low), above = less(high, u), outside = either(below, above);
  F16 gq = g * ln2;
  QuantizeVectors r;
  r.gradWeight = select(outside, zero(), g);
  r.exponent = gq * select(outside, q, q - w);
  r.bitDepth = g * select(above, slope, select(below, zero() - slope, zero()));
  return r;
}

inline QuantizeSums quantizeBackward(const float* weight, const float* grad, std::int64_t n, const QuantizeChannel& c,
                                     float* gradWeight, bool past) {
  past = past && onLine(gradWeight);
  const F16 inverse = set(c.inverse), scale = set(c.scale), low = set(c.low), high = set(c.high),
            slope = set(c.clipSlope), ln2 = set(0.693147180559945309f);
  QuantizeSums sums{0, 0};
  for (std::int64_t begin = 0; begin < n; begin += 2048) {  // float sums over 128 vectors, then double
    std::int64_t end = begin + 2048 < n ? begin + 2048 : n, i = begin;
    F16 bitDepth = zero(), exponent = zero();
    for (; i + 16 <= end; i += 16) {
      auto r = quantizeBackwardOf(load(weight + i), load(grad + i), inverse, scale, low, high, slope, ln2);
      storeResult(gradWeight + i, r.gradWeight, past);
      bitDepth = bitDepth + r.bitDepth;
      exponent = exponent + r.exponent;
    }
    if (i < end) {
      int rest = int(end - i);
      auto r = quantizeBackwardOf(loadTail(weight + i, rest), loadTail(grad + i, rest), inverse, scale, low, high,
                                  slope, ln2);
      storeTail(gradWeight + i, r.gradWeight, rest);
      // Spare lanes hold w = g = 0: their products are zero (finite scale), so they add nothing.
      bitDepth = bitDepth + r.bitDepth;
      exponent = exponent + r.exponent;
    }
    sums.bitDepth += sumDouble(bitDepth, 16);
    sums.exponent += sumDouble(exponent, 16);
  }
  return sums;
}

// ---- the gradient of the codes' length (QuantizeRate) ----

inline F16 magnitudeOf(F16 a) { return vmax(a, zero() - a); }

struct RateVectors {
  F16 first, next, clipLow, clipHigh;
};

inline QuantizeVectors rateBackwardOf(F16 w, F16 g, F16 element, const RateVectors& v, F16 inverse, F16 scale, F16 low,
                                      F16 high, F16 clipSlope, F16 ln2) {
  QuantizeVectors r = quantizeBackwardOf(w, g, inverse, scale, low, high, clipSlope, ln2);
  F16 u = w * inverse, size = magnitudeOf(vmin(high, vmax(low, u)));
  F16 slope = vmax(zero(), select(less(size, set(1.0f)), v.first, v.next) + element);
  M16 below = less(u, low), above = less(high, u), outside = either(below, above);
  F16 push = slope * inverse;
  F16 towardsZero = select(less(zero(), u), push, select(less(u, zero()), zero() - push, zero()));
  r.gradWeight = select(outside, r.gradWeight, r.gradWeight + towardsZero);
  r.exponent = select(outside, r.exponent, r.exponent - ln2 * slope * size);
  r.bitDepth = r.bitDepth + slope * select(above, v.clipHigh, select(below, v.clipLow, zero()));
  return r;
}

// Elements of the last vector: those that are not there are left out of the length.
inline F16 loadElements(const float* from, int count) {
  alignas(64) float elements[16];
  for (int i = 0; i < 16; i++) elements[i] = i < count ? from[i] : -3e38f;
  return load(elements);
}

inline QuantizeSums quantizeBackwardRate(const float* weight, const float* grad, std::int64_t n,
                                         const QuantizeChannel& c, const QuantizeRateChannel& rate, float* gradWeight,
                                         bool past) {
  past = past && onLine(gradWeight);
  const F16 inverse = set(c.inverse), scale = set(c.scale), low = set(c.low), high = set(c.high),
            slope = set(c.clipSlope), ln2 = set(0.693147180559945309f);
  const RateVectors vectors{set(rate.first), set(rate.next), set(rate.clipLow), set(rate.clipHigh)};
  const float* element = rate.element;
  QuantizeSums sums{0, 0};
  for (std::int64_t begin = 0; begin < n; begin += 2048) {  // float sums over 128 vectors, then double
    std::int64_t end = begin + 2048 < n ? begin + 2048 : n, i = begin;
    F16 bitDepth = zero(), exponent = zero();
    for (; i + 16 <= end; i += 16) {
      auto r = rateBackwardOf(load(weight + i), load(grad + i), load(element + i), vectors, inverse, scale, low, high,
                              slope, ln2);
      storeResult(gradWeight + i, r.gradWeight, past);
      bitDepth = bitDepth + r.bitDepth;
      exponent = exponent + r.exponent;
    }
    if (i < end) {
      int rest = int(end - i);
      auto r = rateBackwardOf(loadTail(weight + i, rest), loadTail(grad + i, rest), loadElements(element + i, rest),
                              vectors, inverse, scale, low, high, slope, ln2);
      storeTail(gradWeight + i, r.gradWeight, rest);
      bitDepth = bitDepth + r.bitDepth;
      exponent = exponent + r.exponent;
    }
    sums.bitDepth += sumDouble(bitDepth, 16);
    sums.exponent += sumDouble(exponent, 16);
  }
  return sums;
}

inline CodeSums countCodes(const float* weight, const float* live, std::int64_t n, const QuantizeChannel& c,
                           float* nonzeros, float* magnitude) {
  const F16 inverse = set(c.inverse), low = set(c.low), high = set(c.high), one = set(1.0f);
  CodeSums sums{0, 0};
  auto sizeOf = [&](F16 w) {  // 0 for NaN
    F16 size = magnitudeOf(quantizeCode(w * inverse, low, high));
    return vmin(select(less(zero(), size), size, zero()), set(1073741824.0f));
  };
  for (std::int64_t begin = 0; begin < n; begin += 2048) {
    std::int64_t end = begin + 2048 < n ? begin + 2048 : n, i = begin;
    F16 count = zero(), total = zero();
    for (; i + 16 <= end; i += 16) {
      F16 size = sizeOf(load(weight + i)) * load(live + i), one16 = select(less(zero(), size), one, zero());
      store(nonzeros + i, load(nonzeros + i) + one16);
      store(magnitude + i, load(magnitude + i) + size);
      count = count + one16;
      total = total + size;
    }
    if (i < end) {
      int rest = int(end - i);
      F16 size = sizeOf(loadTail(weight + i, rest)) * loadTail(live + i, rest),
          one16 = select(less(zero(), size), one, zero());
      storeTail(nonzeros + i, loadTail(nonzeros + i, rest) + one16, rest);
      storeTail(magnitude + i, loadTail(magnitude + i, rest) + size, rest);
      count = count + one16;
      total = total + size;
    }
    sums.nonzeros += sumDouble(count, 16);
    sums.magnitude += sumDouble(total, 16);
  }
  return sums;
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
