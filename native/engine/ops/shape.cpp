// flatten and concat.
#include <algorithm>

#include "engine/operator.h"
#include "engine/ops/rearranging.h"

namespace selfcompress::engine {
namespace {

// Features are in the order [channels][positions]; with channels innermost that is a transposition.
class Flatten final : public Step {
 public:
  explicit Flatten(const Preparation& p) : shape_(p.context.inputs[0].folded()) {}
  void run(const Run& r) const override {
    const Planes s = planesOf(shape_, r.layout);
    if (r.layout == Layout::kLanes) {
      std::copy_n(r.inputs[0], shape_.elements() * kBlock, r.output);
      return;
    }
    const std::int64_t positions = s.height * s.width;
    for (std::int64_t p = 0; p < positions; p++)
      for (std::int64_t c = 0; c < s.inner; c++) r.output[c * positions + p] = r.inputs[0][p * s.inner + c];
  }

 private:
  Shape shape_;
};

class Concat final : public Step {
 public:
  explicit Concat(const Preparation& p) : output_(p.context.output.folded()) {
    for (const Axes& in : p.context.inputs) channels_.push_back(in.channels);
  }
  void run(const Run& r) const override {
    const std::int64_t positions = output_.pixels();
    std::int64_t first = 0;
    for (std::size_t k = 0; k < channels_.size(); k++) {
      const std::int64_t count = channels_[k];
      if (r.layout == Layout::kLanes) {
        std::copy_n(r.inputs[k], count * positions * kBlock, r.output + first * positions * kBlock);
      } else {
        for (std::int64_t p = 0; p < positions; p++)
          std::copy_n(r.inputs[k] + p * count, count, r.output + p * output_.channels + first);
      }
      first += count;
    }
  }

 private:
  Shape output_;
  std::vector<int> channels_;
};

}  // namespace

namespace ops {
extern const EngineOperator flatten, concat;
const EngineOperator flatten = [] {
  EngineOperator op;
  op.kind = "flatten", op.flattens = true;
  op.prepare = [](const Preparation& p) -> std::unique_ptr<Step> { return std::make_unique<Flatten>(p); };
  return op;
}();
const EngineOperator concat{"concat", [](const Preparation& p) -> std::unique_ptr<Step> {
                              const int axis = p.context.node.integer("axis");  // channels, rows, columns
                              if (axis > 0) return prepareConcatPositions(p, axis == 1);
                              return std::make_unique<Concat>(p);
                            }};
}  // namespace ops

}  // namespace selfcompress::engine
