// Norms of one example: every backend against the reference, gradients, channels that are zero or gone, PyTorch's
// numbers.
#include "test/agreement.h"

using namespace test;

namespace {

enum class Kind { kLayer, kRms, kGroup, kInstance };
constexpr Kind kKinds[] = {Kind::kLayer, Kind::kRms, Kind::kGroup, Kind::kInstance};

struct Case {
  Kind kind;
  Shape shape;
  int batch, divisor, groups = 1;
  std::vector<float> input, weight, bias, gradient;               // weight, bias empty: none
  std::vector<std::int32_t> groupStart, inputState, outputState;  // empty: none
};

// The states that go with one another: an output is kZero only where the input is, and weight and bias are zero there;
// behind a zero an RMS norm leaves its bias alone.
void addStates(Random& random, Case& c) {
  for (int k = 0; k < c.shape.channels; k++) {
    c.inputState.push_back(random.chance(0.3) ? kZero : random.chance(0.2) ? kConstant : kLive);
    c.outputState.push_back(kLive);
    if (c.inputState.back() != kZero) continue;
    if (random.chance(0.5)) {
      c.outputState.back() = kZero;
      if (!c.weight.empty()) c.weight[std::size_t(k)] = 0;
      if (!c.bias.empty()) c.bias[std::size_t(k)] = 0;
    } else if (c.kind == Kind::kRms || c.kind == Kind::kInstance) {
      c.outputState.back() = kConstant;
    }
  }
}

Case randomCase(Random& random, Kind kind, bool states) {
  Case c;
  c.kind = kind;
  c.shape = {random.integer(1, 12), random.integer(1, 6), random.integer(1, 9)};
  if (random.chance(0.1)) c.shape = {random.integer(60, 200), 1, random.integer(1, 30)};
  c.batch = random.integer(1, 40);
  c.groups = kind == Kind::kGroup ? random.integer(1, std::min(4, c.shape.channels)) : c.shape.channels;
  c.divisor = c.shape.channels + random.integer(0, 3);
  if (kind == Kind::kInstance) c.divisor = 1;
  if (kind == Kind::kGroup) {
    if (random.chance(0.5)) c.shape.channels = c.groups * std::max(1, c.shape.channels / c.groups);
    else {
      c.groupStart.push_back(0);
      for (int g = 1; g < c.groups; g++)
        c.groupStart.push_back(
            std::max(c.groupStart.back() + 1, c.shape.channels * g / c.groups - (c.shape.channels > 3 * c.groups)));
      c.groupStart.push_back(c.shape.channels);
    }
    c.divisor = c.shape.channels;
  }
  const auto n = laneElements(c.shape, c.batch);
  c.input = random.reals(n, -1, 3);
  c.gradient = randomGradient(random, c.shape, c.batch);
  if (random.chance(0.8)) c.weight = random.reals(c.shape.channels, -2, 2);
  if (random.chance(0.7)) c.bias = random.reals(c.shape.channels);
  if (states) addStates(random, c);
  return c;
}

struct Result {
  std::vector<float> output, mean, inverse, gradInput, gradWeight, gradBias;
};

template <class Forward, class Backward>
Result computeAs(Backend& b, const Case& c, Forward f, Backward r, Shape saved, bool inPlace) {
  const auto n = laneElements(c.shape, c.batch), m = laneElements(saved, c.batch);
  Buffer<float> x(b, c.input), w(b, c.weight), bias(b, c.bias), g(b, c.gradient), y(b, n, 5.0f), dx(b, n, 5.0f),
      dw(b, c.shape.channels, 5.0f), db(b, c.shape.channels, 5.0f), mean(b, m, 5.0f), inverse(b, m, 5.0f);
  Buffer<std::int32_t> in(b, c.inputState), out(b, c.outputState), start(b, c.groupStart);
  if constexpr (requires { f.groupStart; }) {
    f.groups = r.groups = c.groups;
    f.groupStart = r.groupStart = c.groupStart.empty() ? nullptr : start.get();
  }
  f.shape = r.shape = c.shape, f.batch = r.batch = c.batch, f.divisor = r.divisor = c.divisor;
  f.input = r.input = x.get(), f.weight = r.weight = c.weight.empty() ? nullptr : w.get();
  f.bias = c.bias.empty() ? nullptr : bias.get();
  f.inputState = r.inputState = c.inputState.empty() ? nullptr : in.get();
  f.outputState = r.outputState = c.outputState.empty() ? nullptr : out.get();
  f.output = y.get();
  b.run(f);  // evaluation: nothing is saved
  const auto evaluated = y.values();
  f.savedMean = mean.get(), f.savedInvStd = inverse.get();
  b.run(f);
  CHECK(sameBits(y.values(), evaluated));
  r.gradOutput = g.get(), r.savedMean = mean.get(), r.savedInvStd = inverse.get();
  r.gradInput = inPlace ? g.get() : dx.get(), r.gradWeight = dw.get(), r.gradBias = db.get();
  b.run(r);
  return {y.values(), mean.values(), inverse.values(), inPlace ? g.values() : dx.values(), dw.values(), db.values()};
}

Result compute(Backend& b, const Case& c, bool inPlace = false) {
  if (c.kind == Kind::kGroup || c.kind == Kind::kInstance)
    return computeAs(b, c, GroupNormForward{}, GroupNormBackward{}, {c.groups, 1, 1}, inPlace);
  LayerNormForward f;
  LayerNormBackward r;
  f.rms = r.rms = c.kind == Kind::kRms;
  return computeAs(b, c, f, r, {1, c.shape.height, c.shape.width}, inPlace);
}

// The case without the channels that `keep` leaves out.
Case withoutChannels(const Case& c, const std::vector<bool>& keep) {
  Case less = c;
  auto only = [&](auto values) {
    decltype(values) kept;
    for (std::size_t k = 0; k < values.size(); k++)
      if (keep[k]) kept.push_back(values[k]);
    return kept;
  };
  less.weight = only(c.weight), less.bias = only(c.bias);
  less.inputState = only(c.inputState), less.outputState = only(c.outputState);
  std::vector<int> channels;
  for (int k = 0; k < c.shape.channels; k++)
    if (keep[std::size_t(k)]) channels.push_back(k);
  less.shape.channels = int(channels.size());
  less.input.assign(std::size_t(laneElements(less.shape, c.batch)), 0.0f), less.gradient = less.input;
  for (int n = 0; n < blocksOf(c.batch) * kLanes; n++)
    for (int k = 0; k < less.shape.channels; k++)
      for (int p = 0; p < c.shape.pixels(); p++) {
        const std::size_t to = laneOffset(less.shape, n, k, 0, p),
                          from = laneOffset(c.shape, n, channels[std::size_t(k)], 0, p);
        less.input[to] = c.input[from], less.gradient[to] = c.gradient[from];
      }
  for (std::int32_t& first : less.groupStart)
    first = std::int32_t(std::count(keep.begin(), keep.begin() + first, true));
  return less;
}

}  // namespace

