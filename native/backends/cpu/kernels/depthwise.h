// A convolution with one input channel for each output channel, one plane at a time: some neighbouring outputs of a row
// share the broadcast weight of a tap.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

inline void depthwiseStore(const DepthwisePlane& a, std::int64_t at, F16 v) {
  if (a.relu) v = vmax(zero(), v);
  if (a.mask) v = select(less(zero(), load(a.mask + at)), v, zero());
  if (a.accumulate) v = v + load(a.target + at);
  store(a.target + at, v);
}

// Outputs x to x + P - 1 of row y, whose taps all lie inside the image from left to right; tap rows [first, last) do.
template <int P>
inline void depthwiseTile(const DepthwisePlane& a, int y, int x, int first, int last) {
  F16 sum[P];
  SC_UNROLL
  for (int p = 0; p < P; p++) sum[p] = set(a.bias);
  for (int i = first; i < last; i++) {
    const float* row =
        a.source +
        (std::int64_t(y * a.strideH + i * a.dilationH - a.padH) * a.sourceWidth + x * a.strideW - a.padW) * 16;
    for (int j = 0; j < a.kernelWidth; j++) {
      const F16 w = set(a.taps[i * a.kernelWidth + j]);
      SC_UNROLL
      for (int p = 0; p < P; p++) sum[p] = fma(w, load(row + (p * a.strideW + j * a.dilationW) * 16), sum[p]);
    }
  }
  SC_UNROLL
  for (int p = 0; p < P; p++) depthwiseStore(a, (std::int64_t(y) * a.width + x + p) * 16, sum[p]);
}

// One output near the left or right border.
inline void depthwiseEdge(const DepthwisePlane& a, int y, int x, int first, int last) {
  F16 sum = set(a.bias);
  for (int i = first; i < last; i++)
    for (int j = 0; j < a.kernelWidth; j++) {
      int column = x * a.strideW + j * a.dilationW - a.padW;
      if (column < 0 || column >= a.sourceWidth) continue;
      std::int64_t at = std::int64_t(y * a.strideH + i * a.dilationH - a.padH) * a.sourceWidth + column;
      sum = fma(set(a.taps[i * a.kernelWidth + j]), load(a.source + at * 16), sum);
    }
  depthwiseStore(a, (std::int64_t(y) * a.width + x) * 16, sum);
}

// Neither stride nor dilation, K taps in a row: outputs x to x + P - 1 of row y. A column of the source is read once
// for all outputs that it belongs to.
template <int K, int P>
inline void depthwiseRun(const DepthwisePlane& a, int y, int x, int first, int last) {
  F16 sum[P];
  SC_UNROLL
  for (int p = 0; p < P; p++) sum[p] = set(a.bias);
  const int left = x - a.padW;
  SC_UNROLL
  for (int p = 0; p < P; p++) {  // what the next row needs
    prefetch(a.source + (std::int64_t(y + a.kernelHeight - a.padH) * a.sourceWidth + x + p) * 16);
    prefetchWrite(a.target + (std::int64_t(y + 1) * a.width + x + p) * 16);
  }
  for (int i = first; i < last; i++) {
    const float* row = a.source + (std::int64_t(y + i - a.padH) * a.sourceWidth + left) * 16;
    F16 w[K];
    SC_UNROLL
    for (int j = 0; j < K; j++) w[j] = set(a.taps[i * K + j]);
    SC_UNROLL
    for (int c = 0; c < P + K - 1; c++) {
      if (left + c < 0 || left + c >= a.sourceWidth) continue;
      F16 v = load(row + c * 16);
      pin(v);
      SC_UNROLL
      for (int j = 0; j < K; j++)
        if (c - j >= 0 && c - j < P) sum[c - j] = fma(w[j], v, sum[c - j]);
    }
  }
  SC_UNROLL
  for (int p = 0; p < P; p++) depthwiseStore(a, (std::int64_t(y) * a.width + x + p) * 16, sum[p]);
}
template <int K>
inline void depthwiseRow(const DepthwisePlane& a, int y, int first, int last) {
  int x = 0;
  for (; x + 8 <= a.width; x += 8) depthwiseRun<K, 8>(a, y, x, first, last);
  if (x + 4 <= a.width) depthwiseRun<K, 4>(a, y, x, first, last), x += 4;
  if (x + 2 <= a.width) depthwiseRun<K, 2>(a, y, x, first, last), x += 2;
  if (x < a.width) depthwiseRun<K, 1>(a, y, x, first, last);
}

