// A convolution, which linear layers are as well: a kernel as large as the image, or of one place.
#pragma once

#include "engine/operator.h"
#include "engine/weights.h"
#include "selfcompress/ops/conv2d.h"

namespace selfcompress::engine {

std::unique_ptr<Step> makeConvolution(const Preparation&, const Conv2dGeometry&, Weights);

}  // namespace selfcompress::engine