TEST_CASE("norms of one example agree with the reference") {
  for (Kind kind : kKinds)
    for (bool states : {false, true}) {
      CAPTURE(int(kind));
      CAPTURE(states);
      allAgree(101, 60, 2e-5, [&](Backend& b, Random& random) {
        const Case c = randomCase(random, kind, states);
        const Result r = compute(b, c, random.chance(0.3));
        CHECK(paddingIsZero(r.gradInput, c.shape, c.batch, c.inputState));
        return Results{r.output, r.mean, r.inverse, r.gradInput, r.gradWeight, r.gradBias};
      });
    }
}

TEST_CASE("norms of one example: more channels than the caches hold side by side") {
  for (Kind kind : {Kind::kLayer, Kind::kRms})
    allAgree(106, 2, 2e-5, [&](Backend& b, Random& random) {
      Case c = randomCase(random, kind, false);
      c.shape = {4200, 1, 5}, c.batch = 3, c.divisor = 4200;
      c.input = random.reals(laneElements(c.shape, 3), -1, 3), c.gradient = randomGradient(random, c.shape, 3);
      c.weight = random.reals(4200), c.bias.clear();
      addStates(random, c);
      const Result r = compute(b, c);
      return Results{r.output, r.gradInput, r.gradWeight, r.gradBias};
    });
}

