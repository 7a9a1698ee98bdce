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
  explicit Attention(const Preparation& p) : heads_(headLayout(p.context)), g_(attentionGeometry(p.context, heads_)) {}

  void run(const Run& r) const override {
    r.parallel.run(heads_.heads, [&](std::int64_t h) {
      float* scores = r.scratch + h * g_.keys * imagesOf(r.layout);
      for (int t = 0; t < g_.queries; t++) {
        if (r.layout == Layout::kChannels) queryOfChannels(r, int(h), t, scores);
        else queryOfImages(r, int(h), t, scores);
      }
    });
  }
  std::int64_t scratchFloats(Layout layout) const override {
    return std::int64_t(heads_.heads) * g_.keys * imagesOf(layout);
  }
  double cost(Layout layout, const Kernels& kernels) const override {
    return double(g_.queryChannels + g_.outputChannels) * g_.queries * g_.keys * imagesOf(layout) / kernels.width;
  }

 private:
  void queryOfChannels(const Run& r, int h, int t, float* scores) const {
    const std::size_t head = std::size_t(h), k = std::size_t(h / heads_.sharing());
    const int visible = g_.visible(t), values = heads_.valueSize[k];
    const float* query = r.inputs[0] + std::int64_t(t) * g_.queryChannels + heads_.queryFirst[head];
    for (int s = 0; s < visible; s++)
      scores[s] =
          g_.scale * dot(query, r.inputs[1] + std::int64_t(s) * g_.keyChannels + heads_.keyFirst[k], heads_.size[k]);
    softmax(scores, visible, 1);
    float* output = r.output + std::int64_t(t) * g_.outputChannels + heads_.outputFirst[head];
    std::fill_n(output, values, 0.0f);
    for (int s = 0; s < visible; s++) {
      const float* value = r.inputs[2] + std::int64_t(s) * g_.valueChannels + heads_.valueFirst[k];
      for (int j = 0; j < values; j++) output[j] += scores[s] * value[j];
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
};

class Rotary final : public Step {
 public:
  explicit Rotary(const Preparation& p)
      : pairs_(rotaryPairs(p.context)), shape_(p.context.output.folded()), positions_(int(shape_.pixels())) {
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
      for (int t = 0; t < positions_; t++) {
        const std::int64_t a = view.at(pairs_.first[pair], t), b = view.at(std::max(pairs_.second[pair], 0), t);
        const std::size_t angle = which_[pair] * std::size_t(positions_) + std::size_t(t);
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
const EngineOperator attention{"attention", prepareStep<Attention>};
const EngineOperator rotary{"rotary", prepareStep<Rotary>};
}  // namespace ops

}  // namespace selfcompress::engine
