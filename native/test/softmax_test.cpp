// Softmax over channels and over the last axis: every backend against the reference, gradients, extreme values.
#include "test/agreement.h"

using namespace test;

namespace {

constexpr SoftmaxAxis kAxes[] = {SoftmaxAxis::kChannels, SoftmaxAxis::kWidth};

}  // namespace

TEST_CASE("softmax agrees with the reference") {
  for (SoftmaxAxis axis : kAxes)
    for (bool logarithm : {false, true}) {
      CAPTURE(int(axis));
      CAPTURE(logarithm);
      allAgree(81, 40, 3e-6, [&](Backend& b, Random& random) {
        Shape s = randomShape(random);
        if (random.chance(0.2)) s = {random.integer(100, 300), 1, random.integer(1, 40)};
        const int batch = random.integer(1, 40);
        auto values = random.reals(laneElements(s, batch), -10, 10);
        if (random.chance(0.2)) values[laneOffset(s, 0, 0, 0, 0)] = 500;
        if (random.chance(0.2)) values[laneOffset(s, 0, s.channels - 1, 0, s.width - 1)] = -HUGE_VALF;
        if (random.chance(0.1)) values[laneOffset(s, 0, 0, 0, s.width / 2)] = std::nanf("");
        Buffer<float> x(b, values), g(b, randomGradient(random, s, batch)), y(b, laneElements(s, batch), 5.0f),
            dx(b, laneElements(s, batch), 5.0f);
        b.run(SoftmaxForward{s, batch, axis, logarithm, x.get(), y.get()});
        b.run(SoftmaxBackward{s, batch, axis, logarithm, y.get(), g.get(), dx.get()});
        CHECK(paddingIsZero(dx.values(), s, batch));
        b.run(SoftmaxForward{s, batch, axis, logarithm, x.get(), x.get()});
        CHECK(sameBits(x.values(), y.values()));
        b.run(SoftmaxBackward{s, batch, axis, logarithm, y.get(), g.get(), g.get()});
        CHECK(sameBits(g.values(), dx.values()));
        return Results{y.values(), dx.values()};
      });
    }
}

TEST_CASE("softmax: more channels than the caches hold side by side") {
  for (bool logarithm : {false, true})
    allAgree(84, 2, 1e-5, [&](Backend& b, Random& random) {
      const Shape s{4200, 1, 5};
      Buffer<float> x(b, random.reals(laneElements(s, 3), -10, 10)), g(b, randomGradient(random, s, 3)),
          y(b, laneElements(s, 3), 5.0f);
      b.run(SoftmaxForward{s, 3, SoftmaxAxis::kChannels, logarithm, x.get(), y.get()});
      b.run(SoftmaxBackward{s, 3, SoftmaxAxis::kChannels, logarithm, y.get(), g.get(), g.get()});
      return Results{y.values(), g.values()};
    });
}

TEST_CASE("softmax: shares add up to one, whatever is added to the logits") {
  for (auto& backend : testedBackends()) {
    Random random(82);
    const Shape s{7, 1, 5};
    auto values = random.reals(laneElements(s, 3));
    auto shares = [&](float shift) {
      auto moved = values;
      for (float& v : moved) v += shift;
      Buffer<float> x(*backend, moved), y(*backend, laneElements(s, 3), 0.0f);
      backend->run(SoftmaxForward{s, 3, SoftmaxAxis::kChannels, false, x.get(), y.get()});
      return y.values();
    };
    const auto y = shares(0);
    double sum = 0;
    for (int k = 0; k < 7; k++) sum += double(y[laneOffset(s, 2, k, 0, 4)]);
    CHECK(sum == doctest::Approx(1).epsilon(1e-6));
    CHECK(difference(shares(64), y) < 1e-5);
  }
}

TEST_CASE("softmax: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(83);
  for (SoftmaxAxis axis : kAxes)
    for (bool logarithm : {false, true}) {
      const Shape s{4, 2, 3};
      const int batch = 17;
      const auto values = random.reals(laneElements(s, batch), -2, 2), gradient = randomGradient(random, s, batch);
      auto run = [&](const std::vector<float>& v, std::vector<float>* dx) {
        Buffer<float> x(*reference, v), y(*reference, laneElements(s, batch), 0.0f), g(*reference, gradient);
        reference->run(SoftmaxForward{s, batch, axis, logarithm, x.get(), y.get()});
        const double loss = dot(y.values(), gradient);
        reference->run(SoftmaxBackward{s, batch, axis, logarithm, y.get(), g.get(), g.get()});
        if (dx) *dx = g.values();
        return loss;
      };
      std::vector<float> dx;
      run(values, &dx);
      checkGradient(
          random, values, dx, [&](const auto& v) { return run(v, nullptr); }, 1e-3, belongsTo(s, batch));
    }
}