TEST_CASE("norms of one example: a variance far below the mean, and infinities stay in their image") {
  for (Kind kind : {Kind::kLayer, Kind::kGroup, Kind::kInstance})
    allAgree(102, 20, 2e-4, [&](Backend& b, Random& random) {
      Case c = randomCase(random, kind, false);
      c.shape = {24, random.integer(3, 5), random.integer(5, 9)}, c.groupStart.clear();
      c.groups = kind == Kind::kGroup ? 3 : 24;
      c.divisor = kind == Kind::kLayer ? 24 : kind == Kind::kGroup ? 8 : 1;
      c.weight.clear(), c.bias.clear();
      c.input = random.reals(laneElements(c.shape, c.batch), 100, 101);
      c.gradient = randomGradient(random, c.shape, c.batch);
      return Results{compute(b, c).output};
    });
  for (auto& backend : testedBackends())
    for (Kind kind : kKinds) {
      Random random(103);
      Case c = randomCase(random, kind, false);
      c.batch = 3, c.shape = {4, 2, 2}, c.groups = kind == Kind::kInstance ? 4 : 2, c.groupStart.clear();
      c.divisor = kind == Kind::kInstance ? 1 : 4;
      c.weight.clear(), c.bias.clear();
      c.input = random.reals(laneElements(c.shape, 3)), c.gradient = randomGradient(random, c.shape, 3);
      c.input[laneOffset(c.shape, 1, 2, 0, 1)] = HUGE_VALF;
      const auto y = compute(*backend, c).output;
      for (int k = 0; k < 4; k++)
        for (int p = 0; p < 4; p++)
          for (int n : {0, 2}) CHECK(std::isfinite(y[laneOffset(c.shape, n, k, 0, p)]));
      CHECK(std::isnan(y[laneOffset(c.shape, 1, 2, 0, 1)]));
    }
}

TEST_CASE("norms of one example: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(104);
  for (Kind kind : kKinds)
    for (int trial = 0; trial < 8; trial++) {
      CAPTURE(int(kind));
      Case c = randomCase(random, kind, trial % 2 == 1);
      if (c.shape.elements() > 500) continue;
      c.weight.resize(std::size_t(c.shape.channels), 0.5f), c.bias.resize(std::size_t(c.shape.channels), 0.25f);
      // An output that never moves takes no gradient; what is not written stands for none either.
      for (std::size_t k = 0; k < c.outputState.size(); k++)
        if (c.outputState[k] != kLive) c.weight[k] = c.bias[k] = 0;
      auto loss = [&](const Case& moved) {
        auto y = compute(*reference, moved).output;
        for (std::size_t i = 0; i < y.size(); i++) {
          const std::size_t k = i / (std::size_t(c.shape.pixels()) * kLanes) % std::size_t(c.shape.channels);
          if (!c.outputState.empty() && c.outputState[k] != kLive) y[i] = 0;
        }
        return dot(y, c.gradient);
      };
      auto live = [&](std::size_t k) { return c.outputState.empty() || c.outputState[k] == kLive; };
      const Result r = compute(*reference, c);
      auto with = [&](std::vector<float> Case::*field) {
        return [&, field](const std::vector<float>& values) {
          Case moved = c;
          moved.*field = values;
          return loss(moved);
        };
      };
      if (c.shape.pixels() > 1 || kind != Kind::kInstance)  // else the variance is 0 and epsilon all there is
        checkGradient(random, c.input, r.gradInput, with(&Case::input), 2e-2, belongsTo(c.shape, c.batch, c.inputState),
                      2e-3f);
      checkGradient(random, c.weight, r.gradWeight, with(&Case::weight), 5e-3, live);
      checkGradient(random, c.bias, r.gradBias, with(&Case::bias), 5e-3, live);
    }
}

