// The geometry of lstm and gru nodes.
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/recurrent.h"

namespace selfcompress {

RecurrentGeometry lstmGeometry(const NodeContext&);
RecurrentGeometry gruGeometry(const NodeContext&);

}  // namespace selfcompress
