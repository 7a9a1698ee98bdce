// attention and rotary positions.
#include <algorithm>
#include <cmath>

#include "engine/ops/view.h"
#include "ops/attention/heads.h"

namespace selfcompress::engine {
namespace {

// Eight sums side by side, which a compiler makes vectors of.
float dot(const float* a, const float* b, int count) {
  float sums[8] = {};
  int i = 0;
  for (; i + 8 <= count; i += 8)
    for (int k = 0; k < 8; k++) sums[k] += a[i + k] * b[i + k];
  float rest = 0;
  for (; i < count; i++) rest += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest;
}

// Scores of one query, [keys][lanes], become probabilities.
void softmax(float* scores, int keys, int lanes) {
  for (int n = 0; n < lanes; n++) {
    float top = -HUGE_VALF;
    for (int s = 0; s < keys; s++) top = std::fmax(top, scores[s * lanes + n]);
    double sum = 0;
    for (int s = 0; s < keys; s++) {
      const float power = std::exp(scores[s * lanes + n] - top);
      scores[s * lanes + n] = power, sum += double(power);
    }
    const float factor = float(1 / sum);
    for (int s = 0; s < keys; s++) scores[s * lanes + n] *= factor;
  }
}

class Attention final : public Step {
 public:
  explicit Attention(const Preparation& p)
      : heads_(headLayout(p.context)), g_(attentionGeometry(p.context, heads_)), window_(p.window) {}

  void run(const Run& r) const override {
    if (window_) return runPosition(r);
    r.parallel.run(heads_.heads, [&](std::int64_t h) {
      float* scores = r.scratch + h * g_.keys * imagesOf(r.layout);
      for (int t = 0; t < g_.queries; t++) {
        if (r.layout == Layout::kNhwc)
          queryOfChannels(int(h), r.inputs[0] + std::int64_t(t) * g_.queryChannels, r.inputs[1], r.inputs[2],
                          g_.visible(t), r.output + std::int64_t(t) * g_.outputChannels, scores);
        else queryOfImages(r, int(h), t, scores);
      }
    });
  }
  std::int64_t scratchFloats(Layout layout) const override {
    return std::int64_t(heads_.heads) * std::max(g_.keys, window_) * imagesOf(layout);
  }
  std::int64_t stateFloats() const override { return std::int64_t(window_) * (g_.keyChannels + g_.valueChannels); }
  double cost(Layout layout, const Kernels& kernels) const override {
    return double(g_.queryChannels + g_.outputChannels) * g_.queries * g_.keys * imagesOf(layout) / kernels.width;
  }

 private:
  // Keys and values of the positions so far are the state, [window][channels] each.
  void runPosition(const Run& r) const {
    float *const keys = r.state, *const values = keys + std::int64_t(window_) * g_.keyChannels;
    std::copy_n(r.inputs[1], g_.keyChannels, keys + std::int64_t(r.position) * g_.keyChannels);
    std::copy_n(r.inputs[2], g_.valueChannels, values + std::int64_t(r.position) * g_.valueChannels);
    for (int h = 0; h < heads_.heads; h++)
      queryOfChannels(h, r.inputs[0], keys, values, r.position + 1, r.output, r.scratch + std::int64_t(h) * window_);
  }

  // One query of head h over the first `visible` keys and values.
  void queryOfChannels(int h, const float* queries, const float* keys, const float* values, int visible, float* outputs,
                       float* scores) const {
    const std::size_t head = std::size_t(h), k = std::size_t(h / heads_.sharing());
    const int size = heads_.valueSize[k];
    const float* query = queries + heads_.queryFirst[head];
    for (int s = 0; s < visible; s++)
      scores[s] = g_.scale * dot(query, keys + std::int64_t(s) * g_.keyChannels + heads_.keyFirst[k], heads_.size[k]);
    softmax(scores, visible, 1);
    float* output = outputs + heads_.outputFirst[head];
    std::fill_n(output, size, 0.0f);
    for (int s = 0; s < visible; s++) {
      const float* value = values + std::int64_t(s) * g_.valueChannels + heads_.valueFirst[k];
      for (int j = 0; j < size; j++) output[j] += scores[s] * value[j];
    }
  }

