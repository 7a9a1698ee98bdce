// embedding: a row of a table for every token. parameter: a tensor of its own, the same for every example. Both are
// tables [channels][rows].
#include <algorithm>

#include "engine/ops/view.h"
#include "engine/panel.h"
#include "engine/weights.h"

namespace selfcompress::engine {
namespace {

class Table : public Step {
 public:
  explicit Table(const Preparation& p)
      : shape_(p.context.output.folded()), weights_(p.tensors, p.factors), keep_(p.keepPanels) {}
  std::size_t weightBytes() const override { return weights_.bytes(); }
  std::size_t panelBytes() const override { return panel_.bytes(); }

 protected:
  // Elements of the table, [rows][channels], from floats that are kept or from codes. element(row, channel)
  template <class Use>
  void use(Use useElements) const {
    const std::int64_t channels = weights_.channels();
    if (!keep_) {
      useElements([&](std::int64_t row, std::int64_t c) {
        float value = 0;
        weights_.unpack(c, row, 1, &value);
        return value;
      });
      return;
    }
    const float* table = panel_.get(true, channels * weights_.perChannel(), nullptr, [&](float* panel) {
      std::vector<float> values(std::size_t(weights_.perChannel()));
      for (std::int64_t c = 0; c < channels; c++) {
        weights_.unpack(c, values.data());
        for (std::size_t i = 0; i < values.size(); i++) panel[std::int64_t(i) * channels + c] = values[i];
      }
    });
    useElements([&](std::int64_t row, std::int64_t c) { return table[row * channels + c]; });
  }
  Shape shape_;
  Weights weights_;

 private:
  bool keep_;
  Panel panel_;
};

// Model::predict has seen to it that tokens have rows.
class Embedding final : public Table {
 public:
  using Table::Table;
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    use([&](auto element) {
      for (std::int64_t p = 0; p < shape_.pixels(); p++)
        for (int lane = 0; lane < view.lanes; lane++) {
          const auto token = std::int64_t(r.inputs[0][p * view.lanes + lane]);
          for (int c = 0; c < shape_.channels; c++) r.output[view.at(c, p) + lane] = element(token, c);
        }
    });
  }
};

class Parameter final : public Table {
 public:
  using Table::Table;
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    use([&](auto element) {
      forElements(shape_, r.layout, [&](std::int64_t c, std::int64_t p) {
        std::fill_n(r.output + view.at(c, p), view.lanes, element(r.position + p, c));
      });
    });
  }
};

}  // namespace

namespace ops {
extern const EngineOperator embedding, parameter;
const EngineOperator embedding = everyPosition({"embedding", prepareStep<Embedding>});
const EngineOperator parameter = everyPosition({"parameter", prepareStep<Parameter>});
}  // namespace ops

}  // namespace selfcompress::engine
