// Operations on every element by itself: add, relu, gelu, silu. dropout does nothing in evaluation.
#include "engine/operator.h"
#include "ops/activation/functions.h"

namespace selfcompress::engine {
namespace {

std::int64_t elementsOf(Shape s, Layout layout) { return s.elements() * imagesOf(layout); }

class Add final : public Step {
 public:
  explicit Add(const Preparation& p) : shape_(p.context.output.folded()), relu_(p.epilogue.relu) {}
  void run(const Run& r) const override {
    const std::int64_t count = elementsOf(shape_, r.layout);
    const float *a = r.inputs[0], *b = r.inputs[1];
    for (std::int64_t i = 0; i < count; i++) {
      const float sum = a[i] + b[i];
      r.output[i] = relu_ && sum < 0 ? 0.0f : sum;
    }
  }

 private:
  Shape shape_;
  bool relu_;
};

template <Activation kind>
class Activate final : public Step {
 public:
  explicit Activate(const Preparation& p) : shape_(p.context.output.folded()) {}
  void run(const Run& r) const override {
    const std::int64_t count = elementsOf(shape_, r.layout);
    for (std::int64_t i = 0; i < count; i++) {
      const float x = r.inputs[0][i];
      if constexpr (kind == Activation::kRelu) r.output[i] = x < 0 ? 0.0f : x;
      else r.output[i] = float(activationOf(kind, double(x), 0, 0));
    }
  }

 private:
  Shape shape_;
};

template <class Made>
std::unique_ptr<Step> prepare(const Preparation& p) {
  return std::make_unique<Made>(p);
}

}  // namespace

namespace ops {
extern const EngineOperator add, relu, gelu, silu, dropout;
const EngineOperator add = [] {
  EngineOperator e{"add", prepare<Add>};
  e.takes = EngineOperator::Takes::kRelu;
  return e;
}();
const EngineOperator relu = [] {
  EngineOperator e{"relu", prepare<Activate<Activation::kRelu>>};
  e.isRelu = true;
  return e;
}();
const EngineOperator gelu{"gelu", prepare<Activate<Activation::kGelu>>};
const EngineOperator silu{"silu", prepare<Activate<Activation::kSilu>>};
const EngineOperator dropout{"dropout"};
}  // namespace ops

}  // namespace selfcompress::engine
