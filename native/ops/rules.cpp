#include "ops/rules.h"

namespace selfcompress {

Axes sameAxes(const NodeContext& c) { return c.inputs[0]; }

ChannelRule sameChannels(const NodeContext& c) {
  ChannelRule rule;
  rule.parts = {{0, 0, c.inputs[0].channels, 1}};
  return rule;
}

void checkWindow(const NodeContext& c, Shape in, std::array<int, 2> kernel, std::array<int, 2> padding,
                 std::array<int, 2> dilation, Shape out) {
  auto text = [](std::array<int, 2> p) { return std::to_string(p[0]).append("x").append(std::to_string(p[1])); };
  for (std::size_t axis = 0; axis < 2; axis++) {
    std::int64_t size = axis ? in.width : in.height, reach = std::int64_t(dilation[axis]) * (kernel[axis] - 1) + 1;
    if (reach > size + 2 * std::int64_t(padding[axis]))
      failDescription("a kernel that fits its padded input " + c.inputs[0].text(), c.node.where("kernel"),
                      text(kernel) + " (padding " + text(padding) + ", dilation " + text(dilation) + ")");
  }
  if (out.height < 1 || out.width < 1)
    failDescription("an output of at least 1x1 pixels", c.node.where("kernel"), text({out.height, out.width}));
}

Axes windowed(const NodeContext& c, const Axes& in, Shape out) {
  if (in.rank > 2) failDescription("an input of at most two axes of positions", c.node.where("inputs"), in.text());
  Axes axes = in.withChannels(out.channels);
  if (in.rank == 1 && out.height == 1) return axes.withPositions({out.width});
  return axes.withPositions({out.height, out.width});
}

}  // namespace selfcompress
