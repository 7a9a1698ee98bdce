// The geometry of a resize node.
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/resize.h"

namespace selfcompress {

ResizeGeometry resizeGeometry(const NodeContext&);

}  // namespace selfcompress
