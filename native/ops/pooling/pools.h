// The windows of pooling nodes.
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/pooling.h"

namespace selfcompress {

// Of maxPool and averagePool; of the global ones: all positions; of meanPositions: all of the chosen axes, nothing of
// the others.
PoolGeometry poolGeometry(const NodeContext&);
PoolGeometry wholePositions(const NodeContext&);
PoolGeometry chosenPositions(const NodeContext&);

}  // namespace selfcompress
