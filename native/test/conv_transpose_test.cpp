// Transposed convolutions through the kernels of convolutions: every backend against the equation of PyTorch's
// ConvTranspose2d; gradients as adjoints; biases and the order of weights.
#include "selfcompress/ops/conv_transpose.h"

#include "test/support.h"

using namespace test;

namespace {

ConvTransposeGeometry randomGeometry(Random& random) {
  ConvTransposeGeometry g;
  g.groups = random.chance(0.7) ? 1 : random.integer(2, 3);
  g.inChannels = g.groups * random.integer(1, 4), g.outChannels = g.groups * random.integer(1, 4);
  g.height = random.integer(1, 6), g.width = random.integer(1, 6);
  g.kernelHeight = random.integer(1, 4), g.kernelWidth = random.integer(1, 4);
  g.strideH = random.integer(1, 3), g.strideW = random.integer(1, 3);
  g.dilationH = random.integer(1, 2), g.dilationW = random.integer(1, 2);
  g.outputPadH = random.integer(0, g.strideH - 1), g.outputPadW = random.integer(0, g.strideW - 1);
  g.padH = random.integer(0, 2), g.padW = random.integer(0, 2);
  while (g.outHeight() < 1) g.padH--;
  while (g.outWidth() < 1) g.padW--;
  return g;
}

// The equation, one product at a time, in double precision.
std::vector<float> byEquation(const ConvTransposeGeometry& g, int batch, const std::vector<float>& x,
                              const std::vector<float>& w) {
  std::vector<double> sums(std::size_t(laneElements(g.output(), batch)));
  const int perGroup = g.outChannels / g.groups, inPerGroup = g.inChannels / g.groups;
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < g.inChannels; c++)
      for (int o = 0; o < perGroup; o++)
        for (int y = 0; y < g.height; y++)
          for (int q = 0; q < g.width; q++)
            for (int i = 0; i < g.kernelHeight; i++)
              for (int j = 0; j < g.kernelWidth; j++) {
                const int row = y * g.strideH + i * g.dilationH - g.padH,
                          column = q * g.strideW + j * g.dilationW - g.padW;
                if (row < 0 || row >= g.outHeight() || column < 0 || column >= g.outWidth()) continue;
                const double weight =
                    double(w[std::size_t(((c * perGroup + o) * g.kernelHeight + i) * g.kernelWidth + j)]);
                sums[laneOffset(g.output(), n, c / inPerGroup * perGroup + o, row, column)] +=
                    weight * double(x[laneOffset(g.input(), n, c, y, q)]);
              }
  return {sums.begin(), sums.end()};
}

struct Lists {
  std::vector<std::int32_t> in, out;
  Buffer<std::int32_t> inIndex, inCount, outIndex, outCount;
  Lists(Backend& b, Random& random, const ConvTransposeGeometry& g)
      : in(random.channels(g.inChannels, 0.7)),
        out(random.channels(g.outChannels, 0.7)),
        inIndex(b, in),
        inCount(b, 1, std::int32_t(in.size())),
        outIndex(b, out),
        outCount(b, 1, std::int32_t(out.size())) {}
  ChannelList liveIn() { return {inIndex.get(), inCount.get()}; }
  ChannelList liveOut() { return {outIndex.get(), outCount.get()}; }
};

}  // namespace

TEST_CASE("transposed convolution: the equation on every backend") {
  std::vector<std::unique_ptr<Backend>> backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& b : backends)
    for (int trial = 0; trial < cases(60); trial++) {
      CAPTURE(b->name());
      CAPTURE(trial);
      Random random(300 + std::uint64_t(trial));
      const ConvTransposeGeometry g = randomGeometry(random);
      REQUIRE(g.convolution().output() == g.input());
      const int batch = random.integer(1, 20);
      const auto x = random.reals(laneElements(g.input(), batch)), w = random.reals(g.convolution().weights());
      Buffer<float> bx(*b, x), bw(*b, w), y(*b, laneElements(g.output(), batch), 5.0f);
      Buffer<char> workspace(*b, std::int64_t(b->conv2dWorkspace(g.convolution(), batch)), char(0));
      b->run(convTransposeForward(g, batch, bx.get(), bw.get(), {}, {}, y.get(), workspace.get()));
      CHECK(difference(y.values(), byEquation(g, batch, x, w)) <= 1e-5);
    }
}

