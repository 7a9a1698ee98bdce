// Losses, optimizers, clipping, batches: every instruction set against the reference, known values, and finite
// differences.
#include <limits>

#include "test/support.h"

using namespace test;

TEST_CASE("cross-entropy: every instruction set agrees with the reference") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(100); trial++) {
      auto run = [&](Backend& b) {
        Random random(std::uint64_t(trial) + 500);
        int classes = random.integer(2, 120), batch = random.integer(1, 70);
        Shape s{classes, 1, 1};
        auto values = random.reals(laneElements(s, batch), -20, 20);
        if (trial % 10 == 0) values[laneOffset(s, 0, 1, 0, 0)] = 300;
        std::vector<std::int32_t> labels;
        for (int i = 0; i < batch; i++) labels.push_back(random.integer(0, classes - 1));
        Buffer<float> z(b, values), g(b, laneElements(s, batch), 5.0f);
        Buffer<std::int32_t> label(b, labels);
        Buffer<LossResult> result(b, std::vector<LossResult>(1));
        b.run(CrossEntropy{classes, batch, trial % 2 ? 0.1f : 0.0f, z.get(), label.get(), g.get(), result.get()});
        auto out = g.values();
        auto sums = result.values()[0];
        CHECK(sums.count == batch);
        out.push_back(float(sums.lossSum / batch));
        out.push_back(float(sums.correct));
        return out;
      };
      auto actual = sameForAllThreads([&] { return run(*backend); }), expected = run(*reference);
      CHECK(actual.back() == expected.back());
      actual.pop_back(), expected.pop_back();
      CHECK(actual.back() == doctest::Approx(expected.back()).epsilon(1e-5));
      actual.pop_back(), expected.pop_back();
      CHECK(difference(actual, expected) < 1e-5);
    }
}

TEST_CASE("cross-entropy: gradient against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(7);
  Shape s{5, 1, 1};
  auto values = random.reals(laneElements(s, 3), -2, 2);
  auto loss = [&](const std::vector<float>& v, std::vector<float>* gradient) {
    Buffer<float> z(*reference, v), g(*reference, laneElements(s, 3), 0.0f);
    Buffer<std::int32_t> labels(*reference, {4, 0, 2});
    Buffer<LossResult> result(*reference, std::vector<LossResult>(1));
    reference->run(CrossEntropy{5, 3, 0.2f, z.get(), labels.get(), g.get(), result.get()});
    if (gradient) *gradient = g.values();
    return result.values()[0].lossSum / 3;
  };
  std::vector<float> gradient;
  loss(values, &gradient);
  for (int n = 0; n < 3; n++)
    for (int k = 0; k < 5; k++) {
      auto up = values, down = values;
      std::size_t at = laneOffset(s, n, k, 0, 0);
      up[at] += 1e-3f, down[at] -= 1e-3f;
      CHECK(double(gradient[at]) ==
            doctest::Approx((loss(up, nullptr) - loss(down, nullptr)) / double(up[at] - down[at])).epsilon(1e-4));
    }
}

TEST_CASE("mean squared error") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(50); trial++) {
      auto run = [&](Backend& b) {
        Random random(std::uint64_t(trial) + 900);
        Shape s{random.integer(1, 60), 1, 1};
        int batch = random.integer(1, 50);
        Buffer<float> y(b, random.reals(laneElements(s, batch))), t(b, random.reals(laneElements(s, batch))),
            g(b, laneElements(s, batch), 5.0f);
        Buffer<LossResult> result(b, std::vector<LossResult>(1));
        b.run(MeanSquaredError{s, batch, y.get(), t.get(), g.get(), result.get()});
        auto out = g.values();
        out.push_back(float(result.values()[0].lossSum / batch));
        return out;
      };
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) < 1e-5);
    }
}

