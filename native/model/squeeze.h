// Rate-aware rounding: codes give way to others near them that take fewer bits, where that costs little.
#pragma once

#include <cstdint>

#include "model/tensor.h"

namespace selfcompress::model {

// codes[channels][perChannel] -> output, which may be codes. Element i takes the value v for which
//   cost[i] * (v - code)^2 + lambda * bits(v)
// is least, lambda >= 0, among values from 0 to one step beyond its code that its channel's extremes hold, so that
// depths do not grow; zeros stay. Bits are those of "range" at this place of the stream, after what was chosen before
// it.
void squeezeCodes(const RowShape& shape, const std::int32_t* codes, const float* cost, double lambda,
                  std::int32_t* output);

}  // namespace selfcompress::model
