// add, subtract, multiply, divide: of two values of which one may have a single channel or position.
#include "engine/ops/view.h"
#include "ops/elementwise/broadcast.h"

namespace selfcompress::engine {
namespace {

// A numerator whose channel has died makes zeros, whatever it is divided by; that it is zero is all that a file says.
template <Binary kind>
float apply(float a, float b) {
  if constexpr (kind == Binary::kAdd) return a + b;
  if constexpr (kind == Binary::kSubtract) return a - b;
  if constexpr (kind == Binary::kMultiply) return a * b;
  return a == 0 && b == 0 ? 0.0f : a / b;
}

template <Binary kind>
class Arithmetic final : public Step {
 public:
  explicit Arithmetic(const Preparation& p)
      : shape_(p.context.output.folded()), broadcast_(broadcastOf(p.context, commutes(kind))), relu_(p.epilogue.relu) {}

  void run(const Run& r) const override {
    const float *a = r.inputs[std::size_t(broadcast_.whole)], *b = r.inputs[std::size_t(1 - broadcast_.whole)];
    const Operand& operand = broadcast_.operand;
    if (!operand.oneChannel && !operand.onePosition) {
      const std::int64_t count = elementsOf(shape_, r.layout);
      if constexpr (kind == Binary::kAdd) return sums(r, a, b, count);
      for (std::int64_t i = 0; i < count; i++) r.output[i] = last(apply<kind>(a[i], b[i]));
      return;
    }
    const View view = viewOf(shape_, r.layout), other = viewOf(operand.of(shape_), r.layout);
    forElements(shape_, r.layout, [&](std::int64_t c, std::int64_t p) {
      const std::int64_t i = view.at(c, p), k = other.at(operand.oneChannel ? 0 : c, operand.onePosition ? 0 : p);
      for (int lane = 0; lane < view.lanes; lane++) r.output[i + lane] = last(apply<kind>(a[i + lane], b[k + lane]));
    });
  }

 private:
  void sums(const Run& r, const float* a, const float* b, std::int64_t count) const {
    const int parts = count < kWorthSharing.added ? 1 : r.parallel.threads;
    r.parallel.ranges(count, parts, [&](std::int64_t first, std::int64_t last) {
      r.kernels.sums({a + first, b + first, r.output + first, last - first, relu_});
    });
  }
  float last(float v) const { return relu_ && v < 0 ? 0.0f : v; }

  Shape shape_;
  Broadcast broadcast_;
  bool relu_;
};

template <Binary kind>
EngineOperator arithmetic(const char* name) {
  EngineOperator e = everyPosition({name, prepareStep<Arithmetic<kind>>});
  e.takes = EngineOperator::Takes::kRelu;
  return e;
}

}  // namespace

namespace ops {
extern const EngineOperator add, subtract, multiply, divide;
const EngineOperator add = [] {
  EngineOperator e = arithmetic<Binary::kAdd>("add");
  e.isSum = true;
  return e;
}();
const EngineOperator subtract = arithmetic<Binary::kSubtract>("subtract");
const EngineOperator multiply = arithmetic<Binary::kMultiply>("multiply");
const EngineOperator divide = arithmetic<Binary::kDivide>("divide");
}  // namespace ops

}  // namespace selfcompress::engine
