// convTranspose2d: every output pixel gathers the input pixels that reach it.
#include "engine/ops/view.h"
#include "engine/panel.h"
#include "engine/weights.h"
#include "ops/convolution/weight_layer.h"

namespace selfcompress::engine {
namespace {

class ConvolutionTranspose final : public Step {
 public:
  explicit ConvolutionTranspose(const Preparation& p)
      : g_(convTransposeGeometry(p.context)),
        weights_(p.tensors, p.factors),
        epilogue_(p.epilogue),
        keep_(p.keepPanels),
        taps_(std::int64_t(g_.kernelHeight) * g_.kernelWidth) {}

  void run(const Run& r) const override {
    const float* panel = panel_.get(keep_, panelFloats(), r.scratch, [&](float* to) { makePanel(to); });
    r.parallel.run(g_.outHeight(), [&](std::int64_t y) {
      for (int x = 0; x < g_.outWidth(); x++) pixel(r, panel, int(y), x);
    });
  }
  std::int64_t scratchFloats(Layout) const override { return keep_ ? 0 : panelFloats(); }
  std::size_t weightBytes() const override {
    return weights_.bytes() + (epilogue_.bias.size() + epilogue_.scale.size() + epilogue_.shift.size()) * sizeof(float);
  }
  std::size_t panelBytes() const override { return panel_.bytes(); }
  double cost(Layout layout, const Kernels& kernels) const override {
    return double(weights_.perChannel()) * g_.outChannels * g_.height * g_.width * imagesOf(layout) / kernels.width;
  }

 private:
  std::int64_t panelFloats() const { return weights_.perChannel() * g_.outChannels; }
  // [taps][input channels of a group][output channels], from [output channels][input channels of a group][taps].
  void makePanel(float* panel) const {
    const std::int64_t inGroup = g_.inChannels / g_.groups;
    std::vector<float> row(static_cast<std::size_t>(weights_.perChannel()));
    for (std::int64_t o = 0; o < g_.outChannels; o++) {
      weights_.unpack(o, row.data());
      for (std::int64_t c = 0; c < inGroup; c++)
        for (std::int64_t t = 0; t < taps_; t++)
          panel[(t * inGroup + c) * g_.outChannels + o] = row[std::size_t(c * taps_ + t)];
    }
  }

  // The row or column of the input that a tap brings to position `out`; -1: none.
  static int source(int out, int tap, int pad, int dilation, int stride, int size) {
    const int at = out + pad - tap * dilation;
    return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
  }

  void pixel(const Run& r, const float* panel, int y, int x) const {
    const View from = viewOf(g_.input(), r.layout), to = viewOf(g_.output(), r.layout);
    const std::int64_t at = std::int64_t(y) * g_.outWidth() + x;
    for (int o = 0; o < g_.outChannels; o++)
      for (int n = 0; n < to.lanes; n++)
        r.output[to.at(o, at) + n] = epilogue_.bias.empty() ? 0.0f : epilogue_.bias[std::size_t(o)];
    for (int i = 0; i < g_.kernelHeight; i++)
      for (int j = 0; j < g_.kernelWidth; j++) {
        const int row = source(y, i, g_.padH, g_.dilationH, g_.strideH, g_.height),
                  column = source(x, j, g_.padW, g_.dilationW, g_.strideW, g_.width);
        if (row < 0 || column < 0) continue;
        tap(r, panel + (std::int64_t(i) * g_.kernelWidth + j) * (g_.inChannels / g_.groups) * g_.outChannels, from, to,
            std::int64_t(row) * g_.width + column, at);
      }
    for (int o = 0; o < g_.outChannels; o++)
      for (int n = 0; n < to.lanes; n++) finish(r.output[to.at(o, at) + n], std::size_t(o));
  }

  void tap(const Run& r, const float* panel, const View& from, const View& to, std::int64_t in,
           std::int64_t out) const {
    const int inGroup = g_.inChannels / g_.groups, outGroup = g_.outChannels / g_.groups;
    for (int group = 0; group < g_.groups; group++)
      for (int c = 0; c < inGroup; c++) {
        const float *x = r.inputs[0] + from.at(group * inGroup + c, in),
                    *w = panel + std::int64_t(c) * g_.outChannels + group * outGroup;
        float* sums = r.output + to.at(group * outGroup, out);
        if (to.lanes == 1) {
          for (int o = 0; o < outGroup; o++) sums[o] += x[0] * w[o];
        } else {
          for (int o = 0; o < outGroup; o++)
            for (int n = 0; n < kBlock; n++) sums[o * to.channel + n] += x[n] * w[o];
        }
      }
  }

  void finish(float& v, std::size_t o) const {
    if (epilogue_.relu && v < 0) v = 0;
    if (!epilogue_.scale.empty()) v = v * epilogue_.scale[o] + epilogue_.shift[o];
    if (epilogue_.lastRelu && v < 0) v = 0;
  }

  ConvTransposeGeometry g_;
  Weights weights_;
  Epilogue epilogue_;
  bool keep_;
  std::int64_t taps_;
  Panel panel_;
};

}  // namespace

namespace ops {
extern const EngineOperator convTranspose2d;
const EngineOperator convTranspose2d = [] {
  EngineOperator e{"convTranspose2d", prepareStep<ConvolutionTranspose>};
  e.takes = EngineOperator::Takes::kAffine;
  return e;
}();
}  // namespace ops

}  // namespace selfcompress::engine
