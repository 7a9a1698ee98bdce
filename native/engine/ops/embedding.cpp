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
  std::int64_t scratchFloats(Layout) const override { return keep_ ? 0 : panelFloats() + weights_.perChannel(); }
  std::size_t weightBytes() const override { return weights_.bytes(); }
  std::size_t panelBytes() const override { return panel_.bytes(); }

 protected:
  // [rows][channels]
  const float* rows(const Run& r) const {
    return panel_.get(keep_, panelFloats(), r.scratch, [&](float* panel) {
      std::vector<float> own(keep_ ? std::size_t(weights_.perChannel()) : 0);
      float* const row = keep_ ? own.data() : r.scratch + panelFloats();
      for (std::int64_t c = 0; c < weights_.channels(); c++) {
        weights_.unpack(c, row);
        for (std::int64_t i = 0; i < weights_.perChannel(); i++) panel[i * weights_.channels() + c] = row[i];
      }
    });
  }
  std::int64_t panelFloats() const { return weights_.channels() * weights_.perChannel(); }
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
    const float* table = rows(r);
    for (std::int64_t p = 0; p < shape_.pixels(); p++)
      for (int lane = 0; lane < view.lanes; lane++) {
        const float* row = table + std::int64_t(r.inputs[0][p * view.lanes + lane]) * shape_.channels;
        for (int c = 0; c < shape_.channels; c++) r.output[view.at(c, p) + lane] = row[c];
      }
  }
};

class Parameter final : public Table {
 public:
  using Table::Table;
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    const float* table = rows(r);
    forElements(shape_, r.layout, [&](std::int64_t c, std::int64_t p) {
      std::fill_n(r.output + view.at(c, p), view.lanes, table[(r.position + p) * shape_.channels + c]);
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
