// Every activation and PReLU: every backend against the reference, the reference against PyTorch's numbers and finite
// differences, channels that are zero.
#include "test/agreement.h"

using namespace test;

namespace {

struct Function {
  Activation kind;
  float alpha, beta, low, high;  // parameters, and where its input is drawn from
};
const Function kFunctions[] = {
    {Activation::kRelu, 0, 0, -8, 8},
    {Activation::kGelu, 0, 0, -8, 8},
    {Activation::kSilu, 0, 0, -8, 8},
    {Activation::kGeluTanh, 0, 0, -8, 8},
    {Activation::kSigmoid, 0, 0, -20, 20},
    {Activation::kTanh, 0, 0, -4, 4},
    {Activation::kHardSigmoid, 1.0f / 6, 0.5f, -5, 5},
    {Activation::kHardSigmoid, 0.2f, 0.4f, -5, 5},
    {Activation::kHardSwish, 0, 0, -5, 5},
    {Activation::kLeakyRelu, 0.01f, 0, -8, 8},
    {Activation::kClip, 0, 6, -3, 9},
    {Activation::kClip, 0.5f, 2, -3, 3},
    {Activation::kElu, 1, 0, -6, 3},
    {Activation::kElu, 0.7f, 0, -0.5f, 0.5f},
    {Activation::kSoftplus, 0, 0, -20, 20},
    {Activation::kExp, 0, 0, -10, 10},
    {Activation::kLog, 0, 0, 1e-3f, 8},
    {Activation::kSqrt, 0, 0, 1e-2f, 8},
    {Activation::kAbs, 0, 0, -8, 8},
    {Activation::kSquare, 0, 0, -8, 8},
    {Activation::kReciprocal, 0, 0, 0.2f, 8},
    {Activation::kAffine, -2.5f, 0.75f, -8, 8},
    {Activation::kAffine, 3, 0, -8, 8},
};

float valueOf(Backend& b, const Function& f, float x) {
  Buffer<float> in(b, kLanes, x), out(b, kLanes, 0.0f);
  b.run(ActivationForward{f.kind, {1, 1, 1}, 1, in.get(), nullptr, out.get(), f.alpha, f.beta});
  return out.values()[0];
}
float slopeOf(Backend& b, const Function& f, float x) {
  Buffer<float> in(b, kLanes, x), g(b, kLanes, 1.0f), d(b, kLanes, 0.0f);
  b.run(ActivationBackward{f.kind, {1, 1, 1}, 1, in.get(), g.get(), nullptr, d.get(), f.alpha, f.beta});
  return d.values()[0];
}

}  // namespace

TEST_CASE("every activation agrees with the reference, forward and backward") {
  for (const Function& f : kFunctions)
    for (bool backward : {false, true}) {
      CAPTURE(int(f.kind));
      agrees(61, 16, 2e-6, [&](Backend& b, Random& random) {
        const Shape s = randomShape(random);
        const int batch = random.integer(1, 40);
        auto values = random.reals(laneElements(s, batch), f.low, f.high);
        if (random.chance(0.4)) addSpecialValues(random, values);
        // a reciprocal and its slope, and e^90, would be the scale of all other errors
        if (f.kind == Activation::kReciprocal || f.kind == Activation::kExp || f.kind == Activation::kLog ||
            f.kind == Activation::kSqrt)
          for (float& v : values) v = std::isfinite(v) && !(v >= f.low && v <= f.high) ? f.low : v;
        for (std::size_t i = 0; i < values.size(); i++)
          if (!belongsTo(s, batch)(i)) values[i] = 0;  // what padding lanes often hold
        Buffer<float> x(b, values), g(b, randomGradient(random, s, batch)), y(b, laneElements(s, batch), 5.0f);
        Buffer<std::int32_t> state(b, randomStates(random, s.channels));
        if (backward)
          b.run(ActivationBackward{f.kind, s, batch, x.get(), g.get(), state.get(), y.get(), f.alpha, f.beta});
        else b.run(ActivationForward{f.kind, s, batch, x.get(), state.get(), y.get(), f.alpha, f.beta});
        return y.values();
      });
    }
}

