// Batch normalisation: every instruction set against the reference, with an activation and with one behind it; the
// reference against finite differences.
#include "test/agreement.h"

using namespace test;

namespace {

struct Case {
  Shape shape;
  int batch;
  std::vector<float> input, weight, bias, mean, variance, gradient;
  std::vector<std::int32_t> inputState, outputState;
  bool training, affine, states, mask;
  AppliedActivation activation;
};

constexpr std::pair<NormActivation, Activation> kActivations[] = {
#define SELFCOMPRESS_PAIR(kKind) {NormActivation::kKind, Activation::kKind},
    SELFCOMPRESS_NORM_ACTIVATIONS(SELFCOMPRESS_PAIR)
#undef SELFCOMPRESS_PAIR
};
constexpr int kActivationCount = int(std::size(kActivations));

// Every fourth without one.
AppliedActivation randomActivation(Random& random) {
  if (random.chance(0.25)) return {};
  const NormActivation kind = kActivations[random.integer(0, kActivationCount - 1)].first;
  if (kind == NormActivation::kClip) return {kind, random.real(-0.6f, 0), random.real(0.1f, 1.5f)};
  return {kind, random.real(0, 0.4f)};
}

Case randomCase(Random& random) {
  Case c;
  c.shape = {random.integer(1, 9), random.integer(1, 7), random.integer(1, 7)};
  c.batch = random.integer(1, 40);
  if (c.batch * c.shape.pixels() < 2) c.batch = 2;
  c.training = random.chance(0.6), c.affine = random.chance(0.7), c.states = random.chance(0.5),
  c.mask = random.chance(0.3);
  c.activation = randomActivation(random);
  auto n = laneElements(c.shape, c.batch);
  c.input = random.reals(n, -1, 3);
  c.gradient = random.reals(n);
  c.weight = random.reals(c.shape.channels, 0.5f, 2), c.bias = random.reals(c.shape.channels);
  c.mean = random.reals(c.shape.channels), c.variance = random.reals(c.shape.channels, 0.1f, 2);
  for (int ch = 0; ch < c.shape.channels; ch++) {
    int s = random.integer(0, 4);
    c.inputState.push_back(s == 1 ? kConstant : s == 2 ? kZero : kLive);
    c.outputState.push_back(c.inputState.back() == kLive ? kLive : random.chance(0.5) ? kConstant : kZero);
  }
  for (int i = c.batch; i < blocksOf(c.batch) * kLanes; i++)  // padding lanes of a gradient are zero
    for (int ch = 0; ch < c.shape.channels; ch++)
      for (int p = 0; p < c.shape.pixels(); p++) c.gradient[laneOffset(c.shape, i, ch, 0, p)] = 0;
  return c;
}

struct Result {
  std::vector<float> output, mean, variance, gradInput, gradWeight, gradBias;
};

// apart: the activation as operations of its own.
Result compute(Backend& b, const Case& c, bool apart = false) {
  int channels = c.shape.channels;
  auto n = laneElements(c.shape, c.batch);
  Buffer<float> x(b, c.input), w(b, c.weight), bias(b, c.bias), mean(b, c.mean), variance(b, c.variance), y(b, n, 5.0f),
      g(b, c.gradient), dx(b, n, 5.0f), dw(b, channels, 5.0f), db(b, channels, 5.0f), saved(b, 3 * channels, 0.0f);
  Buffer<std::int32_t> in(b, c.inputState), out(b, c.outputState);
  BatchNormForward f;
  f.shape = c.shape, f.batch = c.batch, f.training = c.training, f.input = x.get();
  f.weight = c.affine ? w.get() : nullptr, f.bias = c.affine ? bias.get() : nullptr;
  f.runningMean = mean.get(), f.runningVar = variance.get(), f.inputState = c.states ? in.get() : nullptr,
  f.outputState = c.states ? out.get() : nullptr;
  f.savedMean = saved.get(), f.savedInvStd = saved.get() + channels, f.savedShift = saved.get() + 2 * channels,
  f.activation = c.activation, f.output = y.get();
  Activation kind = Activation::kAffine;
  for (const auto& [applied, plain] : kActivations)
    if (applied == c.activation.kind) kind = plain;
  const bool one = !apart || c.activation.kind == NormActivation::kNone;
  Buffer<float> z(b, n, 5.0f), dz(b, n, 5.0f);
  if (!one) f.activation = {};
  b.run(f);
  if (!one) {
    ActivationForward activate{
        kind, c.shape, c.batch, y.get(), f.outputState, z.get(), c.activation.alpha, c.activation.beta};
    b.run(activate);
  }
  if (c.training) {
    if (!one)
      b.run(ActivationBackward{kind, c.shape, c.batch, y.get(), g.get(), f.outputState, dz.get(), c.activation.alpha,
                               c.activation.beta});
    BatchNormBackward r;
    r.shape = c.shape, r.batch = c.batch, r.input = x.get(), r.gradOutput = one ? g.get() : dz.get(),
    r.weight = f.weight, r.bias = f.bias, r.activation = f.activation, r.savedMean = saved.get(),
    r.savedInvStd = saved.get() + channels, r.savedShift = saved.get() + 2 * channels;
    r.inputState = f.inputState, r.outputState = f.outputState, r.reluInput = c.mask ? x.get() : nullptr;
    r.gradInput = dx.get(), r.gradWeight = dw.get(), r.gradBias = db.get();
    b.run(r);
  }
  return {one ? y.values() : z.values(), mean.values(), variance.values(), dx.values(), dw.values(), db.values()};
}

// Where what the activation gets is within rounding of one of its corners, its slope may be that of either side.
bool nearCorner(Backend& reference, Case c) {
  std::vector<float> corners{0};
  if (c.activation.kind == NormActivation::kNone || c.activation.kind == NormActivation::kSilu) return false;
  if (c.activation.kind == NormActivation::kClip) corners = {c.activation.alpha, c.activation.beta};
  if (c.activation.kind == NormActivation::kHardSwish) corners = {-3, 3};
  c.activation = {};
  for (float y : compute(reference, c).output)
    for (float corner : corners)
      if (std::fabs(y - corner) < 1e-5f) return true;
  return false;
}

// As the other one, but for what padding lanes of the output hold.
std::vector<float> outputOf(const Result& r, const Case& c) {
  std::vector<float> output = r.output;
  for (int i = c.batch; i < blocksOf(c.batch) * kLanes; i++)
    for (int ch = 0; ch < c.shape.channels; ch++)
      for (int p = 0; p < c.shape.pixels(); p++) output[laneOffset(c.shape, i, ch, 0, p)] = 0;
  return output;
}

}  // namespace

