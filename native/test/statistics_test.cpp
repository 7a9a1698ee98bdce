// Moments that a convolution takes of its output, against those of a norm that reads the output, and norms that use
// them.
#include "test/conv2d_cases.h"
#include "test/networks.h"
#include "test/queued_backend.h"

using namespace test;

namespace {

struct Fused {
  std::vector<float> output;
  std::vector<ChannelMoments> moments;  // of channels that are not written: as they were
};
constexpr double kUntouched = 123;

Fused runFused(Backend& backend, const Case& c) {
  const Conv2dGeometry& g = c.geometry;
  Buffer<float> input(backend, c.input), weight(backend, c.weight), bias(backend, c.bias);
  Buffer<std::int32_t> in(backend, c.liveIn), out(backend, c.liveOut), state(backend, c.state);
  Buffer<std::int32_t> inCount(backend, {std::int32_t(c.liveIn.size())}),
      outCount(backend, {std::int32_t(c.liveOut.size())});
  Buffer<char> workspace(backend, std::int64_t(backend.conv2dWorkspace(g, c.batch)) + 64, 0);
  Buffer<float> output(backend, laneElements(g.output(), c.batch), 7.0f);
  std::size_t bytes = backend.conv2dStatistics(g, c.batch), last = (bytes - 1) / sizeof(ChannelMoments) + 1;
  CHECK(bytes <= backend.conv2dStatistics(g, c.batch + 20));
  Buffer<ChannelMoments> statistics(backend, std::int64_t(last) + 4, {kUntouched, kUntouched});
  Conv2dForward a{g, c.batch, input.get(), weight.get(), c.withBias ? bias.get() : nullptr, c.relu, {}, {}};
  if (c.lists) {
    a.liveIn = {in.get(), inCount.get()}, a.liveOut = {out.get(), outCount.get()};
    a.outputState = state.get();
  }
  a.output = output.get(), a.workspace = workspace.get(), a.exact = c.exact, a.statistics = statistics.get();
  backend.run(a);
  std::vector<ChannelMoments> all = statistics.values();
  for (std::size_t i = last; i < all.size(); i++) CHECK(all[i].mean == kUntouched);  // not more than was asked for
  all.resize(std::size_t(g.outChannels));
  return {output.values(), all};
}

// Of the written channels, by the reference's norm.
std::vector<ChannelMoments> momentsByNorm(const Case& c, const std::vector<float>& output) {
  auto reference = makeReferenceBackend();
  Shape shape = c.geometry.output();
  int channels = shape.channels;
  Buffer<float> x(*reference, output), y(*reference, std::int64_t(output.size()), 0.0f),
      mean(*reference, channels, 0.0f), variance(*reference, channels, 0.0f), saved(*reference, 2 * channels, 0.0f);
  BatchNormForward f;
  f.shape = shape, f.batch = c.batch, f.training = true, f.epsilon = 0, f.momentum = 1;
  f.input = x.get(), f.output = y.get(), f.runningMean = mean.get(), f.runningVar = variance.get();
  f.savedMean = saved.get(), f.savedInvStd = saved.get() + channels;
  reference->run(f);
  std::vector<ChannelMoments> result;
  double count = double(c.batch) * shape.pixels();
  for (int o = 0; o < channels; o++)
    result.push_back({double(mean.values()[std::size_t(o)]),
                      double(variance.values()[std::size_t(o)]) * (count > 1 ? (count - 1) / count : 1)});
  return result;
}

bool isWritten(const Case& c, std::size_t channel) { return !c.lists || c.state[channel] != kZero; }

// One of these cases has outputs far from zero; in padding lanes there is anything.
Case statisticsCase(std::uint64_t seed) {
  Case c = makeCase(seed, seed % 3 == 0 ? plainGeometry : randomGeometry);
  if (seed % 2) {
    c.withBias = true;
    for (float& b : c.bias) b += 1000;
  }
  Shape in = c.geometry.input();
  for (int n = c.batch; n < blocksOf(c.batch) * kLanes; n++)
    for (int ch = 0; ch < in.channels; ch++)
      for (int p = 0; p < in.pixels(); p++) c.input[laneOffset(in, n, ch, 0, p)] = p % 2 ? NAN : 1e20f;
  return c;
}

std::vector<float> bitsOf(const std::vector<ChannelMoments>& moments) {
  std::vector<float> bits(moments.size() * sizeof(ChannelMoments) / sizeof(float));
  std::memcpy(bits.data(), moments.data(), bits.size() * sizeof(float));
  return bits;
}

bool takesMoments(const Backend& backend) { return backend.conv2dStatistics({1, 1}, 1) > 0; }

std::vector<std::unique_ptr<Backend>> fusingBackends() {
  std::vector<std::unique_ptr<Backend>> all = testedBackends();
  std::erase_if(all, [](const auto& backend) { return !takesMoments(*backend); });
  if (!all.empty()) all.push_back(cpu::makeBackend(cpu::chooseIsa(), Precision::kBfloat16));
  all.push_back(makeReferenceBackend());
  return all;
}

}  // namespace

TEST_CASE("moments of a convolution's output are those of a norm that reads it, for every number of threads") {
  for (auto& backend : fusingBackends())
    for (int trial = 0; trial < cases(40); trial++) {
      std::uint64_t seed = firstSeed(40) + std::uint64_t(trial);
      Case c = statisticsCase(seed);
      CAPTURE(backend->name());
      CAPTURE(seed);
      Fused fused;
      sameForAllThreads([&] {
        fused = runFused(*backend, c);
        return bitsOf(fused.moments);
      });
      std::vector<ChannelMoments> expected = momentsByNorm(c, fused.output);
      for (std::size_t o = 0; o < expected.size(); o++) {
        CAPTURE(o);
        ChannelMoments m = fused.moments[o], e = expected[o];
        if (!isWritten(c, o)) {
          CHECK((m.mean == kUntouched && m.variance == kUntouched));
          continue;
        }
        // The norm's are rounded to float.
        CHECK(std::fabs(m.mean - e.mean) <= 1e-6 * std::sqrt(e.variance) + 1e-7 * std::fabs(e.mean));
        CHECK(std::fabs(m.variance - e.variance) <= 5e-6 * e.variance + 1e-14 * e.mean * e.mean);
      }
    }
}