TEST_CASE("optimizers: every instruction set agrees with the reference over several steps") {
  auto reference = makeReferenceBackend();
  for (Optimizer kind : {Optimizer::kSgd, Optimizer::kAdam, Optimizer::kAdamW})
    for (auto& backend : testedBackends())
      for (int trial = 0; trial < cases(40); trial++) {
        auto run = [&](Backend& b) {
          Random random(std::uint64_t(trial) + 1300);
          int channels = random.integer(1, 20), perChannel = random.integer(1, trial % 8 ? 50 : 3000),
              count = channels * perChannel;
          Buffer<float> w(b, random.reals(count)), m(b, count, 0.0f), v(b, count, 0.0f), rate(b, 1, 0.01f),
              clip(b, 1, 0.5f), bits(b, random.reals(channels, -1, 3));
          OptimizerStep a;
          a.kind = kind, a.count = count, a.parameter = w.get(), a.moment1 = m.get(),
          a.moment2 = kind == Optimizer::kSgd ? nullptr : v.get();
          a.learningRate = rate.get(), a.clipScale = trial % 2 ? clip.get() : nullptr, a.momentum = 0.9f,
          a.nesterov = trial % 3 == 0;
          a.weightDecay = trial % 2 ? 0.01f : 0.0f, a.frozenBitDepth = trial % 4 == 0 ? bits.get() : nullptr,
          a.perChannel = perChannel;
          for (int step = 1; step <= 3; step++) {
            Buffer<float> g(b, random.reals(count));
            Buffer<double> t(b, std::vector<double>{double(step)});
            a.gradient = g.get(), a.stepNumber = t.get();
            b.run(a);
            b.synchronize();
          }
          auto out = w.values(), moments = m.values();
          out.insert(out.end(), moments.begin(), moments.end());
          return out;
        };
        CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) < 2e-6);
      }
}

TEST_CASE("optimizers: the first step by hand") {
  auto reference = makeReferenceBackend();
  Buffer<float> w(*reference, 1, 1.0f), g(*reference, 1, 0.5f), m(*reference, 1, 0.0f), v(*reference, 1, 0.0f),
      rate(*reference, 1, 0.1f);
  Buffer<double> t(*reference, std::vector<double>{1});
  OptimizerStep a;
  a.kind = Optimizer::kAdam, a.count = 1, a.parameter = w.get(), a.gradient = g.get(), a.moment1 = m.get(),
  a.moment2 = v.get(), a.learningRate = rate.get(), a.stepNumber = t.get();
  reference->run(a);
  CHECK(w.values()[0] == doctest::Approx(0.9));  // Adam's first step is the rate
  Buffer<float> w2(*reference, 1, 1.0f), m2(*reference, 1, 0.0f);
  a.kind = Optimizer::kSgd, a.parameter = w2.get(), a.moment1 = m2.get(), a.moment2 = nullptr, a.momentum = 0.9f,
  a.nesterov = true;
  reference->run(a);
  CHECK(w2.values()[0] == doctest::Approx(1 - 0.1 * (0.5 + 0.9 * 0.5)));
}

TEST_CASE("gradient norm and clipping") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends()) {
    Random random(21);
    auto values = random.reals(100001);
    double expected = 0;
    for (float x : values) expected += double(x) * double(x);
    auto run = [&](Backend& b) {
      Buffer<float> g(b, values), scale(b, 1, 0.0f), norm(b, 1, 0.0f);
      Buffer<double> sum(b, std::vector<double>{0});
      b.run(SumOfSquares{100001, g.get(), sum.get()});
      b.run(ClipScale{sum.get(), 1.0f, scale.get(), norm.get()});
      return std::vector<float>{scale.values()[0], norm.values()[0]};
    };
    auto result = sameForAllThreads([&] { return run(*backend); });
    CHECK(double(result[1]) == doctest::Approx(std::sqrt(expected)).epsilon(1e-6));
    CHECK(double(result[0]) == doctest::Approx(1 / std::sqrt(expected)).epsilon(1e-4));
  }
}