TEST_CASE("batch norm with an activation: as with one behind it, to the bit where nothing is contracted") {
  std::vector<std::unique_ptr<Backend>> backends = testedBackends();
  const bool bits = backends.front()->readsHostMemory();
  backends.push_back(makeReferenceBackend());
  for (auto& backend : backends) {
    Random random(5);
    CAPTURE(backend->name());
    for (int trial = 0; trial < cases(200); trial++) {
      CAPTURE(trial);
      Case c = randomCase(random);
      if (trial % 5 == 0) addSpecialValues(random, c.gradient);
      CAPTURE(int(c.activation.kind));
      const Result one = compute(*backend, c), two = compute(*backend, c, true);
      const std::vector<std::pair<std::vector<float>, std::vector<float>>> pairs{
          {outputOf(one, c), outputOf(two, c)}, {one.mean, two.mean},
          {one.variance, two.variance},         {one.gradInput, two.gradInput},
          {one.gradWeight, two.gradWeight},     {one.gradBias, two.gradBias}};
      for (const auto& [a, b] : pairs) CHECK(difference(a, b) <= (bits ? 0 : 1e-6));
    }
  }
}

TEST_CASE("batch norm: every instruction set agrees with the reference") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends()) {
    Random random(3);
    CAPTURE(backend->name());
    for (int trial = 0; trial < cases(200); trial++) {
      CAPTURE(trial);
      PastCaches past{std::uint64_t(trial)};
      Case c = randomCase(random);
      Result expected = compute(*reference, c), actual = compute(*backend, c);
      const bool edge = nearCorner(*reference, c);
      CHECK(difference(actual.output, expected.output) < 1e-5);
      CHECK(difference(actual.mean, expected.mean) < 1e-5);
      CHECK(difference(actual.variance, expected.variance) < 1e-5);
      if (edge) continue;
      CHECK(difference(actual.gradInput, expected.gradInput) < 1e-4);
      CHECK(difference(actual.gradWeight, expected.gradWeight) < 1e-4);
      CHECK(difference(actual.gradBias, expected.gradBias) < 1e-4);
      sameForAllThreads([&] { return compute(*backend, c).gradInput; });
    }
  }
}

TEST_CASE("batch norm: reference gradients against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(4);
  for (int trial = 0; trial < cases(20); trial++) {
    Case c = randomCase(random);
    c.training = true, c.affine = true, c.states = c.mask = false;
    // Of those with an activation, the smooth one.
    c.activation = {trial % 2 ? NormActivation::kSilu : NormActivation::kNone};
    auto loss = [&](const Case& k) {
      auto y = compute(*reference, k).output;
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); i++) sum += double(y[i]) * double(k.gradient[i]);
      return sum;
    };
    Result r = compute(*reference, c);
    float h = 1e-2f;
    for (int probe = 0; probe < 5; probe++) {
      int image = random.integer(0, c.batch - 1), channel = random.integer(0, c.shape.channels - 1);
      std::size_t at = laneOffset(c.shape, image, channel, 0, random.integer(0, c.shape.pixels() - 1));
      Case up = c, down = c;
      up.input[at] += h, down.input[at] -= h;
      double numeric = (loss(up) - loss(down)) / (2 * double(h));
      CHECK(std::fabs(double(r.gradInput[at]) - numeric) < 5e-3 * (1 + std::fabs(numeric)));
      up = c, down = c;
      up.weight[std::size_t(channel)] += h, down.weight[std::size_t(channel)] -= h;
      CHECK(double(r.gradWeight[std::size_t(channel)]) ==
            doctest::Approx((loss(up) - loss(down)) / (2 * double(h))).epsilon(1e-2));
    }
  }
}
