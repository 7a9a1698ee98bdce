// subtract and divide; the second operand may have a single channel or position where the first has more.
#include <cmath>

#include "ops/elementwise/broadcast.h"
#include "ops/operators.h"

namespace selfcompress::ops {

const Operator subtract = [] {
  Operator op = binaryOperator<Binary::kSubtract>("subtract", [](const NodeContext&) {
    ChannelRule rule;
    rule.kind = ChannelRule::Kind::kSum, rule.factors = {1, -1};
    return rule;
  });
  op.constant = [](const NodeContext&, const NodeValues&, int, std::span<const Constant> in) -> MaybeConstant {
    return Constant{in[0].train - in[1].train, in[0].evaluate - in[1].evaluate};
  };
  return op;
}();

// A quotient is zero when the numerator is. The denominator's channels stay.
const Operator divide = [] {
  Operator op = binaryOperator<Binary::kDivide>("divide", [](const NodeContext&) {
    ChannelRule rule;
    rule.kind = ChannelRule::Kind::kProduct;
    rule.onlyFirst = true, rule.pinned = {1};
    return rule;
  });
  op.constant = [](const NodeContext&, const NodeValues&, int, std::span<const Constant> in) -> MaybeConstant {
    if (in[0].isZero()) return in[0];
    const Constant result{in[0].train / in[1].train, in[0].evaluate / in[1].evaluate};
    if (!std::isfinite(result.train) || !std::isfinite(result.evaluate)) return std::nullopt;
    return result;
  };
  return op;
}();

}  // namespace selfcompress::ops