TEST_CASE("activations: single values to a few units in the last place") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends()) {
    CAPTURE(backend->name());
    for (const Function& f : kFunctions) {
      CAPTURE(int(f.kind));
      if (f.kind == Activation::kGelu) continue;  // its erf has an absolute error of 1.5e-7
      for (float x : {1e-30f, 1e-5f, 0.003f, 0.3f,    0.62f, 0.63f,  0.9f,   1.0f,  1.4142f, 2.5f,   7.0f,
                      19.0f,  3e5f,  -1e-5f, -0.003f, -0.3f, -0.35f, -0.62f, -2.9f, -7.5f,   -19.0f, 1e-40f}) {
        const double expected = double(valueOf(*reference, f, x)), actual = double(valueOf(*backend, f, x));
        CAPTURE(x);
        const bool same = expected == actual || (std::isnan(expected) && std::isnan(actual));
        // Sums of terms of size 1 may cancel, an exponent of 40 has a rounding of its own, and e^x below the smallest
        // normal number is 0.
        const bool cancels =
            f.kind == Activation::kAffine || f.kind == Activation::kHardSigmoid || f.kind == Activation::kHardSwish;
        const double relative = f.kind == Activation::kGeluTanh ? 1e-5 : 6e-7;
        CHECK((same || std::fabs(actual - expected) <= relative * std::fabs(expected) + (cancels ? 3e-7 : 1e-37)));
      }
    }
  }
}

TEST_CASE("activations: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  for (const Function& f : kFunctions)
    for (float x : {-5.0f, -1.3f, -0.2f, 0.4f, 1.7f, 6.5f}) {
      if (x < f.low) continue;
      CAPTURE(int(f.kind));
      CAPTURE(x);
      const float up = x + 0.01f, down = x - 0.01f;
      const double numeric =
          (double(valueOf(*reference, f, up)) - double(valueOf(*reference, f, down))) / (double(up) - double(down));
      CHECK(std::fabs(double(slopeOf(*reference, f, x)) - numeric) < 2e-3 * (1 + std::fabs(numeric)));
    }
}

TEST_CASE("activations: PyTorch's values, and its slopes at corners") {
  auto reference = makeReferenceBackend();
  auto value = [&](Activation kind, float x, float alpha = 0, float beta = 0) {
    return double(valueOf(*reference, {kind, alpha, beta, 0, 0}, x));
  };
  auto slope = [&](Activation kind, float x, float alpha = 0, float beta = 0) {
    return slopeOf(*reference, {kind, alpha, beta, 0, 0}, x);
  };
  auto near = [](double v) { return doctest::Approx(v).epsilon(1e-6); };
  CHECK(value(Activation::kGeluTanh, -1.25f) == near(-0.132285797));
  CHECK(value(Activation::kHardSigmoid, -1.25f, 1.0f / 6, 0.5f) == near(0.291666667));
  CHECK(value(Activation::kHardSwish, -1.25f) == near(-0.364583333));
  CHECK(value(Activation::kElu, -1.25f, 0.5f) == near(-0.356747602));
  CHECK(value(Activation::kSoftplus, -1.25f) == near(0.251929081));
  CHECK(value(Activation::kLeakyRelu, -1.25f, 0.125f) == near(-0.15625));
  CHECK(value(Activation::kGeluTanh, 0.75f) == near(0.579960555));
  CHECK(value(Activation::kHardSigmoid, 0.75f, 1.0f / 6, 0.5f) == near(0.625));
  CHECK(value(Activation::kHardSwish, 0.75f) == near(0.46875));
  CHECK(value(Activation::kElu, 0.75f, 0.5f) == near(0.75));
  CHECK(value(Activation::kSoftplus, 0.75f) == near(1.13687101));
  CHECK(value(Activation::kLeakyRelu, 0.75f, 0.125f) == near(0.75));
  CHECK(slope(Activation::kClip, 6, 0, 6) == 0);
  CHECK(slope(Activation::kClip, 0, 0, 6) == 0);
  CHECK(slope(Activation::kHardSigmoid, 0, 0.25f, 0.0f) == 0);
  CHECK(slope(Activation::kAbs, 0) == 0);
  CHECK(slope(Activation::kLeakyRelu, 0, 0.25f) == 0.25f);
  CHECK(slope(Activation::kElu, 0, 0.5f) == 0.5f);
  CHECK(slope(Activation::kHardSwish, 3) == 1.5f);
}

