#pragma once

#include "engine/operator.h"

namespace selfcompress::engine {

// concat of rows, or of columns.
std::unique_ptr<Step> prepareConcatPositions(const Preparation&, bool rows);

}  // namespace selfcompress::engine
