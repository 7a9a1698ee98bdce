// A network description as words on lines, as scripts/cuda/networks.mjs writes it.
#pragma once

#include <istream>

#include "graph/description.h"

namespace selfcompress::bench {

// Lines up to "end":
//     input C H W
//     node KIND NAME KEY VALUE...      inputs a,b   kernel 3,3   stride 1,1   ...   bias 0   compress 1
//     output NAME
// Throws std::runtime_error for a line that is none of these.
NetworkDescription readNetwork(std::istream&);

}  // namespace selfcompress::bench