TEST_CASE("a channel that is exactly zero becomes f(0), and is written only where that is not zero") {
  for (auto& backend : testedBackends())
    for (const Function& f : kFunctions) {
      CAPTURE(int(f.kind));
      const Shape s{2, 1, 3};
      Buffer<float> x(*backend, laneElements(s, 1), 7.0f), y(*backend, laneElements(s, 1), 5.0f);
      Buffer<std::int32_t> state(*backend, {kLive, kZero});
      backend->run(ActivationForward{f.kind, s, 1, x.get(), state.get(), y.get(), f.alpha, f.beta});
      auto reference = makeReferenceBackend();
      const float atZero = activationOfZero(f.kind, f.alpha, f.beta);
      CHECK(atZero == valueOf(*reference, f, 0));
      CHECK(y.values()[laneOffset(s, 0, 1, 0, 2)] == (atZero == 0 ? 5.0f : atZero));
      CHECK(y.values()[laneOffset(s, 0, 0, 0, 2)] != 5.0f);
    }
}

TEST_CASE("PReLU agrees with the reference") {
  allAgree(62, 60, 3e-6, [&](Backend& b, Random& random) {
    const Shape s{random.integer(1, 9), random.integer(1, 9), random.integer(1, 30)};
    const int batch = random.integer(1, 40);
    const bool shared = random.chance(0.3);
    Buffer<float> x(b, random.reals(laneElements(s, batch))), g(b, randomGradient(random, s, batch)),
        y(b, laneElements(s, batch), 5.0f), dx(b, laneElements(s, batch), 5.0f),
        slope(b, random.reals(shared ? 1 : s.channels)), dSlope(b, shared ? 1 : s.channels, 5.0f);
    auto states = randomStates(random, s.channels);
    Buffer<std::int32_t> state(b, states);
    const std::int32_t* given = random.chance(0.7) ? state.get() : nullptr;
    b.run(PReluForward{s, batch, x.get(), slope.get(), shared, given, y.get()});
    b.run(PReluBackward{s, batch, x.get(), g.get(), slope.get(), shared, given, dx.get(), dSlope.get()});
    CHECK(paddingIsZero(dx.values(), s, batch, given ? states : std::vector<std::int32_t>()));
    return Results{y.values(), dx.values(), dSlope.values()};
  });
}

TEST_CASE("PReLU: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(63);
  for (bool shared : {false, true}) {
    const Shape s{3, 2, 4};
    const int batch = 18;
    const auto values = random.reals(laneElements(s, batch)), slopes = random.reals(shared ? 1 : 3),
               gradient = randomGradient(random, s, batch);
    auto loss = [&](const std::vector<float>& v, const std::vector<float>& k) {
      Buffer<float> x(*reference, v), slope(*reference, k), y(*reference, laneElements(s, batch), 0.0f);
      reference->run(PReluForward{s, batch, x.get(), slope.get(), shared, nullptr, y.get()});
      return dot(y.values(), gradient);
    };
    Buffer<float> x(*reference, values), slope(*reference, slopes), g(*reference, gradient),
        dx(*reference, laneElements(s, batch), 0.0f), dSlope(*reference, shared ? 1 : 3, 0.0f);
    reference->run(PReluBackward{s, batch, x.get(), g.get(), slope.get(), shared, nullptr, dx.get(), dSlope.get()});
    checkGradient(
        random, slopes, dSlope.values(), [&](const auto& k) { return loss(values, k); }, 1e-3);
    checkGradient(
        random, values, dx.values(), [&](const auto& v) { return loss(v, slopes); }, 1e-3,
        [&](std::size_t i) { return std::fabs(values[i]) > 0.02f && belongsTo(s, batch)(i); });
  }
}
