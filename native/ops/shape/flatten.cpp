// flatten: all elements as one vector. In the layout of training the bytes are the same.
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress::ops {
namespace {

Axes infer(const NodeContext& c) {
  if (c.inputs[0].elements() > INT32_MAX)
    failDescription("at most 2^31 - 1 features", c.node.where("inputs"), c.inputs[0].text());
  return Axes::vector(int(c.inputs[0].elements()));
}

ChannelRule channels(const NodeContext& c) {
  ChannelRule rule;
  rule.parts = {{0, 0, c.inputs[0].channels, int(c.inputs[0].positionCount())}};
  return rule;
}

}  // namespace

const Operator flatten = [] {
  Operator op;
  op.kind = "flatten";
  op.fusion.alias = true;
  op.infer = infer, op.channels = channels;
  return op;
}();

}  // namespace selfcompress::ops