TEST_CASE("bit depths: clamped to the limits of each, and 0 where dead") {
  for (auto& backend : testedBackends()) {
    Buffer<float> least(*backend, {0.0f, 0.0f, 1.0f, 0.0f}), most(*backend, {24.0f, 24.0f, 24.0f, 8.0f}),
        b(*backend, {30.0f, -1.0f, 0.5f, 9.0f});
    backend->run(ClampBitDepth{4, least.get(), most.get(), b.get()});
    CHECK(b.values() == std::vector<float>{24, 0, 1, 8});
    const float none = std::numeric_limits<float>::quiet_NaN();
    Buffer<float> nan(*backend, {none, 3.0f, none, 1.0f});
    backend->run(ClampBitDepth{4, least.get(), most.get(), nan.get()});
    CHECK(std::isnan(nan.values()[0]));
    CHECK(std::isnan(nan.values()[2]));
    CHECK(nan.values()[1] == 3);
  }
}

TEST_CASE("families are never emptied: of what died last, the channel with the largest bit depth stays") {
  for (auto& backend : testedBackends()) {
    // A family of three classes that one member each makes alive, and one of two classes of two members each: a
    // convolution (3, 4) and the depthwise layer behind it (5, 6).
    Buffer<std::int32_t> familyStart(*backend, {0, 3, 5}), classStart(*backend, {0, 1, 2, 3, 4, 5}),
        setStart(*backend, {0, 1, 2, 3, 5, 7}), member(*backend, {0, 1, 2, 3, 5, 4, 6});
    auto keep = [&](std::vector<float> before, std::vector<float> after) {
      Buffer<float> old(*backend, before), b(*backend, after);
      backend->run(
          KeepFamilies{2, familyStart.get(), classStart.get(), setStart.get(), member.get(), old.get(), b.get()});
      return b.values();
    };
    const std::vector<float> alive{2, 3, 4, 2, 2, 2, 2};
    CHECK(keep(alive, alive) == alive);
    // All of the first family die at once: the one that had most bits stays; long dead ones do not come back.
    CHECK(keep({0, 3, 2, 2, 2, 2, 2}, {0, 0, 0, 2, 2, 2, 2}) == std::vector<float>{0, 1, 0, 2, 2, 2, 2});
    CHECK(keep({0, 2, 3, 2, 2, 2, 2}, {0, 0, 0, 2, 2, 2, 2}) == std::vector<float>{0, 0, 1, 2, 2, 2, 2});
    // The last one keeps a bit.
    CHECK(keep(alive, {0, 0, 0.25f, 2, 2, 2, 2}) == std::vector<float>{0, 0, 1, 2, 2, 2, 2});
    CHECK(keep(alive, {0, 0.5f, 0.25f, 2, 2, 2, 2}) == std::vector<float>{0, 0.5f, 0.25f, 2, 2, 2, 2});
    // Members of a family die in complementary channels: the class with the larger smallest member is kept, alive in
    // every member.
    CHECK(keep({2, 3, 4, 2, 4, 5, 3}, {2, 3, 4, 0, 4, 5, 0}) == std::vector<float>{2, 3, 4, 0, 4, 5, 1});
    // A family that came without a living channel is left alone.
    CHECK(keep({0, 0, 0, 2, 2, 2, 2}, {0, 0, 0, 2, 2, 2, 2}) == std::vector<float>{0, 0, 0, 2, 2, 2, 2});
  }
}

TEST_CASE("depth and range: gradients by the chain rule, and the range stays") {
  for (auto& backend : testedBackends()) {
    Buffer<float> bits(*backend, {3.0f, 0.0f, 2.0f}), exponent(*backend, {-4.0f, -5.0f, -6.0f}),
        before(*backend, 3, 9.0f);
    Buffer<float> gradBits(*backend, {0.5f, 0.0f, -1.0f}), gradExponent(*backend, {0.25f, 0.0f, 2.0f});
    backend->run(RangeGradients{3, bits.get(), gradExponent.get(), gradBits.get(), before.get()});
    CHECK(gradBits.values() == std::vector<float>{0.25f, 0, -3});
    CHECK(before.values() == std::vector<float>{3, 0, 2});
    Buffer<float> after(*backend, {2.5f, 0.0f, 0.0f});
    backend->run(KeepRange{3, before.get(), after.get(), exponent.get()});
    CHECK(exponent.values() == std::vector<float>{-3.5f, -5, -6});  // a channel that is or gets dead is left alone
  }
}

