// Sizes at which a backend changes how it works: around the parts into which many weights, pixels, channels or images
// are cut, where a row starts off a 16-byte boundary, and where values are far from zero.
#include <limits>

#include "test/support.h"

using namespace test;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

// compute(backend) on every backend and on the reference.
template <class Compute>
void agrees(double tolerance, Compute compute) {
  auto reference = makeReferenceBackend();
  auto expected = compute(*reference);
  for (auto& backend : testedBackends()) {
    CAPTURE(backend->name());
    CHECK(difference(compute(*backend), expected) <= tolerance);
  }
}

std::vector<float> joined(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
std::vector<float> asFloats(const std::vector<std::int32_t>& values) { return {values.begin(), values.end()}; }

}  // namespace

TEST_CASE("quantizer: channels of any length, long ones in parts") {
  for (int perChannel : {1, 2, 3, 4, 5, 127, 1023, 1025, 8191, 8192, 8193, 8195, 16384, 24579, 300001}) {
    CAPTURE(perChannel);
    const int channels = 3;
    Random random{std::uint64_t(perChannel)};
    auto weight = random.reals(channels * perChannel, -2, 2), gradient = random.reals(channels * perChannel, 0, 1);
    const std::vector<float> bits{3.5f, 0.0f, 6.25f}, exponent{-2.0f, -3.0f, -4.5f}, penalty{0.5f, 1.0f, -0.25f};
    auto run = [&](Backend& b, int which) {
      Buffer<float> w(b, weight), d(b, bits), e(b, exponent), g(b, gradient), p(b, penalty),
          q(b, channels * perChannel, 7.0f), db(b, channels, 7.0f), de(b, channels, 7.0f);
      b.run(QuantizeForward{channels, perChannel, w.get(), d.get(), e.get(), q.get()});
      b.run(QuantizeBackward{channels, perChannel, w.get(), d.get(), e.get(), g.get(), p.get(), g.get(), db.get(),
                             de.get()});
      return which == 0 ? joined(q.values(), g.values()) : which == 1 ? db.values() : de.values();
    };
    agrees(0, [&](Backend& b) { return run(b, 0); });
    agrees(2e-5, [&](Backend& b) { return run(b, 1); });
    agrees(2e-5, [&](Backend& b) { return run(b, 2); });
  }
}

TEST_CASE("quantizer: values that are no numbers stay in their channel") {
  const int channels = 3, perChannel = 10001;
  Random random(5);
  auto weight = random.reals(channels * perChannel), gradient = random.reals(channels * perChannel);
  weight[0] = kNan, weight[perChannel - 1] = kInf, gradient[perChannel + 9000] = kNan;
  auto run = [&](Backend& b) {
    Buffer<float> w(b, weight), d(b, channels, 4.0f), e(b, channels, -3.0f), g(b, gradient), db(b, channels, 7.0f),
        de(b, channels, 7.0f);
    b.run(QuantizeBackward{channels, perChannel, w.get(), d.get(), e.get(), g.get(), nullptr, g.get(), db.get(),
                           de.get()});
    return joined(db.values(), de.values());
  };
  agrees(2e-5, run);
  for (auto& backend : testedBackends()) CHECK(std::isfinite(run(*backend)[2]));
}

TEST_CASE("batch norm: few channels of many pixels, many channels of few, values far from zero") {
  struct Size {
    Shape shape;
    int batch;
    float mean, spread;
  };
  for (const Size& size : {Size{{2, 64, 64}, 17, 0, 1}, Size{{1, 1, 2049}, 1, 0, 1}, Size{{300, 1, 1}, 130, 0, 1},
                           Size{{1, 128, 1030}, 33, 5, 1}, Size{{3, 16, 16}, 40, 1000, 1},
                           Size{{5, 1, 1}, 2, -30, 0.1f}, Size{{3, 9, 9}, 16, 2, 0}}) {
    CAPTURE(size.shape.pixels());
    CAPTURE(size.batch);
    Random random(77);
    const int channels = size.shape.channels;
    const auto n = laneElements(size.shape, size.batch);
    auto input = random.reals(n, size.mean - size.spread, size.mean + size.spread), gradient = random.reals(n);
    for (std::size_t c = 0; c < std::size_t(channels); c++)
      for (int i = size.batch; i < blocksOf(size.batch) * kLanes; i++)
        for (int p = 0; p < size.shape.pixels(); p++) gradient[laneOffset(size.shape, i, int(c), 0, p)] = 0;
    auto scale = random.reals(channels, 0.5f, 2), shift = random.reals(channels);
    auto run = [&](Backend& b, int which) {
      Buffer<float> x(b, input), g(b, gradient), w(b, scale), bias(b, shift), mean(b, channels, 0.0f),
          variance(b, channels, 1.0f), saved(b, 2 * channels, 0.0f), y(b, n, 5.0f), dw(b, channels, 5.0f),
          db(b, channels, 5.0f);
      BatchNormForward f;
      f.shape = size.shape, f.batch = size.batch, f.training = true, f.input = x.get(), f.weight = w.get(),
      f.bias = bias.get();
      f.runningMean = mean.get(), f.runningVar = variance.get(), f.savedMean = saved.get(),
      f.savedInvStd = saved.get() + channels, f.output = y.get();
      b.run(f);
      BatchNormBackward r;
      r.shape = size.shape, r.batch = size.batch, r.input = x.get(), r.gradOutput = g.get(), r.weight = w.get(),
      r.savedMean = f.savedMean, r.savedInvStd = f.savedInvStd, r.gradInput = g.get(), r.gradWeight = dw.get(),
      r.gradBias = db.get();
      b.run(r);
      if (which == 0) return y.values();
      if (which == 1) return joined(mean.values(), variance.values());
      return which == 2 ? g.values() : joined(dw.values(), db.values());
    };
    // What the rounding of the mean to a float costs, in units of the deviation (a constant channel: sqrt(epsilon)).
    const double tolerance = 1e-5 + 3e-7 * std::fabs(double(size.mean)) / std::max(double(size.spread), 3e-3);
    agrees(tolerance, [&](Backend& b) { return run(b, 0); });
    agrees(1e-5, [&](Backend& b) { return run(b, 1); });
    agrees(1e-4, [&](Backend& b) { return run(b, 2); });
    agrees(1e-4, [&](Backend& b) { return run(b, 3); });
  }
}

