// Layer, RMS, group and instance norms: one loop over sets of elements that share a mean and a variance.
#include <cmath>
#include <vector>

#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// The elements of one example that share their statistics: some channels and some positions, of which there were
// `count` in the network that was made.
struct Set {
  int n, firstChannel, endChannel, firstPosition, endPosition;
  double count;
  std::size_t saved;  // where the statistics are kept
};

template <class Visit>
void forSets(const LayerNormForward& a, Visit visit) {
  for (int n = 0; n < lanesOfBatch(a.batch); n++)
    for (int p = 0; p < a.shape.pixels(); p++)
      visit(Set{n, 0, a.shape.channels, p, p + 1, double(a.divisor),
                laneOffset({1, a.shape.height, a.shape.width}, n, 0, 0, p)});
}
template <class Visit>
void forSets(const GroupNormForward& a, Visit visit) {
  for (int n = 0; n < lanesOfBatch(a.batch); n++)
    for (int g = 0; g < a.groups; g++)
      visit(Set{n, firstOfGroup(a.groupStart, a.shape.channels, a.groups, g),
                firstOfGroup(a.groupStart, a.shape.channels, a.groups, g + 1), 0, a.shape.pixels(),
                double(a.divisor) * a.shape.pixels(), laneOffset({a.groups, 1, 1}, n, g, 0, 0)});
}

// visit(offset, channel) for the elements of a set.
template <class Visit>
void forSet(Shape shape, const Set& s, Visit visit) {
  for (int c = s.firstChannel; c < s.endChannel; c++)
    for (int p = s.firstPosition; p < s.endPosition; p++) visit(laneOffset(shape, s.n, c, 0, p), c);
}

template <class Forward>
void normForward(const Forward& a, bool rms) {
  auto x = [&](std::size_t i, int c) { return isZeroChannel(a.inputState, c) ? 0.0 : double(a.input[i]); };
  forSets(a, [&](const Set& s) {
    double mean = 0, variance = 0, present = 0;
    if (!rms) forSet(a.shape, s, [&](std::size_t i, int c) { mean += x(i, c) / s.count; });
    forSet(a.shape, s, [&](std::size_t i, int c) {
      variance += (x(i, c) - mean) * (x(i, c) - mean) / s.count;
      present++;
    });
    variance += (s.count - present) * mean * mean / s.count;  // of the channels that are gone
    const double inverse = 1 / std::sqrt(variance + double(a.epsilon));
    if (a.savedInvStd) a.savedInvStd[s.saved] = float(inverse);
    if (a.savedInvStd && !rms) a.savedMean[s.saved] = float(mean);
    forSet(a.shape, s, [&](std::size_t i, int c) {
      if (isZeroChannel(a.outputState, c)) return;
      const double weight = a.weight ? double(a.weight[c]) : 1.0, bias = a.bias ? double(a.bias[c]) : 0.0;
      a.output[i] = float((x(i, c) - mean) * inverse * weight + bias);
    });
  });
}

template <class Backward, class Forward>
void normBackward(const Backward& a, const Forward& sets, bool rms) {
  std::vector<double> gradWeight(std::size_t(a.shape.channels)), gradBias(std::size_t(a.shape.channels));
  forSets(sets, [&](const Set& s) {
    const double mean = rms ? 0.0 : double(a.savedMean[s.saved]), inverse = a.savedInvStd[s.saved];
    auto g = [&](std::size_t i, int c) {
      return s.n >= a.batch || isDeadChannel(a.outputState, c) ? 0.0 : double(a.gradOutput[i]);
    };
    auto h = [&](std::size_t i, int c) { return g(i, c) * (a.weight ? double(a.weight[c]) : 1.0); };
    auto xhat = [&](std::size_t i, int c) {
      return ((isZeroChannel(a.inputState, c) ? 0.0 : double(a.input[i])) - mean) * inverse;
    };
    double sum = 0, product = 0;
    forSet(a.shape, s, [&](std::size_t i, int c) {
      sum += rms ? 0.0 : h(i, c);
      product += h(i, c) * xhat(i, c);
      gradWeight[std::size_t(c)] += s.n < a.batch ? g(i, c) * xhat(i, c) : 0.0;
      gradBias[std::size_t(c)] += g(i, c);
    });
    forSet(a.shape, s, [&](std::size_t i, int c) {
      if (isZeroChannel(a.inputState, c)) return;
      a.gradInput[i] =
          s.n >= a.batch ? 0.0f : float(inverse * (h(i, c) - sum / s.count - xhat(i, c) * product / s.count));
    });
  });
  for (int c = 0; c < a.shape.channels; c++) {
    if (a.gradWeight) a.gradWeight[c] = float(gradWeight[std::size_t(c)]);
    if (a.gradBias) a.gradBias[c] = float(gradBias[std::size_t(c)]);
  }
}

}  // namespace

void ReferenceBackend::run(const LayerNormForward& a) { normForward(a, a.rms); }
void ReferenceBackend::run(const GroupNormForward& a) { normForward(a, false); }

void ReferenceBackend::run(const LayerNormBackward& a) {
  LayerNormForward sets;
  sets.shape = a.shape, sets.batch = a.batch, sets.divisor = a.divisor;
  normBackward(a, sets, a.rms);
}
void ReferenceBackend::run(const GroupNormBackward& a) {
  GroupNormForward sets;
  sets.shape = a.shape, sets.batch = a.batch, sets.divisor = a.divisor;
  sets.groups = a.groups, sets.groupStart = a.groupStart;
  normBackward(a, sets, false);
}

}  // namespace selfcompress
