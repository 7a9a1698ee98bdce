// What holds for single layers of a network in training.
#pragma once

#include <vector>

#include "graph/description.h"

namespace selfcompress {

// The rule of every node, by its index. A name that no node has is a DescriptionError.
std::vector<LayerRule> layerRules(const NetworkDescription&, const NetworkOptions&);

}  // namespace selfcompress