TEST_CASE("what dead channels leave decays to exactly zero") {
  for (auto& backend : testedBackends()) {
    Buffer<std::int32_t> state(*backend, {kLive, kConstant, kZero});
    Buffer<float> bias(*backend, {1.0f, 1.0f, -1.0f}), mean(*backend, {1.0f, 2.0f, 1.0f});
    for (int i = 0; i < 300; i++) backend->run(DecayDead{3, state.get(), 0.05f, bias.get(), mean.get()});
    CHECK(bias.values() == std::vector<float>{1, 0, 0});
    CHECK(mean.values() == std::vector<float>{1, 0, 0});
  }
}

TEST_CASE("batches: gathering, augmentation, layouts") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(60); trial++) {
      auto run = [&](Backend& b) {
        Random random(std::uint64_t(trial) + 1700);
        Shape s{random.integer(1, 3), random.integer(1, 12), random.integer(1, 12)};
        int count = random.integer(1, 30), batch = random.integer(1, 40);
        std::vector<std::uint8_t> bytes;
        for (std::int64_t i = 0; i < count * s.elements(); i++) bytes.push_back(std::uint8_t(random.integer(0, 255)));
        auto floats = random.reals(count * s.elements());
        std::vector<std::int32_t> order;
        for (int i = 0; i < batch; i++) order.push_back(random.integer(-1, count - 1));
        Buffer<std::int32_t> indices(b, order);
        Buffer<float> mean(b, random.reals(s.channels)), invStd(b, random.reals(s.channels, 1, 3)),
            out(b, laneElements(s, batch), 5.0f);
        Buffer<std::uint8_t> raw(b, bytes);
        Buffer<float> real(b, floats);
        Buffer<StepCounter> counter(b, std::vector<StepCounter>{{3, std::uint64_t(trial)}});
        Augmentation augmentation{random.integer(0, 3), random.chance(0.5), random.integer(0, 5)};
        if (random.chance(0.6)) augmentation.rotate = random.real(0, 180);
        if (random.chance(0.6)) augmentation.scale = random.real(0, 0.9f);
        if (random.chance(0.3) && (s.channels == 1 || s.channels == 3)) augmentation.colour = random.real(0, 1);
        if (random.chance(0.3)) augmentation.mixup = random.real(0, 2);
        if (random.chance(0.3)) augmentation.cutmix = random.real(0, 2);
        b.run(GatherImages{s, batch, trial % 2 ? raw.get() : nullptr, trial % 2 ? nullptr : real.get(), indices.get(),
                           mean.get(), invStd.get(), augmentation, trial % 3 ? counter.get() : nullptr, out.get()});
        return out.values();
      };
      CAPTURE(trial);
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) < 1e-6);
    }
}

TEST_CASE("plain images to lanes and back") {
  for (auto& backend : testedBackends()) {
    Random random(31);
    Shape s{3, 5, 4};
    auto values = random.reals(s.elements() * 21);
    Buffer<float> plain(*backend, values), lanes(*backend, laneElements(s, 21), 5.0f),
        back(*backend, s.elements() * 21, 5.0f);
    backend->run(ToLanes{s, 21, plain.get(), lanes.get()});
    backend->run(FromLanes{s, 21, lanes.get(), back.get()});
    CHECK(back.values() == values);
    CHECK(lanes.values()[laneOffset(s, 20, 1, 2, 3)] == values[std::size_t(((20 * 3 + 1) * 5 + 2) * 4 + 3)]);
    CHECK(lanes.values()[laneOffset(s, 21, 0, 0, 0)] == 0);  // padding lane
  }
}