inline void depthwise(const DepthwisePlane& a) {
  const bool plain = a.strideH == 1 && a.strideW == 1 && a.dilationH == 1 && a.dilationW == 1;
  const int span = (a.kernelWidth - 1) * a.dilationW;
  auto whole = [&](int x) { return x * a.strideW >= a.padW && x * a.strideW + span - a.padW < a.sourceWidth; };
  for (int y = 0; y < a.height; y++) {
    int first = 0, last = a.kernelHeight;
    while (first < last && y * a.strideH + first * a.dilationH < a.padH) first++;
    while (last > first && y * a.strideH + (last - 1) * a.dilationH - a.padH >= a.sourceHeight) last--;
    if (plain && a.kernelWidth == 3) {
      depthwiseRow<3>(a, y, first, last);
      continue;
    }
    if (plain && a.kernelWidth == 5) {
      depthwiseRow<5>(a, y, first, last);
      continue;
    }
    for (int x = 0; x < a.width;) {
      int run = 0;
      while (run < 8 && x + run < a.width && whole(x + run)) run++;
      if (run == 8) depthwiseTile<8>(a, y, x, first, last), x += 8;
      else if (run >= 4) depthwiseTile<4>(a, y, x, first, last), x += 4;
      else if (run >= 2) depthwiseTile<2>(a, y, x, first, last), x += 2;
      else if (run) depthwiseTile<1>(a, y, x, first, last), x++;
      else depthwiseEdge(a, y, x, first, last), x++;
    }
  }
}

// One row of the gradient against the K rows of the source that it has met, those that lie inside the image.
template <int K, bool kInside>
inline void depthwiseGradRow(const DepthwiseGrad& a, const float* source, const float* grad, int y, F16 (&sum)[K][K]) {
  const int top = y - a.padH;
  for (int x = 0; x < a.width; x++) {
    const F16 g = load(grad + (std::int64_t(y) * a.width + x) * 16);
    const float* corner = source + (std::int64_t(top) * a.sourceWidth + x - a.padW) * 16;
    prefetch(grad + (std::int64_t(y + 1) * a.width + x) * 16);
    prefetch(corner + (K * std::int64_t(a.sourceWidth) + a.padW) * 16);
    SC_UNROLL
    for (int j = 0; j < K; j++) {
      const int column = x - a.padW + j;
      if (column < 0 || column >= a.sourceWidth) continue;
      SC_UNROLL
      for (int i = 0; i < K; i++)
        if (kInside || (top + i >= 0 && top + i < a.sourceHeight))
          sum[i][j] = fma(g, load(corner + (i * std::int64_t(a.sourceWidth) + j) * 16), sum[i][j]);
    }
  }
}
template <int K>
inline void depthwiseGradOf(const DepthwiseGrad& a) {
  F16 taps[K][K];
  SC_UNROLL
  for (int i = 0; i < K; i++) {
    SC_UNROLL
    for (int j = 0; j < K; j++) taps[i][j] = zero();
  }
  for (int n = 0; n < a.blocks; n++) {
    const float *source = a.source + n * a.sourceStride, *grad = a.grad + n * a.gradStride;
    for (int y = 0; y < a.height; y++)
      if (y >= a.padH && y - a.padH + K <= a.sourceHeight) depthwiseGradRow<K, true>(a, source, grad, y, taps);
      else depthwiseGradRow<K, false>(a, source, grad, y, taps);
  }
  SC_UNROLL
  for (int i = 0; i < K; i++) {
    SC_UNROLL
    for (int j = 0; j < K; j++) a.gradTaps[i * K + j] = sum(taps[i][j]);
  }
}
inline void depthwiseGrad(const DepthwiseGrad& a) {
  if (a.kernel == 3) return depthwiseGradOf<3>(a);
  depthwiseGradOf<5>(a);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
