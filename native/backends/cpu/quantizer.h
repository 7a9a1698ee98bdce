// The quantizer's constants of one live output channel, as the kernels take them (quantize.cpp).
#pragma once

#include "cpu/kernels.h"

namespace selfcompress::cpu {

QuantizeChannel quantizeChannel(float bitDepth, float exponent);

}  // namespace selfcompress::cpu