  void queryOfImages(const Run& r, int h, int t, float* scores) const {
    const std::size_t head = std::size_t(h), k = std::size_t(h / heads_.sharing());
    const int visible = g_.visible(t);
    auto at = [](const float* from, int channel, int positions, int position) {
      return from + (std::int64_t(channel) * positions + position) * kBlock;
    };
    for (int s = 0; s < visible; s++) {
      float sums[kBlock] = {};
      for (int i = 0; i < heads_.size[k]; i++) {
        const float *q = at(r.inputs[0], heads_.queryFirst[head] + i, g_.queries, t),
                    *key = at(r.inputs[1], heads_.keyFirst[k] + i, g_.keys, s);
        for (int n = 0; n < kBlock; n++) sums[n] += q[n] * key[n];
      }
      for (int n = 0; n < kBlock; n++) scores[s * kBlock + n] = g_.scale * sums[n];
    }
    softmax(scores, visible, kBlock);
    for (int j = 0; j < heads_.valueSize[k]; j++) {
      float sums[kBlock] = {};
      for (int s = 0; s < visible; s++) {
        const float* value = at(r.inputs[2], heads_.valueFirst[k] + j, g_.keys, s);
        for (int n = 0; n < kBlock; n++) sums[n] += scores[s * kBlock + n] * value[n];
      }
      std::copy_n(sums, kBlock, r.output + (std::int64_t(heads_.outputFirst[head] + j) * g_.queries + t) * kBlock);
    }
  }

  HeadLayout heads_;
  AttentionGeometry g_;
  int window_;
};

class Rotary final : public Step {
 public:
  explicit Rotary(const Preparation& p)
      : pairs_(rotaryPairs(p.context)),
        shape_(p.context.output.folded()),
        positions_(p.window ? p.window : int(shape_.pixels())) {
    const int first = p.context.node.integer("firstPosition");
    for (float frequency : pairs_.frequency) {
      const auto known = std::find(frequencies_.begin(), frequencies_.end(), frequency);
      which_.push_back(std::size_t(known - frequencies_.begin()));
      if (known != frequencies_.end()) continue;
      frequencies_.push_back(frequency);
      for (int t = 0; t < positions_; t++) {
        const double angle = (double(first) + t) * double(frequency);
        cosines_.push_back(float(std::cos(angle))), sines_.push_back(float(std::sin(angle)));
      }
    }
  }
  void run(const Run& r) const override {
    const View view = viewOf(shape_, r.layout);
    const float* x = r.inputs[0];
    for (std::size_t pair = 0; pair < pairs_.first.size(); pair++)
      for (int t = 0; t < int(shape_.pixels()); t++) {
        const std::int64_t a = view.at(pairs_.first[pair], t), b = view.at(std::max(pairs_.second[pair], 0), t);
        const std::size_t angle = which_[pair] * std::size_t(positions_) + std::size_t(r.position + t);
        for (int n = 0; n < view.lanes; n++) {
          const float first = x[a + n], second = x[b + n];
          if (pairs_.second[pair] < 0) {
            r.output[a + n] = first;
            continue;
          }
          r.output[a + n] = first * cosines_[angle] - second * sines_[angle];
          r.output[b + n] = first * sines_[angle] + second * cosines_[angle];
        }
      }
  }
  std::size_t panelBytes() const override { return (cosines_.size() + sines_.size()) * sizeof(float); }

 private:
  RotaryPairs pairs_;
  Shape shape_;
  int positions_;
  std::vector<float> frequencies_;      // each once
  std::vector<std::size_t> which_;      // of each pair
  std::vector<float> cosines_, sines_;  // [frequencies][positions]
};

}  // namespace

namespace ops {
extern const EngineOperator attention, rotary;
const EngineOperator attention = [] {
  EngineOperator e{"attention", prepareStep<Attention>};
  e.byPosition = [](const NodeDescription& node) { return node.flag("causal"); };
  return e;
}();
const EngineOperator rotary = everyPosition({"rotary", prepareStep<Rotary>});
}  // namespace ops

}  // namespace selfcompress::engine
