// Activations, dropout, pooling, addition, channel copies: every instruction set against the reference.
#include "test/agreement.h"

using namespace test;

TEST_CASE("activations forward and backward") {
  for (Activation kind : {Activation::kRelu, Activation::kGelu, Activation::kSilu})
    for (bool backward : {false, true})
      agrees(11, 60, 2e-6, [&](Backend& b, Random& random) {
        Shape s = randomShape(random);
        int batch = random.integer(1, 40);
        auto values = random.reals(laneElements(s, batch), -8, 8);
        auto gradient = random.reals(laneElements(s, batch));
        if (random.chance(0.4)) addSpecialValues(random, values);
        Buffer<float> x(b, values), g(b, gradient), y(b, laneElements(s, batch), 5.0f);
        Buffer<std::int32_t> state(b, randomStates(random, s.channels));
        if (backward) b.run(ActivationBackward{kind, s, batch, x.get(), g.get(), state.get(), y.get()});
        else b.run(ActivationForward{kind, s, batch, x.get(), state.get(), y.get()});
        return y.values();
      });
}

TEST_CASE("activations: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  Shape s{1, 1, 1};
  for (Activation kind : {Activation::kRelu, Activation::kGelu, Activation::kSilu})
    for (float x : {-5.0f, -1.3f, -0.2f, 0.4f, 1.7f, 6.0f}) {
      auto f = [&](float v) {
        Buffer<float> in(*reference, kLanes, v), out(*reference, kLanes, 0.0f);
        reference->run(ActivationForward{kind, s, 1, in.get(), nullptr, out.get()});
        return double(out.values()[0]);
      };
      Buffer<float> in(*reference, kLanes, x), g(*reference, kLanes, 1.0f), d(*reference, kLanes, 0.0f);
      reference->run(ActivationBackward{kind, s, 1, in.get(), g.get(), nullptr, d.get()});
      CHECK(std::fabs(double(d.values()[0]) - (f(x + 0.01f) - f(x - 0.01f)) / (double(x + 0.01f) - double(x - 0.01f))) <
            1e-4);
    }
}

TEST_CASE("dropout: the same mask on every backend, the right share kept") {
  for (float p : {0.0f, 0.3f, 0.9f})
    agrees(12, 20, 1e-6, [&](Backend& b, Random& random) {
      Shape s = randomShape(random);
      int batch = random.integer(1, 40);
      Buffer<float> x(b, random.reals(laneElements(s, batch))), y(b, laneElements(s, batch), 5.0f);
      Buffer<std::int32_t> state(b, randomStates(random, s.channels));
      Buffer<StepCounter> counter(b, std::vector<StepCounter>{{7, std::uint64_t(random.integer(1, 1000))}});
      b.run(Dropout{s, batch, p, 3, counter.get(), x.get(), state.get(), y.get()});
      return y.values();
    });
  auto reference = makeReferenceBackend();
  Shape s{10, 20, 20};
  Buffer<float> x(*reference, laneElements(s, 160), 1.0f), y(*reference, laneElements(s, 160), 0.0f);
  Buffer<StepCounter> counter(*reference, std::vector<StepCounter>{{1, 1}});
  reference->run(Dropout{s, 160, 0.3f, 0, counter.get(), x.get(), nullptr, y.get()});
  double sum = 0;
  for (float v : y.values()) sum += double(v);
  CHECK(sum / double(laneElements(s, 160)) == doctest::Approx(1.0).epsilon(0.005));
}

TEST_CASE("pooling forward and backward") {
  for (Pool kind : {Pool::kMax, Pool::kAverage})
    for (bool backward : {false, true})
      agrees(13, 120, 2e-6, [&](Backend& b, Random& random) {
        PoolGeometry g;
        g.input = {random.integer(1, 6), random.integer(3, 12), random.integer(3, 12)};
        g.kernelHeight = random.integer(1, 3), g.kernelWidth = random.integer(1, 3);
        g.strideH = random.integer(1, 3), g.strideW = random.integer(1, 3);
        g.padH = random.integer(0, g.kernelHeight / 2), g.padW = random.integer(0, g.kernelWidth / 2);
        g.countIncludePad = random.chance(0.5);
        if (random.chance(0.3)) {  // windows that tile the image, which have kernels of their own
          g.kernelHeight = g.kernelWidth = g.strideH = g.strideW = 2, g.padH = g.padW = 0;
          g.input.height = 2 * random.integer(1, 6), g.input.width = 2 * random.integer(1, 6);
        }
        int batch = random.integer(1, 40);
        auto values = random.reals(laneElements(g.input, batch));
        for (float& v : values) v = std::round(v * 8) / 8;  // ties
        if (random.chance(0.3)) values[values.size() / 2] = std::numeric_limits<float>::quiet_NaN();
        Buffer<float> x(b, values), y(b, laneElements(g.output(), batch), 5.0f),
            dy(b, random.reals(laneElements(g.output(), batch))), dx(b, laneElements(g.input, batch), 5.0f);
        Buffer<std::int32_t> state(b, randomStates(random, g.input.channels));
        bool mask = random.chance(0.5);
        if (!backward) {
          b.run(PoolForward{kind, g, batch, x.get(), state.get(), y.get()});
          return y.values();
        }
        b.run(PoolBackward{kind, g, batch, x.get(), dy.get(), state.get(), mask ? x.get() : nullptr, dx.get()});
        return dx.values();
      });
}

TEST_CASE("addition and channel copies") {
  agrees(14, 60, 0, [](Backend& b, Random& random) {
    Shape s = randomShape(random);
    int batch = random.integer(1, 40);
    Buffer<float> x(b, random.reals(laneElements(s, batch))), y(b, random.reals(laneElements(s, batch))),
        z(b, laneElements(s, batch), 5.0f);
    Buffer<std::int32_t> stateA(b, randomStates(random, s.channels)), stateB(b, randomStates(random, s.channels));
    b.run(Add{s, batch, x.get(), y.get(), stateA.get(), stateB.get(), random.chance(0.5), z.get()});
    return z.values();
  });
  agrees(15, 60, 0, [](Backend& b, Random& random) {
    Shape from = randomShape(random), to = from;
    to.channels = random.integer(1, 9);
    int batch = random.integer(1, 40), count = random.integer(1, std::min(from.channels, to.channels));
    int inFirst = random.integer(0, from.channels - count), outFirst = random.integer(0, to.channels - count);
    Buffer<float> x(b, random.reals(laneElements(from, batch))), y(b, random.reals(laneElements(to, batch)));
    Buffer<std::int32_t> state(b, randomStates(random, count));
    b.run(CopyChannels{from, to, batch, inFirst, outFirst, count, random.chance(0.5), x.get(),
                       random.chance(0.7) ? state.get() : nullptr, y.get()});
    return y.values();
  });
}
