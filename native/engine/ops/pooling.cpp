// maxPool, averagePool, globalAveragePool, globalMaxPool, meanPositions; and meanChannels.
#include "ops/pooling/pools.h"

#include <algorithm>

#include "engine/ops/view.h"

namespace selfcompress::engine {
namespace {

class Pooling final : public Step {
 public:
  Pooling(Pool kind, const PoolGeometry& g) : kind_(kind), g_(g) {}

  void run(const Run& r) const override {
    const Planes in = planesOf(g_.input, r.layout), out = planesOf(g_.output(), r.layout);
    const std::int64_t inPlane = in.height * in.width * in.inner;
    const std::int64_t rows = out.outer * out.height;
    const int parts = in.outer * inPlane < kWorthSharing.pooled ? 1 : r.parallel.threads;
    r.parallel.ranges(rows, parts, [&](std::int64_t row, std::int64_t last) {
      for (; row < last; row++) {
        const float* from = r.inputs[0] + row / out.height * inPlane;
        float* to = r.output + row * out.width * out.inner;
        for (std::int64_t x = 0; x < out.width; x++, to += out.inner)
          window(from, in, int(row % out.height), int(x), to);
      }
    });
  }

 private:
  // As in training: a NaN beats every number, padding takes no part in a maximum.
  void window(const float* input, const Planes& in, int y, int x, float* to) const {
    const std::int64_t top = std::int64_t(y) * g_.strideH - g_.padH, left = std::int64_t(x) * g_.strideW - g_.padW;
    const std::int64_t firstRow = std::max<std::int64_t>(top, 0), lastRow = std::min(top + g_.kernelHeight, in.height),
                       firstColumn = std::max<std::int64_t>(left, 0),
                       lastColumn = std::min(left + g_.kernelWidth, in.width);
    bool first = true;
    for (std::int64_t i = firstRow; i < lastRow; i++)
      for (std::int64_t j = firstColumn; j < lastColumn; j++, first = false) {
        const float* from = input + (i * in.width + j) * in.inner;
        if (first) std::copy_n(from, in.inner, to);
        else if (kind_ == Pool::kMax) takeLargest(from, to, in.inner);
        else
          for (std::int64_t k = 0; k < in.inner; k++) to[k] += from[k];
      }
    if (first) std::fill_n(to, in.inner, 0.0f);
    if (kind_ == Pool::kMax) return;
    const std::int64_t inside = (lastRow - firstRow) * (lastColumn - firstColumn);
    const float divisor = float(g_.countIncludePad ? std::int64_t(g_.kernelHeight) * g_.kernelWidth : inside);
    for (std::int64_t k = 0; k < in.inner; k++) to[k] /= divisor;
  }
  static void takeLargest(const float* from, float* to, std::int64_t count) {
    for (std::int64_t k = 0; k < count; k++) to[k] = to[k] >= from[k] || to[k] != to[k] ? to[k] : from[k];
  }

  Pool kind_;
  PoolGeometry g_;
};

template <Pool kind, PoolGeometry (*geometry)(const NodeContext&)>
std::unique_ptr<Step> prepare(const Preparation& p) {
  return std::make_unique<Pooling>(kind, geometry(p.context));
}

// A channel that was removed counts as zeros: the divisor is that of the network as it was made.
class MeanChannels final : public Step {
 public:
  explicit MeanChannels(const Preparation& p) : input_(p.context.inputs[0].folded()) {
    const int divisor = p.context.node.integer("divisor");
    factor_ = double(float(1.0 / (divisor ? divisor : input_.channels)));
  }
  void run(const Run& r) const override {
    const View view = viewOf(input_, r.layout);
    for (std::int64_t p = 0; p < input_.pixels(); p++)
      for (int lane = 0; lane < view.lanes; lane++) {
        double sum = 0;
        for (int c = 0; c < input_.channels; c++) sum += double(r.inputs[0][view.at(c, p) + lane]);
        r.output[p * view.lanes + lane] = float(factor_ * sum);
      }
  }

 private:
  Shape input_;
  double factor_;
};

}  // namespace

namespace ops {
extern const EngineOperator maxPool, averagePool, globalAveragePool, globalMaxPool, meanPositions, meanChannels;
const EngineOperator maxPool{"maxPool", prepare<Pool::kMax, poolGeometry>};
const EngineOperator averagePool{"averagePool", prepare<Pool::kAverage, poolGeometry>};
const EngineOperator globalAveragePool{"globalAveragePool", prepare<Pool::kAverage, wholePositions>};
const EngineOperator globalMaxPool{"globalMaxPool", prepare<Pool::kMax, wholePositions>};
const EngineOperator meanPositions{"meanPositions", prepare<Pool::kAverage, chosenPositions>};
const EngineOperator meanChannels{"meanChannels", prepareStep<MeanChannels>};
}  // namespace ops

}  // namespace selfcompress::engine
