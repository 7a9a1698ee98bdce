// multiply: the product of two tensors, a gate. One may have a single channel or position where the other has more
// (squeeze-excite: {C,1,1} with {C,H,W}).
#include "ops/elementwise/broadcast.h"
#include "ops/operators.h"

namespace selfcompress::ops {

const Operator multiply = binaryOperator<Binary::kMultiply>("multiply", [](const NodeContext&) {
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kProduct;
  return rule;
});

}  // namespace selfcompress::ops