TEST_CASE("norms of one example: the same function with zero channels, as kZero and after they are gone") {
  for (auto& backend : testedBackends())
    for (Kind kind : kKinds)
      for (int trial = 0; trial < cases(12); trial++) {
        CAPTURE(int(kind));
        CAPTURE(trial);
        Random random(1050 + std::uint64_t(trial));
        Case c = randomCase(random, kind, false);
        if (kind == Kind::kInstance) continue;  // a group that is gone leaves nothing to compare
        c.weight.resize(std::size_t(c.shape.channels), 1.5f), c.bias.resize(std::size_t(c.shape.channels), 0.5f);
        if (c.kind == Kind::kGroup && c.groupStart.empty())
          for (int g = 0; g <= c.groups; g++) c.groupStart.push_back(c.shape.channels / c.groups * g);
        std::vector<bool> keep(std::size_t(c.shape.channels), true);
        for (int k = 0; k < c.shape.channels; k++)
          if (random.chance(0.4) &&
              !(c.kind == Kind::kGroup && std::count(c.groupStart.begin(), c.groupStart.end(), k) > 0) && k > 0) {
            keep[std::size_t(k)] = false;
            c.weight[std::size_t(k)] = c.bias[std::size_t(k)] = 0;
            for (int n = 0; n < blocksOf(c.batch) * kLanes; n++)
              for (int p = 0; p < c.shape.pixels(); p++) c.input[laneOffset(c.shape, n, k, 0, p)] = 0;
          }
        const Result whole = compute(*backend, c);
        Case marked = c;
        for (bool kept : keep) {
          marked.inputState.push_back(kept ? kLive : kZero);
          marked.outputState.push_back(kept ? kLive : kZero);
        }
        const Case less = withoutChannels(c, keep);
        const Result skipped = compute(*backend, marked), gone = compute(*backend, less);
        auto kept = [&](const std::vector<float>& values, const std::vector<float>& gradient) {
          Case holder = c;
          holder.input = values, holder.gradient = gradient;
          const Case part = withoutChannels(holder, keep);
          return std::pair(part.input, part.gradient);
        };
        const auto [wholeY, wholeDx] = kept(whole.output, whole.gradInput);
        const auto [skippedY, skippedDx] = kept(skipped.output, skipped.gradInput);
        CHECK(difference(skippedY, wholeY) < 1e-5);
        CHECK(difference(gone.output, wholeY) < 1e-5);
        CHECK(difference(skippedDx, wholeDx) < 2e-5);
        CHECK(difference(gone.gradInput, wholeDx) < 2e-5);
      }
}

TEST_CASE("norms of one example: PyTorch's numbers") {
  auto reference = makeReferenceBackend();
  // One image of 4 channels and 2 positions: x = 0, 1, 4, 9, 16, 25, 36, 49 in order of channels.
  auto normed = [&](Kind kind, int groups) {
    Case c;
    c.kind = kind, c.shape = {4, 1, 2}, c.batch = 1, c.groups = groups;
    c.divisor = kind == Kind::kGroup ? 4 / groups : kind == Kind::kInstance ? 1 : 4;
    c.input.assign(std::size_t(laneElements(c.shape, 1)), 0.0f), c.gradient = c.input;
    for (int k = 0; k < 4; k++)
      for (int p = 0; p < 2; p++) c.input[laneOffset(c.shape, 0, k, 0, p)] = float((2 * k + p) * (2 * k + p));
    c.weight = {1, 2, 3, 4}, c.bias = {0, 1, 0, -1};
    const auto y = compute(*reference, c).output;
    std::vector<double> values;
    for (int k = 0; k < 4; k++)
      for (int p = 0; p < 2; p++) values.push_back(double(y[laneOffset(c.shape, 0, k, 0, p)]));
    return values;
  };
  auto same = [](const std::vector<double>& a, const std::vector<double>& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); i++) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-6));
  };
  same(normed(Kind::kLayer, 1),
       {-0.999999974, -1.09108943, -0.428571392, -0.309307322, 0.428571418, 0.654653661, 5.28571413, 5.11010084});
  same(normed(Kind::kRms, 1), {0, 0.0358747999, 1.40406101, 1.6457464, 2.42436608, 2.69061, 6.27309823, 6.03146079});
  same(normed(Kind::kGroup, 2),
       {-0.999999592, -0.714285423, 1.28571417, 4.14285586, -3.76855005, -1.5803597, 0.458793569, 4.6730861});
  same(normed(Kind::kInstance, 4),
       {-0.999980001, 0.999980001, -0.9999984, 2.9999984, -2.99999926, 2.99999926, -4.99999953, 2.99999953});
}
