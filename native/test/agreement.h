// What tests of single operations share: random shapes and states, comparison of every backend with the reference, and
// gradients of the reference against finite differences.
#pragma once

#include <functional>
#include <limits>

#include "test/finite_differences.h"

namespace test {

inline Shape randomShape(Random& random) { return {random.integer(1, 9), random.integer(1, 9), random.integer(1, 9)}; }

inline std::vector<std::int32_t> randomStates(Random& random, int channels) {
  std::vector<std::int32_t> states;
  for (int c = 0; c < channels; c++)
    states.push_back(random.chance(0.3) ? kZero : random.chance(0.2) ? kConstant : kLive);
  return states;
}

inline void addSpecialValues(Random& random, std::vector<float>& values) {
  for (float v : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                  std::numeric_limits<float>::quiet_NaN(), 0.0f, -0.0f, 90.0f, -90.0f, 12.0f, -12.0f})
    values[std::size_t(random.integer(0, int(values.size()) - 1))] = v;
}

// Gradients of a batch: zeros in padding lanes.
inline std::vector<float> randomGradient(Random& random, Shape shape, int batch) {
  std::vector<float> values = random.reals(laneElements(shape, batch));
  for (int n = batch; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int p = 0; p < shape.pixels(); p++) values[laneOffset(shape, n, c, 0, p)] = 0;
  return values;
}

// Runs `compute(backend, random)` on every tested backend and on the reference with the same random numbers. The
// results of a trial are one vector each, or several that are compared by themselves.
template <class Compute>
void agrees(std::uint64_t seed, int trials, double tolerance, Compute compute) {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(trials); trial++) {
      CAPTURE(backend->name());
      CAPTURE(trial);
      PastCaches past{std::uint64_t(trial)};
      auto run = [&](Backend& b) {
        Random random(seed * 1000 + std::uint64_t(trial));
        return compute(b, random);
      };
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= tolerance);
    }
}

// The same for several results, each compared relative to its own largest magnitude.
using Results = std::vector<std::vector<float>>;
template <class Compute>
void allAgree(std::uint64_t seed, int trials, double tolerance, Compute compute) {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(trials); trial++) {
      CAPTURE(backend->name());
      CAPTURE(trial);
      PastCaches past{std::uint64_t(trial)};
      Results actual;
      sameForAllThreads([&] {
        Random random(seed * 1000 + std::uint64_t(trial));
        actual = compute(*backend, random);
        std::vector<float> joined;
        for (const auto& r : actual) joined.insert(joined.end(), r.begin(), r.end());
        return joined;
      });
      Random random(seed * 1000 + std::uint64_t(trial));
      const Results expected = compute(*reference, random);
      REQUIRE(actual.size() == expected.size());
      for (std::size_t i = 0; i < actual.size(); i++) {
        CAPTURE(i);
        CHECK(difference(actual[i], expected[i]) <= tolerance);
      }
    }
}

// d loss / d values[i] against `gradient[i]`, for some elements that `probed` allows.
inline void checkGradient(Random& random, std::vector<float> values, const std::vector<float>& gradient,
                          const std::function<double(const std::vector<float>&)>& loss, double tolerance = 5e-3,
                          const std::function<bool(std::size_t)>& probed = nullptr, float h = 1e-2f) {
  REQUIRE(values.size() == gradient.size());
  for (int probe = 0, tries = 0; probe < 6 && tries < 1000; tries++) {
    const std::size_t i = std::size_t(random.integer(0, int(values.size()) - 1));
    if (probed && !probed(i)) continue;
    probe++;
    const double numeric = slopeAt(values[i], h, [&] { return loss(values); });
    CAPTURE(i);
    CHECK(std::fabs(double(gradient[i]) - numeric) <= tolerance * (1 + std::fabs(numeric)));
  }
}

// Whether an element of a tensor in lanes belongs to an image of the batch and to a channel that is not kZero.
inline std::function<bool(std::size_t)> belongsTo(Shape shape, int batch, std::vector<std::int32_t> state = {}) {
  return [=](std::size_t i) {
    const std::size_t plane = std::size_t(shape.pixels()) * kLanes, channels = std::size_t(shape.channels);
    const int image = int(i / (plane * channels)) * kLanes + int(i % kLanes);
    return image < batch && (state.empty() || state[i / plane % channels] != kZero);
  };
}

// Padding lanes of a gradient, in the channels that are written.
inline bool paddingIsZero(const std::vector<float>& values, Shape shape, int batch,
                          const std::vector<std::int32_t>& state = {}) {
  for (int n = batch; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int p = 0; p < shape.pixels() && (state.empty() || state[std::size_t(c)] != kZero); p++)
        if (values[laneOffset(shape, n, c, 0, p)] != 0) return false;
  return true;
}

inline double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) sum += double(a[i]) * double(b[i]);
  return sum;
}

}  // namespace test