TEST_CASE("a convolution gives the same output with and without its moments") {
  for (auto& backend : fusingBackends())
    for (std::uint64_t seed = 1; seed <= std::uint64_t(cases(40)); seed++) {
      Case c = statisticsCase(seed);
      CHECK(sameBits(runFused(*backend, c).output, runCase(*backend, c, kForward)));
    }
}

TEST_CASE("a value that is not finite reaches the moments of its channel alone") {
  for (auto& backend : fusingBackends()) {
    Case c = makeCase(3);
    c.geometry = {3, 4, 6, 7, 1, 1}, c.batch = 19;
    c.lists = false;
    c.input = Random(1).reals(laneElements(c.geometry.input(), c.batch));
    c.weight = Random(2).reals(12), c.bias = Random(3).reals(4);
    c.weight[4] = INFINITY;  // of output channel 1
    std::vector<ChannelMoments> moments = runFused(*backend, c).moments;
    for (std::size_t o = 0; o < 4; o++) CHECK(std::isfinite(moments[o].variance) == (o != 1));
  }
}

TEST_CASE("one value far from the others does not spoil the variance") {
  for (auto& backend : fusingBackends()) {
    Case c = makeCase(3);
    c.geometry = {10, 10, 12, 12, 3, 3}, c.batch = 20;
    c.geometry.padH = c.geometry.padW = 1;
    c.lists = c.relu = c.withBias = false;
    for (int at : {0, 5000, 40000}) {
      c.input = std::vector<float>(std::size_t(laneElements(c.geometry.input(), c.batch)));
      c.input[std::size_t(at)] = 100;
      c.weight = Random(2).reals(c.geometry.weights());
      Fused fused = runFused(*backend, c);
      std::vector<ChannelMoments> expected = momentsByNorm(c, fused.output);
      for (std::size_t o = 0; o < 10; o++)
        CHECK(std::fabs(fused.moments[o].variance - expected[o].variance) <= 1e-5 * expected[o].variance);
    }
  }
}

namespace {

// Norms of a convolution, of its fused ReLU, of one with other readers, of grouped and depthwise ones, of a linear
// layer, and of a sum, which has no moments.
NetworkDescription normsNetwork() {
  auto norm = [](std::string name, std::string input) {
    return simple("batchNorm", std::move(name), {std::move(input)});
  };
  return {Axes::image(2, 12, 12),
          {conv("c1", "input", 16, 3, 1),
           norm("n1", "c1"),
           simple("relu", "r1", {"n1"}),
           conv("c2", "r1", 16, 3, 1),
           simple("relu", "r2", {"c2"}),
           norm("n2", "r2"),
           conv("c3", "n2", 16, 5, 2),
           norm("n3", "c3"),
           norm("n4", "c3"),
           simple("add", "add", {"c3", "n3"}),
           norm("n5", "add"),
           conv("grouped", "n5", 16, 3, 1, true, 4),
           norm("n6", "grouped"),
           conv("depthwise", "n6", 16, 3, 1, true, 16),
           norm("n7", "depthwise"),
           simple("concat", "cat", {"n4", "n7"}),
           pool("maxPool", "pool", "cat"),
           linear("hidden", "pool", 12),
           norm("n8", "hidden"),
           simple("relu", "r8", {"n8"}),
           linear("out", "r8", 4)},
          "out"};
}

struct Trained {
  std::vector<float> losses;
  State state;
};
Trained train(std::unique_ptr<Backend> backend) {
  NetworkOptions options;
  options.batchSize = 37;
  DataSet data = randomData({2, 12, 12}, 37, 4);
  auto indices = firstIndices(37);
  Network network(std::move(backend), normsNetwork(), options);
  State state = randomState(network, 3, 6);
  state["c1.bitDepth"][3] = state["c1.bias"][3] = 0;  // a dead channel that is zero, others that are constant
  state["c2.bitDepth"][1] = state["c3.bitDepth"][5] = state["grouped.bitDepth"][7] = 0;
  state["c2.bias"][1] = state["c3.bias"][5] = state["grouped.bias"][7] = 0.3f;
  network.loadState(state);
  Trained result;
  for (int step = 1; step <= 5; step++)
    result.losses.push_back(float(network.trainStep(data, indices.data(), step % 2 ? 37 : 20, settings(step)).loss));
  result.state = network.state();
  return result;
}

}  // namespace

TEST_CASE("norms with the moments of the convolutions before them train as norms by themselves") {
  Trained fused = train(makeReferenceBackend()),
          alone = train(std::make_unique<QueuedBackend>(QueuedBackend::Copies::kLate));
  CHECK(sameBits(fused.losses, alone.losses));
  CHECK(fused.state == alone.state);
  for (std::size_t b = 0; b < testedBackends().size(); b++) {
    if (!takesMoments(*testedBackends()[b])) continue;
    auto losses = sameForAllThreads([&] { return train(std::move(testedBackends()[b])).losses; });
    for (std::size_t i = 0; i < losses.size(); i++)
      CHECK(losses[i] == doctest::Approx(fused.losses[i]).epsilon(0.02));  // rounding of codes amplifies
  }
}
