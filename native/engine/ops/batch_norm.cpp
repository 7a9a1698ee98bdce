// batchNorm in evaluation: a factor and a shift per channel. Behind a convolution it is part of that.
#include <cmath>

#include "engine/operator.h"

namespace selfcompress::engine {
namespace {

float reluOf(float x) { return x < 0 ? 0.0f : x; }

// A file stores the norm with a mean of 0 and a deviation of 1 (toFile of the table's entry), or without either.
void affineOf(const Tensors& tensors, std::vector<float>& scale, std::vector<float>& shift) {
  scale = tensors.floats(Role::kNormWeight), shift = tensors.floats(Role::kNormBias);
  if (!scale.empty()) return;
  const std::size_t channels = std::size_t(tensors.find(Role::kRunningMean)->axes[0].size);
  scale.assign(channels, 1.0f), shift.assign(channels, 0.0f);
}

class ScaleShift final : public Step {
 public:
  explicit ScaleShift(const Preparation& p) : shape_(p.context.output.folded()), relu_(p.epilogue.relu) {
    affineOf(p.tensors, scale_, shift_);
  }
  void run(const Run& r) const override {
    const Planes s = planesOf(shape_, r.layout);
    const float* from = r.inputs[0];
    float* to = r.output;
    if (r.layout == Layout::kNhwc) {
      for (std::int64_t p = 0; p < s.height * s.width; p++, from += s.inner, to += s.inner)
        for (std::int64_t c = 0; c < s.inner; c++)
          to[c] = finish(from[c] * scale_[std::size_t(c)] + shift_[std::size_t(c)]);
      return;
    }
    const std::int64_t plane = s.height * s.width * s.inner;
    for (std::int64_t c = 0; c < s.outer; c++, from += plane, to += plane)
      for (std::int64_t i = 0; i < plane; i++)
        to[i] = finish(from[i] * scale_[std::size_t(c)] + shift_[std::size_t(c)]);
  }
  std::size_t weightBytes() const override { return (scale_.size() + shift_.size()) * sizeof(float); }

 private:
  float finish(float x) const { return relu_ ? reluOf(x) : x; }
  Shape shape_;
  bool relu_;
  std::vector<float> scale_, shift_;
};

}  // namespace

namespace ops {
extern const EngineOperator batchNorm;
const EngineOperator batchNorm = [] {
  EngineOperator e = everyPosition({"batchNorm"});
  e.prepare = [](const Preparation& p) -> std::unique_ptr<Step> { return std::make_unique<ScaleShift>(p); };
  e.takes = EngineOperator::Takes::kRelu, e.affine = affineOf;
  return e;
}();
}  // namespace ops

}  // namespace selfcompress::engine
