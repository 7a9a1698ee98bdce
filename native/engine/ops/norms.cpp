// Norms of one example (layerNorm, rmsNorm, instanceNorm, groupNorm) and softmax: sets of elements that are divided by
// what they have in common. Sums are taken in double precision.
#include <cmath>

#include "engine/ops/view.h"
#include "ops/layer_norm/groups.h"
#include "selfcompress/ops/softmax.h"

namespace selfcompress::engine {
namespace {

// `count` elements, `step` apart.
struct Set {
  std::int64_t first, step;
  int count;
};

// Elements of one set get (x - mean) / sqrt(variance + epsilon); the elements that were removed since the network was
// made, divisor - count of them, were zeros.
struct Statistics {
  double mean = 0, inverse = 1;
};
Statistics statisticsOf(const float* x, const Set& s, double divisor, double epsilon, bool rms) {
  Statistics result;
  for (int i = 0; i < s.count && !rms; i++) result.mean += double(x[s.first + i * s.step]) / divisor;
  double variance = (divisor - s.count) * result.mean * result.mean / divisor;
  for (int i = 0; i < s.count; i++) {
    const double d = double(x[s.first + i * s.step]) - result.mean;
    variance += d * d / divisor;
  }
  result.inverse = 1 / std::sqrt(variance + epsilon);
  return result;
}

// A norm with a scale and a shift for each channel, or none.
class Norm : public Step {
 public:
  explicit Norm(const Preparation& p)
      : shape_(p.context.output.folded()),
        epsilon_(double(float(p.context.node.number("epsilon")))),
        scale_(p.tensors.floats(Role::kNormWeight)),
        shift_(p.tensors.floats(Role::kNormBias)) {}
  std::size_t weightBytes() const override { return (scale_.size() + shift_.size()) * sizeof(float); }

 protected:
  // Element i of the set is of channel `channel + i / perChannel`.
  void normalise(const Run& r, const Set& set, int channel, int perChannel, double divisor, bool rms) const {
    const float* x = r.inputs[0];
    const Statistics s = statisticsOf(x, set, divisor, epsilon_, rms);
    for (int k = 0; k < set.count; k++) {
      const std::int64_t i = set.first + k * set.step;
      r.output[i] = valueOf(x[i], s, std::size_t(channel + k / perChannel));
    }
  }
  float valueOf(float x, const Statistics& s, std::size_t channel) const {
    const double weight = scale_.empty() ? 1.0 : double(scale_[channel]),
                 bias = shift_.empty() ? 0.0 : double(shift_[channel]);
    return float((double(x) - s.mean) * s.inverse * weight + bias);
  }
  Shape shape_;
  double epsilon_;

 private:
  std::vector<float> scale_, shift_;
};

// Over the channels of every position.
template <bool rms>
class ChannelNorm final : public Norm {
 public:
  explicit ChannelNorm(const Preparation& p) : Norm(p), divisor_(p.context.node.integer("divisor")) {
    if (!divisor_) divisor_ = shape_.channels;
  }
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    for (std::int64_t p = 0; p < shape_.pixels(); p++)
      for (int lane = 0; lane < view.lanes; lane++)
        normalise(r, {view.at(0, p) + lane, view.channel, shape_.channels}, 0, 1, divisor_, rms);
  }

 private:
  int divisor_;
};

// Over the positions of every channel.
class InstanceNorm final : public Norm {
 public:
  using Norm::Norm;
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    const int positions = int(shape_.pixels());
    for (int c = 0; c < shape_.channels; c++)
      for (int lane = 0; lane < view.lanes; lane++)
        normalise(r, {view.at(c, 0) + lane, view.position, positions}, c, positions, positions, false);
  }
};

// Over the channels of a group and all positions.
class GroupNorm final : public Norm {
 public:
  explicit GroupNorm(const Preparation& p)
      : Norm(p),
        sizes_(selfcompress::ops::groupSizes(p.context.node, shape_.channels)),
        divisor_(double(selfcompress::ops::groupDivisor(p.context.node, shape_.channels)) * double(shape_.pixels())) {}
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    int first = 0;
    for (int size : sizes_) {
      for (int lane = 0; lane < view.lanes; lane++) normaliseGroup(r, view, lane, first, size);
      first += size;
    }
  }

 private:
  void normaliseGroup(const Run& r, const View& view, int lane, int first, int size) const {
    const float* x = r.inputs[0] + lane;
    const auto positions = std::int64_t(shape_.pixels());
    auto forAll = [&](auto visit) {
      for (int c = first; c < first + size; c++)
        for (std::int64_t p = 0; p < positions; p++) visit(c, view.at(c, p));
    };
    double mean = 0;
    forAll([&](int, std::int64_t i) { mean += double(x[i]) / divisor_; });
    double variance = (divisor_ - double(size) * double(positions)) * mean * mean / divisor_;
    forAll([&](int, std::int64_t i) { variance += (double(x[i]) - mean) * (double(x[i]) - mean) / divisor_; });
    const Statistics s{mean, 1 / std::sqrt(variance + epsilon_)};
    forAll([&](int c, std::int64_t i) { r.output[lane + i] = valueOf(x[i], s, std::size_t(c)); });
  }

  std::vector<int> sizes_;
  double divisor_;  // elements of a group when the network was made
};

class Softmax final : public Step {
 public:
  explicit Softmax(const Preparation& p)
      : shape_(p.context.output.folded()),
        overChannels_(SoftmaxAxis(p.context.node.integer("axis")) == SoftmaxAxis::kChannels) {}
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    const std::int64_t lines = overChannels_ ? shape_.pixels() : std::int64_t(shape_.channels) * shape_.height;
    for (std::int64_t line = 0; line < lines; line++)
      for (int lane = 0; lane < view.lanes; lane++) {
        if (overChannels_) softmax(r, {view.at(0, line) + lane, view.channel, shape_.channels});
        else
          softmax(r, {view.at(line / shape_.height, line % shape_.height * shape_.width) + lane, view.position,
                      shape_.width});
      }
  }

 private:
  static void softmax(const Run& r, const Set& s) {
    const float* x = r.inputs[0];
    double top = -HUGE_VAL, sum = 0;
    for (int i = 0; i < s.count; i++) top = std::fmax(top, double(x[s.first + i * s.step]));
    for (int i = 0; i < s.count; i++) sum += std::exp(double(x[s.first + i * s.step]) - top);
    for (int i = 0; i < s.count; i++)
      r.output[s.first + i * s.step] = float(std::exp(double(x[s.first + i * s.step]) - top) / sum);
  }

  Shape shape_;
  bool overChannels_;
};

}  // namespace

namespace ops {
extern const EngineOperator layerNorm, rmsNorm, instanceNorm, groupNorm, softmax;
const EngineOperator layerNorm = everyPosition({"layerNorm", prepareStep<ChannelNorm<false>>});
const EngineOperator rmsNorm = everyPosition({"rmsNorm", prepareStep<ChannelNorm<true>>});
const EngineOperator instanceNorm{"instanceNorm", prepareStep<InstanceNorm>};
const EngineOperator groupNorm{"groupNorm", prepareStep<GroupNorm>};
const EngineOperator softmax = [] {
  EngineOperator e{"softmax", prepareStep<Softmax>};
  e.byPosition = [](const NodeDescription& node) {
    return SoftmaxAxis(node.integer("axis")) == SoftmaxAxis::kChannels;
  };
  return e;
}();
}  // namespace ops

}  // namespace selfcompress::engine