TEST_CASE("pooling over large windows, and windows that overlap") {
  for (Pool kind : {Pool::kMax, Pool::kAverage})
    for (int kernel : {3, 5, 6, 7, 8, 13}) {
      CAPTURE(kernel);
      PoolGeometry g;
      g.input = {5, 13, 14};
      g.kernelHeight = kernel, g.kernelWidth = kernel == 13 ? 14 : kernel;
      g.strideH = kernel < 6 ? 2 : 3, g.strideW = 2;
      g.padH = kernel == 13 ? 0 : kernel / 2, g.padW = kernel == 7 ? 3 : 0;
      g.countIncludePad = kernel % 2 == 0;
      Random random(std::uint64_t(kernel) + 40);
      auto values = random.reals(laneElements(g.input, 37));
      values[100] = kNan;
      for (float& v : values) v = std::round(v * 16) / 16;  // ties
      auto gradient = random.reals(laneElements(g.output(), 37));
      const std::vector<std::int32_t> state{kLive, kZero, kConstant, kLive, kZero};
      agrees(2e-6, [&](Backend& b) {
        Buffer<float> x(b, values), y(b, laneElements(g.output(), 37), 5.0f), dy(b, gradient),
            dx(b, laneElements(g.input, 37), 5.0f);
        Buffer<std::int32_t> s(b, state);
        b.run(PoolForward{kind, g, 37, x.get(), s.get(), y.get()});
        b.run(PoolBackward{kind, g, 37, x.get(), dy.get(), s.get(), nullptr, dx.get()});
        return joined(y.values(), dx.values());
      });
    }
}

TEST_CASE("lists of channels and limits of bit depths for any number of channels") {
  for (int channels : {1, 31, 32, 33, 255, 256, 257, 512, 1000}) {
    CAPTURE(channels);
    Random random{std::uint64_t(channels)};
    for (double live : {0.0, 0.3, 1.0}) {
      std::vector<std::int32_t> state;
      std::vector<float> bits;
      for (int c = 0; c < channels; c++) {
        state.push_back(random.chance(live) ? kLive : random.chance(0.5) ? kConstant : kZero);
        bits.push_back(random.chance(0.02) ? kNan : state.back() == kLive ? float(random.integer(1, 30)) : -1.0f);
      }
      agrees(0, [&](Backend& b) {
        Buffer<std::int32_t> s(b, state), index(b, channels, -1), count(b, 1, -1), twice(b, 3 * channels + 2, -1);
        Buffer<float> d(b, bits);
        std::vector<float> all;
        for (bool keepConstant : {false, true}) {
          b.run(ListChannels{channels, keepConstant, s.get(), index.get(), count.get()});
          all = joined(all, joined(asFloats(index.values()), asFloats(count.values())));
        }
        b.run(StateCopy{channels, 3, 1, s.get(), twice.get()});
        Buffer<float> least(b, std::size_t(channels), 0.0f), most(b, std::size_t(channels), 24.0f);
        b.run(ClampBitDepth{channels, least.get(), most.get(), d.get()});
        return joined(joined(all, asFloats(twice.values())), d.values());
      });
    }
  }
}

