// Sums for mean and variance over some runs of vectors, of differences from a pivot: the mean of the first vector,
// which is near the others' where all of them are alike, and one value far from the rest moves it by a sixteenth only.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline PartialMoments moments(const float* plane, const MomentRun* runs, int count) {
  const F16 first = select(lanesBelow(runs[0].lanes), load(plane + runs[0].first), zero());
  const float pivot = sum(first) / float(runs[0].lanes);
  const F16 k = set(pivot);
  constexpr int kSums = 3;  // of each kind, so that additions need not wait for one another; more spill with AVX2
  F16 a[kSums], b[kSums];
  for (int i = 0; i < kSums; i++) a[i] = b[i] = zero();
  std::int32_t values = 0;
  const MomentRun *run = runs, *last = runs + count;
  for (; run != last && run->lanes == 16; run++) {
    const float *x = plane + run->first, *end = x + std::int64_t(run->vectors) * 16;
    for (; end - x >= kSums * 16; x += kSums * 16)
      for (int i = 0; i < kSums; i++) {
        F16 d = load(x + i * 16) - k;
        a[i] = a[i] + d;
        b[i] = fma(d, d, b[i]);
      }
    for (; x != end; x += 16) {
      F16 d = load(x) - k;
      a[0] = a[0] + d;
      b[0] = fma(d, d, b[0]);
    }
    values += run->vectors * 16;
  }
  for (; run != last; run++) {  // the last block of images
    const M16 used = lanesBelow(run->lanes);
    const float *x = plane + run->first, *end = x + std::int64_t(run->vectors) * 16;
    for (; x != end; x += 16) {
      F16 d = select(used, load(x) - k, zero());
      a[0] = a[0] + d;
      b[0] = fma(d, d, b[0]);
    }
    values += run->vectors * run->lanes;
  }
  for (int i = 1; i < kSums; i++) a[0] = a[0] + a[i], b[0] = b[0] + b[i];
  return {pivot, sum(a[0]), sum(b[0]), values};
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
