#include "train/layer_rules.h"

#include <unordered_map>

#include "base/errors.h"

namespace selfcompress {

std::vector<LayerRule> layerRules(const NetworkDescription& network, const NetworkOptions& options) {
  std::vector<LayerRule> rules(network.nodes.size());
  if (options.layers.empty()) return rules;
  std::unordered_map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < network.nodes.size(); i++) index[network.nodes[i].name] = i;
  for (std::size_t i = 0; i < options.layers.size(); i++) {
    const LayerRule& rule = options.layers[i];
    auto node = index.find(rule.name);
    if (node == index.end())
      throw DescriptionError("Expected the name of a node for options.layers[" + std::to_string(i) +
                             "].name but received \"" + rule.name + "\"");
    rules[node->second] = rule;
  }
  return rules;
}

}  // namespace selfcompress
