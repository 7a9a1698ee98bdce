// The window of a maxPool or averagePool node.
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/pooling.h"

namespace selfcompress {

PoolGeometry poolGeometry(const NodeContext&);

}  // namespace selfcompress
