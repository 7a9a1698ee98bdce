// Sums for mean and variance over some runs of vectors, of differences from a pivot: the mean of the first vector,
// which is near the others' where all of them are alike, and one value far from the rest moves it by a sixteenth only.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline PartialMoments moments(const float* plane, const MomentRun* runs, int count) {
  const F16 first = select(lanesBelow(runs[0].lanes), load(plane + runs[0].first), zero());
  const float pivot = sum(first) / float(runs[0].lanes);
  const F16 k = set(pivot);
  F16 a0 = zero(), a1 = zero(), b0 = zero(), b1 = zero();
  std::int32_t values = 0;
  const MomentRun *run = runs, *last = runs + count;
  for (; run != last && run->lanes == 16; run++) {
    const float *x = plane + run->first, *end = x + std::int64_t(run->vectors) * 16;
    for (; end - x >= 32; x += 32) {
      F16 d0 = load(x) - k, d1 = load(x + 16) - k;
      a0 = a0 + d0;
      b0 = fma(d0, d0, b0);
      a1 = a1 + d1;
      b1 = fma(d1, d1, b1);
    }
    if (x != end) {
      F16 d = load(x) - k;
      a0 = a0 + d;
      b0 = fma(d, d, b0);
    }
    values += run->vectors * 16;
  }
  for (; run != last; run++) {  // the last block of images
    const M16 used = lanesBelow(run->lanes);
    const float *x = plane + run->first, *end = x + std::int64_t(run->vectors) * 16;
    for (; x != end; x += 16) {
      F16 d = select(used, load(x) - k, zero());
      a0 = a0 + d;
      b0 = fma(d, d, b0);
    }
    values += run->vectors * run->lanes;
  }
  return {pivot, sum(a0 + a1), sum(b0 + b1), values};
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
