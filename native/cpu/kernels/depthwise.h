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
  for (int p = 0; p < P; p++) sum[p] = set(a.bias);
  for (int i = first; i < last; i++) {
    const float* row =
        a.source +
        (std::int64_t(y * a.strideH + i * a.dilationH - a.padH) * a.sourceWidth + x * a.strideW - a.padW) * 16;
    for (int j = 0; j < a.kernelWidth; j++) {
      const F16 w = set(a.taps[i * a.kernelWidth + j]);
      for (int p = 0; p < P; p++) sum[p] = fma(w, load(row + (p * a.strideW + j * a.dilationW) * 16), sum[p]);
    }
  }
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

inline void depthwise(const DepthwisePlane& a) {
  const int span = (a.kernelWidth - 1) * a.dilationW;
  auto whole = [&](int x) { return x * a.strideW >= a.padW && x * a.strideW + span - a.padW < a.sourceWidth; };
  for (int y = 0; y < a.height; y++) {
    int first = 0, last = a.kernelHeight;
    while (first < last && y * a.strideH + first * a.dilationH < a.padH) first++;
    while (last > first && y * a.strideH + (last - 1) * a.dilationH - a.padH >= a.sourceHeight) last--;
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

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
