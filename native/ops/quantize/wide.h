// The quantizer of a channel whose constants are no normal floats: the same equations in double precision, for the
// processor and for CUDA kernels. Such channels are rare, and slower.
#pragma once

#include <math.h>

#include <cstdint>

#include "selfcompress/host_device.h"
#include "selfcompress/ops/quantize.h"

namespace selfcompress {

// Whether a live channel's constants leave the range in which floats do: 2^e and 2^-e have to be normal numbers,
// 2^(b-1) and q finite. Spoilt channels are wide as well.
SELFCOMPRESS_HOST_DEVICE inline bool isWide(float bitDepth, float exponent) {
  return !(exponent >= -100 && exponent <= 100 && bitDepth <= 128);
}

struct WideRange {
  double inverse, scale, low, high;  // 2^-e, 2^e, -2^(b-1), 2^(b-1) - 1
  double clipSlope;                  // ln2 * 2^e * 2^(b-1)
};

// Doubles hold 2^e for all e that matter. Every float is a multiple of 2^-149, so steps below that round nothing: under
// e = -200 the quantizer only clips, at 2^(e+b-1), and e may be raised by what b is lowered by. Over e = 500 every code
// is 0 or what clipping makes of 0. No |u| reaches 2^499, so larger b clip nothing either.
SELFCOMPRESS_HOST_DEVICE inline WideRange wideRange(float bitDepth, float exponent) {
  double b = bitDepth, e = exponent;
  if (isSpoilt(bitDepth, exponent)) b = e = NAN;
  const double slope = 0.693147180559945309417232 * exp2(b + e - 1 > 1000 ? 1000 : b + e - 1);
  if (e < -200) {
    const double lowered = b + e + 200;
    if (lowered > 1) b = lowered;
    else if (b > 1) b = 1;  // clips at less than any float; below 1, b says on which side of hi 0 is
    e = -200;
  }
  if (e > 500) e = 500;
  if (b > 500) b = 500;
  const double half = exp2(b - 1);
  return {exp2(-e), exp2(e), -half, half - 1, slope};
}

SELFCOMPRESS_HOST_DEVICE inline double wideQuantized(float w, const WideRange& r) {  // NaN stays NaN
  const double u = double(w) * r.inverse;
  return r.scale * rint(u < r.low ? r.low : u > r.high ? r.high : u);
}

// dL/dw of one weight; adds to the sums of dL/db and dL/de. A spoilt channel's are all NaN.
struct WideBackward {
  WideRange range;
  double bitDepth = 0, exponent = 0;
  SELFCOMPRESS_HOST_DEVICE float operator()(float w, float g) {
    const double u = double(w) * range.inverse, q = wideQuantized(w, range);
    const bool below = u<range.low, above = u> range.high, spoilt = range.scale != range.scale;
    bitDepth += double(g) * (above ? range.clipSlope : below ? -range.clipSlope : spoilt ? range.clipSlope : 0.0);
    exponent += double(g) * 0.693147180559945309417232 * (below || above ? q : q - double(w));
    return below || above ? 0.0f : spoilt ? float(range.scale) : g;
  }
};

}  // namespace selfcompress