TEST_CASE("transposed convolution with lists of live channels, forward and both gradients, against the reference") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(40); trial++)
      for (int which = 0; which < 3; which++) {
        CAPTURE(backend->name());
        CAPTURE(trial);
        auto run = [&](Backend& b) {
          Random random(700 + std::uint64_t(trial));
          const ConvTransposeGeometry g = randomGeometry(random);
          const int batch = random.integer(1, 40);
          auto gradient = random.reals(laneElements(g.output(), batch));
          for (int n = batch; n < blocksOf(batch) * kLanes; n++)
            for (int c = 0; c < g.outChannels; c++)
              for (int p = 0; p < g.output().pixels(); p++) gradient[laneOffset(g.output(), n, c, 0, p)] = 0;
          Lists lists(b, random, g);
          Buffer<float> x(b, random.reals(laneElements(g.input(), batch))),
              w(b, random.reals(g.convolution().weights())), dy(b, gradient);
          Buffer<char> workspace(b, std::int64_t(b.conv2dWorkspace(g.convolution(), batch)), char(0));
          const Shape shape = which == 0 ? g.output() : g.input();
          Buffer<float> to(b, which == 2 ? g.convolution().weights() : laneElements(shape, batch), 5.0f);
          if (which == 0)
            b.run(convTransposeForward(g, batch, x.get(), w.get(), lists.liveIn(), lists.liveOut(), to.get(),
                                       workspace.get()));
          if (which == 1)
            b.run(convTransposeGradInput(g, batch, dy.get(), w.get(), lists.liveIn(), lists.liveOut(), to.get(),
                                         workspace.get()));
          if (which == 2)
            b.run(convTransposeGradWeight(g, batch, x.get(), dy.get(), lists.liveIn(), lists.liveOut(), to.get(),
                                          workspace.get()));
          return to.values();
        };
        CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= 1e-5);
      }
}

TEST_CASE("transposed convolution: both gradients are adjoints of forward") {
  auto b = makeReferenceBackend();
  for (int trial = 0; trial < 20; trial++) {
    Random random(50 + std::uint64_t(trial));
    const ConvTransposeGeometry g = randomGeometry(random);
    const int batch = 16;
    const auto x = random.reals(laneElements(g.input(), batch)), dy = random.reals(laneElements(g.output(), batch)),
               w = random.reals(g.convolution().weights());
    Buffer<float> bx(*b, x), bdy(*b, dy), bw(*b, w), dx(*b, std::int64_t(x.size()), 0.0f),
        dw(*b, std::int64_t(w.size()), 0.0f);
    b->run(convTransposeGradInput(g, batch, bdy.get(), bw.get(), {}, {}, dx.get(), nullptr));
    b->run(convTransposeGradWeight(g, batch, bx.get(), bdy.get(), {}, {}, dw.get(), nullptr));
    auto dot = [](const std::vector<float>& p, const std::vector<float>& q) {
      double sum = 0;
      for (std::size_t i = 0; i < p.size(); i++) sum += double(p[i]) * double(q[i]);
      return sum;
    };
    const double forward = dot(byEquation(g, batch, x, w), dy);
    CHECK(dot(dx.values(), x) == doctest::Approx(forward).epsilon(1e-4));
    CHECK(dot(dw.values(), w) == doctest::Approx(forward).epsilon(1e-4));
  }
}

TEST_CASE("bias of a channel and its gradient") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(40); trial++)
      for (bool backward : {false, true}) {
        CAPTURE(backend->name());
        auto run = [&](Backend& b) {
          Random random(80 + std::uint64_t(trial));
          const Shape s{random.integer(1, 6), random.integer(1, 9), random.integer(1, 19)};
          const int batch = random.integer(1, 40);
          std::vector<std::int32_t> states;
          for (int c = 0; c < s.channels; c++) states.push_back(random.integer(0, 2));
          Buffer<std::int32_t> state(b, states);
          Buffer<float> data(b, random.reals(laneElements(s, batch))), bias(b, random.reals(s.channels));
          if (backward) b.run(ChannelBiasGradient{s, batch, data.get(), state.get(), bias.get()});
          else b.run(ChannelBias{s, batch, bias.get(), random.chance(0.5), state.get(), data.get()});
          return backward ? bias.values() : data.values();
        };
        CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= 1e-5);
      }
}

TEST_CASE("order of weights: rows of output channels and back") {
  std::vector<std::unique_ptr<Backend>> backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& b : backends) {
    std::vector<float> values;
    for (int i = 0; i < 2 * 3 * 2 * 2; i++) values.push_back(float(i));
    Buffer<float> from(*b, values), to(*b, std::int64_t(values.size()), -1.0f),
        back(*b, std::int64_t(values.size()), -1.0f);
    b->run(PermuteWeights{2, 3, 2, 2, from.get(), to.get()});
    b->run(PermuteWeights{2, 2, 3, 2, to.get(), back.get()});
    CHECK(to.values() ==
          std::vector<float>{0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11, 12, 13, 16, 17, 20, 21, 14, 15, 18, 19, 22, 23});
    CHECK(back.values() == values);
  }
}