TEST_CASE("optimizers and norms of gradients for any number of elements") {
  for (int perChannel : {1, 3, 4, 1000, 8191, 8192, 8193, 70001}) {
    CAPTURE(perChannel);
    const int channels = 3, count = channels * perChannel;
    Random random{std::uint64_t(perChannel)};
    auto weight = random.reals(count), gradient = random.reals(count);
    for (Optimizer kind : {Optimizer::kSgd, Optimizer::kAdam, Optimizer::kAdamW})
      agrees(2e-6, [&](Backend& b) {
        Buffer<float> w(b, weight), g(b, gradient), m(b, count, 0.1f), v(b, count, 0.2f), rate(b, 1, 0.01f),
            bits(b, {1.0f, 0.0f, 2.0f});
        Buffer<double> t(b, std::vector<double>{3});
        OptimizerStep a;
        a.kind = kind, a.count = count, a.parameter = w.get(), a.gradient = g.get(), a.moment1 = m.get();
        a.moment2 = kind == Optimizer::kSgd ? nullptr : v.get(), a.learningRate = rate.get(), a.stepNumber = t.get();
        a.momentum = 0.9f, a.weightDecay = 0.01f, a.frozenBitDepth = bits.get(), a.perChannel = perChannel;
        b.run(a);
        return joined(joined(w.values(), m.values()), v.values());
      });
    double exact = 0;
    for (float x : gradient) exact += double(x) * double(x);
    for (auto& backend : testedBackends()) {
      Buffer<float> g(*backend, gradient);
      Buffer<double> sum(*backend, std::vector<double>{1});
      backend->run(SumOfSquares{count, g.get(), sum.get()});
      CHECK(sum.values()[0] == doctest::Approx(1 + exact).epsilon(1e-6));
    }
  }
}

TEST_CASE("losses: many images, classes and features; logits that are no numbers") {
  for (int classes : {1, 2, 15, 16, 17, 1000}) {
    CAPTURE(classes);
    const int batch = 300;
    Random random{std::uint64_t(classes)};
    const Shape s{classes, 1, 1};
    auto logits = random.reals(laneElements(s, batch), -5, 5);
    std::vector<std::int32_t> labels;
    for (int i = 0; i < batch; i++) labels.push_back(random.integer(0, classes - 1));
    for (int i = 0; i < batch; i += 3)
      logits[laneOffset(s, i, classes / 2, 0, 0)] = 5, labels[std::size_t(i)] = classes / 2;
    for (bool numbers : {true, false}) {
      if (!numbers) logits[laneOffset(s, 1, 0, 0, 0)] = kNan, logits[laneOffset(s, 18, classes - 1, 0, 0)] = -kInf;
      agrees(1e-5, [&](Backend& b) {
        Buffer<float> z(b, logits), g(b, laneElements(s, batch), 5.0f);
        Buffer<std::int32_t> l(b, labels);
        Buffer<LossResult> result(b, std::vector<LossResult>(1));
        b.run(CrossEntropy{classes, batch, 0, z.get(), l.get(), g.get(), result.get()});
        auto sums = result.values()[0];
        return joined(g.values(), {float(sums.lossSum / batch), float(sums.correct) / 300, float(sums.count) / 300});
      });
    }
  }
  for (int features : {1, 1023, 1024, 1025, 3000}) {
    CAPTURE(features);
    const int batch = 41;
    Random random{std::uint64_t(features)};
    const Shape s{features, 1, 1};
    auto output = random.reals(laneElements(s, batch)), target = random.reals(laneElements(s, batch));
    agrees(1e-5, [&](Backend& b) {
      Buffer<float> y(b, output), t(b, target), g(b, laneElements(s, batch), 5.0f);
      Buffer<LossResult> result(b, std::vector<LossResult>(1));
      b.run(MeanSquaredError{s, batch, y.get(), t.get(), g.get(), result.get()});
      b.run(MeanSquaredError{s, batch, y.get(), t.get(), nullptr, result.get()});
      auto sums = result.values()[0];
      auto gradient = g.values();
      for (float& v : gradient) v *= float(features * batch);
      return joined(gradient, {float(sums.lossSum / batch), float(sums.count) / 41});
    });
  }
}

TEST_CASE("gathering large images") {
  const Shape s{3, 33, 35};
  const int count = 9, batch = 21;
  Random random(8);
  std::vector<std::uint8_t> bytes;
  for (std::int64_t i = 0; i < count * s.elements(); i++) bytes.push_back(std::uint8_t(random.integer(0, 255)));
  std::vector<std::int32_t> order;
  for (int i = 0; i < batch; i++) order.push_back(random.integer(-1, count - 1));
  agrees(1e-6, [&](Backend& b) {
    Buffer<std::uint8_t> raw(b, bytes);
    Buffer<std::int32_t> indices(b, order);
    Buffer<float> mean(b, {0.4f, 0.5f, 0.6f}), invStd(b, {4.0f, 3.0f, 5.0f}), out(b, laneElements(s, batch), 5.0f),
        plain(b, s.elements() * batch, 5.0f), again(b, laneElements(s, batch), 5.0f);
    Buffer<StepCounter> counter(b, std::vector<StepCounter>{{3, 4}});
    b.run(GatherImages{
        s, batch, raw.get(), nullptr, indices.get(), mean.get(), invStd.get(), {4, true, 8}, counter.get(), out.get()});
    b.run(FromLanes{s, batch, out.get(), plain.get()});
    b.run(ToLanes{s, batch, plain.get(), again.get()});
    return joined(joined(out.values(), plain.values()), again.values());
  });
}
