// Which kernel taps meet the image at each coordinate of one axis, for the forward pass and for the data gradient.
#pragma once

#include <vector>

#include "selfcompress/ops/conv2d.h"

namespace selfcompress::cpu {

struct AxisTap {
  int tap;     // kernel index
  int offset;  // source coordinate relative to the first tap's
};
// Coordinates that share one list of valid taps.
struct AxisClass {
  std::vector<AxisTap> taps;
};
struct Axis {
  std::vector<AxisClass> classes;
  std::vector<int> classOf;  // per target coordinate
  std::vector<int> base;     // source coordinate of the first valid tap (0 if there is none)
};

// `source(position, tap)` is the source coordinate, or -1 if the tap meets nothing.
template <class Source>
Axis makeAxis(int positions, int taps, Source source) {
  Axis axis;
  axis.classOf.resize(std::size_t(positions));
  axis.base.resize(std::size_t(positions));
  for (int p = 0; p < positions; p++) {
    AxisClass here;
    int first = 0;
    for (int k = 0; k < taps; k++) {
      int at = source(p, k);
      if (at < 0) continue;
      if (here.taps.empty()) first = at;
      here.taps.push_back({k, at - first});
    }
    std::size_t c = 0;
    for (; c < axis.classes.size(); c++) {
      const auto& known = axis.classes[c].taps;
      bool same = known.size() == here.taps.size();
      for (std::size_t i = 0; same && i < known.size(); i++)
        same = known[i].tap == here.taps[i].tap && known[i].offset == here.taps[i].offset;
      if (same) break;
    }
    if (c == axis.classes.size()) axis.classes.push_back(here);
    axis.classOf[std::size_t(p)] = int(c);
    axis.base[std::size_t(p)] = first;
  }
  return axis;
}

inline Axis forwardAxis(int outSize, int inSize, int kernel, int stride, int pad, int dilation) {
  return makeAxis(outSize, kernel, [=](int p, int k) {
    int at = p * stride + k * dilation - pad;
    return at >= 0 && at < inSize ? at : -1;
  });
}

inline Axis gradInputAxis(int inSize, int outSize, int kernel, int stride, int pad, int dilation) {
  return makeAxis(inSize, kernel, [=](int p, int k) {
    int at = p + pad - k * dilation;
    return at >= 0 && at % stride == 0 && at / stride < outSize ? at / stride : -1;
  });
}

}  // namespace selfcompress::cpu
