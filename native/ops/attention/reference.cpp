// Attention and rotary positions.
#include <cmath>
#include <vector>

#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

bool isZero(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }

// One query head of one image.
struct Head {
  const AttentionGeometry& g;
  const AttentionHeads& heads;
  int n, h, k;
  Head(const AttentionGeometry& geometry, const AttentionHeads& all, int image, int head)
      : g(geometry), heads(all), n(image), h(head), k(head / (all.queryHeads / all.keyHeads)) {}
  int size() const { return heads.headSize[k]; }
  int values() const { return heads.valueSize[k]; }
  int queryChannel(int i) const { return heads.queryFirst[h] + i; }
  int keyChannel(int i) const { return heads.keyFirst[k] + i; }
  int valueChannel(int j) const { return heads.valueFirst[k] + j; }
  int outputChannel(int j) const { return heads.outputFirst[h] + j; }
};

double at(const float* tensor, Shape shape, const std::int32_t* state, int n, int channel, int position) {
  return isZero(state, channel) ? 0.0 : double(tensor[laneOffset(shape, n, channel, 0, position)]);
}

// Probabilities of query t over the keys that it sees.
template <class Operation>
std::vector<double> probabilities(const Operation& a, const Head& head, int t) {
  const AttentionGeometry& g = a.geometry;
  std::vector<double> p(static_cast<std::size_t>(g.visible(t)));
  double largest = -HUGE_VAL, sum = 0;
  for (std::size_t s = 0; s < p.size(); s++) {
    double dot = 0;
    for (int i = 0; i < head.size(); i++)
      dot += at(a.query, g.query(), a.states.query, head.n, head.queryChannel(i), t) *
             at(a.key, g.key(), a.states.key, head.n, head.keyChannel(i), int(s));
    p[s] = double(g.scale) * dot;
    largest = std::fmax(largest, p[s]);
  }
  for (double& v : p) sum += v = std::exp(v - largest);
  for (double& v : p) v /= sum;
  return p;
}

template <class Visit>
void forHeads(const AttentionGeometry& g, const AttentionHeads& heads, int batch, Visit visit) {
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int h = 0; h < heads.queryHeads; h++) visit(Head(g, heads, n, h));
}

// A gradient in double precision, written where its channel is one of a head's and not kZero.
class Gradient {
 public:
  Gradient(Shape shape, int batch) : shape_(shape), sums_(std::size_t(laneElements(shape, batch))) {}
  double& at(int n, int channel, int position) { return sums_[laneOffset(shape_, n, channel, 0, position)]; }
  void write(int batch, int heads, const std::int32_t* first, const std::int32_t* size, int sharing,
             const std::int32_t* state, float* to) {
    for (int n = 0; n < blocksOf(batch) * kLanes; n++)
      for (int h = 0; h < heads; h++)
        for (int i = 0; i < size[h / sharing]; i++)
          for (int t = 0; t < shape_.width && !isZero(state, first[h] + i); t++)
            to[laneOffset(shape_, n, first[h] + i, 0, t)] = float(at(n, first[h] + i, t));
  }

 private:
  Shape shape_;
  std::vector<double> sums_;
};

}  // namespace

void ReferenceBackend::run(const AttentionForward& a) {
  const AttentionGeometry& g = a.geometry;
  forHeads(g, a.heads, a.batch, [&](const Head& head) {
    for (int t = 0; t < g.queries; t++) {
      const std::vector<double> p = probabilities(a, head, t);
      for (int j = 0; j < head.values(); j++) {
        if (isZero(a.states.output, head.outputChannel(j))) continue;
        double sum = 0;
        for (std::size_t s = 0; s < p.size(); s++)
          sum += p[s] * at(a.value, g.value(), a.states.value, head.n, head.valueChannel(j), int(s));
        a.output[laneOffset(g.output(), head.n, head.outputChannel(j), 0, t)] = float(sum);
      }
    }
  });
}

void ReferenceBackend::run(const AttentionBackward& a) {
  const AttentionGeometry& g = a.geometry;
  Gradient query(g.query(), a.batch), key(g.key(), a.batch), value(g.value(), a.batch);
  forHeads(g, a.heads, a.batch, [&](const Head& head) {
    const int n = head.n;
    for (int t = 0; t < g.queries; t++) {
      const std::vector<double> p = probabilities(a, head, t);
      std::vector<double> dp(p.size());
      double mean = 0;
      for (std::size_t s = 0; s < p.size(); s++) {
        for (int j = 0; j < head.values(); j++) {
          const double grad = at(a.gradOutput, g.output(), a.states.output, n, head.outputChannel(j), t);
          dp[s] += grad * at(a.value, g.value(), a.states.value, n, head.valueChannel(j), int(s));
          value.at(n, head.valueChannel(j), int(s)) += grad * p[s];
        }
        mean += p[s] * dp[s];
      }
      for (std::size_t s = 0; s < p.size(); s++) {
        const double ds = double(g.scale) * p[s] * (dp[s] - mean);
        for (int i = 0; i < head.size(); i++) {
          query.at(n, head.queryChannel(i), t) += ds * at(a.key, g.key(), a.states.key, n, head.keyChannel(i), int(s));
          key.at(n, head.keyChannel(i), int(s)) +=
              ds * at(a.query, g.query(), a.states.query, n, head.queryChannel(i), t);
        }
      }
    }
  });
  const AttentionHeads& h = a.heads;
  query.write(a.batch, h.queryHeads, h.queryFirst, h.headSize, h.queryHeads / h.keyHeads, a.states.query, a.gradQuery);
  key.write(a.batch, h.keyHeads, h.keyFirst, h.headSize, 1, a.states.key, a.gradKey);
  value.write(a.batch, h.keyHeads, h.valueFirst, h.valueSize, 1, a.states.value, a.gradValue);
}

void ReferenceBackend::run(const Rotary& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int pair = 0; pair < a.pairs; pair++)
      for (int t = 0; t < a.shape.width; t++) {
        const int first = a.first[pair], second = a.second[pair];
        const double x = at(a.input, a.shape, a.inputState, n, first, t);
        auto write = [&](int channel, double v) {
          if (!isZero(a.outputState, channel)) a.output[laneOffset(a.shape, n, channel, 0, t)] = float(v);
        };
        if (second < 0) {
          write(first, x);
          continue;
        }
        const double y = at(a.input, a.shape, a.inputState, n, second, t),
                     angle = (double(a.firstPosition) + t) * double(a.frequency[pair]) * (a.inverse ? -1 : 1);
        write(first, x * std::cos(angle) - y * std::sin(angle));
        write(second, x * std::sin(angle) + y * std::cos(angle));
      }
}

}  // namespace selfcompress
