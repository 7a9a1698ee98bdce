#include "ops/attention/heads.h"

#include <cmath>

namespace selfcompress {
namespace {

// Given sizes, or equal shares of the channels.
std::vector<int> sizesOf(const NodeContext& c, const char* field, int channels, int heads) {
  std::vector<int> sizes = c.node.list(field);
  if (!sizes.empty()) {
    if (int(sizes.size()) != heads)
      failDescription("one size for each of the " + std::to_string(heads) + " key heads", c.node.where(field),
                      std::to_string(sizes.size()));
    return sizes;
  }
  if (channels % heads)
    failDescription("a number of key heads that divides " + std::to_string(channels) + " channels",
                    c.node.where("keyHeads"), std::to_string(heads));
  sizes.assign(std::size_t(heads), channels / heads);
  return sizes;
}

void checkTotal(const NodeContext& c, std::size_t input, const char* what, int total) {
  if (c.inputs[input].channels != total)
    failDescription(std::to_string(total) + " channels of " + what, c.node.where("inputs"), c.inputs[input].text());
}

}  // namespace

HeadLayout headLayout(const NodeContext& c) {
  HeadLayout h;
  h.heads = c.node.integer("heads"), h.keyHeads = c.node.integer("keyHeads");
  if (h.heads % h.keyHeads)
    failDescription("a divisor of the " + std::to_string(h.heads) + " heads", c.node.where("keyHeads"),
                    std::to_string(h.keyHeads));
  h.size = sizesOf(c, "headSizes", c.inputs[1].channels, h.keyHeads);
  h.valueSize = sizesOf(c, "valueSizes", c.inputs[2].channels, h.keyHeads);
  for (std::size_t k = 0; k < h.size.size(); k++) {
    h.keyFirst.push_back(h.keyChannels), h.keyChannels += h.size[k];
    h.valueFirst.push_back(h.valueChannels), h.valueChannels += h.valueSize[k];
    for (int s = 0; s < h.sharing(); s++) {
      h.queryFirst.push_back(h.queryChannels), h.queryChannels += h.size[k];
      h.outputFirst.push_back(h.outputChannels), h.outputChannels += h.valueSize[k];
    }
    if (double(h.outputChannels) > kMostAttentionChannels || double(h.queryChannels) > kMostAttentionChannels)
      failDescription("at most 2^24 channels", c.node.where("heads"), std::to_string(h.heads) + " heads");
  }
  checkTotal(c, 0, "queries", h.queryChannels);
  checkTotal(c, 1, "keys", h.keyChannels);
  checkTotal(c, 2, "values", h.valueChannels);
  h.scale = c.node.number("scale");
  if (h.scale == 0) {
    if (!c.node.list("headSizes").empty()) failDescription("a scale beside sizes of heads", c.node.where("scale"), "0");
    h.scale = 1 / std::sqrt(double(h.size[0]));
  }
  return h;
}

}  // namespace selfcompress
