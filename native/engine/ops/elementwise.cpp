// Functions of every element by itself. dropout does nothing in evaluation.
#include "engine/ops/view.h"
#include "ops/activation/functions.h"

namespace selfcompress::engine {
namespace {

// `alpha` and `beta`: the function's numbers are in these fields; "": it has none.
template <Activation kind, const char* alpha, const char* beta>
class Activate final : public Step {
 public:
  explicit Activate(const Preparation& p) : shape_(p.context.output.folded()) {
    if (*alpha) alpha_ = double(float(p.context.node.number(alpha)));
    if (*beta) beta_ = double(float(p.context.node.number(beta)));
  }
  void run(const Run& r) const override {
    const std::int64_t count = elementsOf(shape_, r.layout);
    const float* input = r.inputs[0];
    for (std::int64_t i = 0; i < count; i++) {
      const float x = input[i];
      if constexpr (kind == Activation::kRelu) r.output[i] = x < 0 ? 0.0f : x;
      else r.output[i] = float(activationOf(kind, double(x), alpha_, beta_));
    }
  }

 private:
  Shape shape_;
  double alpha_ = 0, beta_ = 0;
};

constexpr char kNone[] = "", kSlope[] = "slope", kOffset[] = "offset", kLow[] = "low", kHigh[] = "high",
               kAlpha[] = "alpha", kScale[] = "scale";

template <Activation kind, const char* alpha = kNone, const char* beta = kNone>
EngineOperator function(const char* name) {
  return everyPosition({name, prepareStep<Activate<kind, alpha, beta>>});
}

// x where x > 0, else a slope times x.
class PRelu final : public Step {
 public:
  explicit PRelu(const Preparation& p) : shape_(p.context.output.folded()), slope_(p.tensors.floats(Role::kSlope)) {}
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    forElements(shape_, r.layout, [&](std::int64_t c, std::int64_t position) {
      const float slope = slope_[slope_.size() == 1 ? 0 : std::size_t(c)];
      const std::int64_t first = view.at(c, position);
      for (std::int64_t i = first; i < first + view.lanes; i++) {
        const float x = r.inputs[0][i];
        r.output[i] = x > 0 ? x : slope * x;
      }
    });
  }
  std::size_t weightBytes() const override { return slope_.size() * sizeof(float); }

 private:
  Shape shape_;
  std::vector<float> slope_;
};

}  // namespace

namespace ops {
extern const EngineOperator relu, gelu, silu, dropout, sigmoid, geluTanh, tanh, hardSigmoid, hardSwish, leakyRelu, clip,
    elu, softplus, exp, log, sqrt, abs, square, reciprocal, affine, prelu;
const EngineOperator relu = [] {
  EngineOperator e = function<Activation::kRelu>("relu");
  e.isRelu = true;
  return e;
}();
const EngineOperator gelu = function<Activation::kGelu>("gelu");
const EngineOperator silu = function<Activation::kSilu>("silu");
const EngineOperator dropout = everyPosition({"dropout"});
const EngineOperator sigmoid = function<Activation::kSigmoid>("sigmoid");
const EngineOperator geluTanh = function<Activation::kGeluTanh>("geluTanh");
const EngineOperator tanh = function<Activation::kTanh>("tanh");
const EngineOperator hardSigmoid = function<Activation::kHardSigmoid, kSlope, kOffset>("hardSigmoid");
const EngineOperator hardSwish = function<Activation::kHardSwish>("hardSwish");
const EngineOperator leakyRelu = function<Activation::kLeakyRelu, kSlope>("leakyRelu");
const EngineOperator clip = function<Activation::kClip, kLow, kHigh>("clip");
const EngineOperator elu = function<Activation::kElu, kAlpha>("elu");
const EngineOperator softplus = function<Activation::kSoftplus>("softplus");
const EngineOperator exp = function<Activation::kExp>("exp");
const EngineOperator log = function<Activation::kLog>("log");
const EngineOperator sqrt = function<Activation::kSqrt>("sqrt");
const EngineOperator abs = function<Activation::kAbs>("abs");
const EngineOperator square = function<Activation::kSquare>("square");
const EngineOperator reciprocal = function<Activation::kReciprocal>("reciprocal");
const EngineOperator affine = function<Activation::kAffine, kScale, kOffset>("affine");
const EngineOperator prelu = everyPosition({"prelu", prepareStep<PRelu>});
}  // namespace ops

}  // namespace selfcompress::engine
