// The network that a model file describes: its structure (native/model) read with the table of operators.
#pragma once

#include "graph/description.h"
#include "model/structure.h"

namespace selfcompress {

// Nodes without a name get the one of model::defaultNames. Throws model::ModelFileError for unknown kinds, fields and
// values of fields, and DescriptionError for values out of their range.
NetworkDescription networkOf(const model::Structure&);

}  // namespace selfcompress
