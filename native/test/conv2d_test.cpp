// Convolutions of every instruction set against the reference, on random geometries and lists of live channels; and the
// reference against finite differences. Error bounds are relative to the largest result: sums of k products in float.
#include "test/conv2d_cases.h"
#include "test/finite_differences.h"

using namespace test;

namespace {

void compareWithReference(int count, Conv2dGeometry (*geometry)(Random&), double bound) {
  auto reference = makeReferenceBackend();
  std::vector<Compared> compared = comparedBackends(bound);
  for (int trial = 0; trial < cases(count); trial++) {
    std::uint64_t seed = firstSeed(count) + std::uint64_t(trial);
    Case c = makeCase(seed, geometry);
    CAPTURE(seed);
    PastCaches past{seed};
    compareCase(*reference, compared, c, bound);
  }
  report(compared);
}

}  // namespace

TEST_CASE("convolutions of every instruction set agree with the reference on 400 random geometries") {
  compareWithReference(400, randomGeometry, 1e-5);
}

// Their sums are taken in another order, of terms that are up to 25 times larger than the direct ones.
TEST_CASE("fast convolutions agree with the reference on 60 random geometries") {
  compareWithReference(60, plainGeometry, 3e-5);
}

namespace {
Conv2dGeometry wideGeometry(Random& random) { return {random.integer(128, 150), random.integer(128, 150), 5, 3}; }
}  // namespace

TEST_CASE("wide 1x1 convolutions agree with the reference") { compareWithReference(4, wideGeometry, 1e-5); }

// Both operands of a product are rounded to 7 bits of significand; Winograd's form magnifies that, since it rounds what
// it has transformed. Of the direct forms only the weight gradient of wide 1x1 kernels is rounded.
TEST_CASE("bf16 convolutions agree with the reference within the bounds of bf16") {
  auto reference = makeReferenceBackend();
  double worst = 0, squares = 0;
  std::int64_t count = 0;
  for (int seed = 1; seed <= cases(30); seed++) {
    Case c = makeCase(std::uint64_t(seed), seed % 10 == 9 ? wideGeometry : seed % 5 ? plainGeometry : randomGeometry);
    CAPTURE(seed);
    for (cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kNeon}) {
      if (!cpu::isaSupported(isa)) continue;
      CAPTURE(std::string(cpu::isaName(isa)));
      auto backend = cpu::makeBackend(isa, Precision::kBfloat16);
      for (Which which : {kForward, kGradInput, kGradWeight}) {
        std::vector<float> expected = runCase(*reference, c, which), actual = runCase(*backend, c, which);
        worst = std::max(worst, difference(actual, expected, 1.0));
        CHECK(difference(actual, expected, 1.0) < 0.15);
        double sum = 0, error = 0;
        for (std::size_t i = 0; i < actual.size(); i++)
          sum += double(expected[i]) * expected[i], error += std::pow(double(actual[i]) - expected[i], 2);
        if (actual.size() > 1000) CHECK(error <= 0.06 * 0.06 * sum);
        if (sum > 0) squares += error / sum, count++;
        if (seed < 5) sameForAllThreads([&] { return runCase(*backend, c, which); });
      }
    }
  }
  MESSAGE("largest error, of the largest output: " << worst);
  MESSAGE("root mean square error, of the outputs': " << std::sqrt(squares / double(count)));
}

TEST_CASE("an exact convolution of a bf16 backend is that of a float32 one") {
  for (int seed = 1; seed <= cases(6); seed++) {
    Case c = makeCase(std::uint64_t(seed), plainGeometry);
    c.exact = true;
    auto exact = cpu::makeBackend(cpu::chooseIsa(), Precision::kBfloat16), plain = cpu::makeBackend(cpu::chooseIsa());
    CHECK(sameBits(runCase(*exact, c, kForward), runCase(*plain, c, kForward)));
  }
}

TEST_CASE("convolutions give the same bits for every number of threads") {
  for (int trial = 0; trial < cases(40); trial++) {
    std::uint64_t seed = 1000 + firstSeed(40) + std::uint64_t(trial);
    Case c = makeCase(seed, seed % 4 ? randomGeometry : plainGeometry);
    for (Precision precision : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16})
      for (auto& backend : testedBackends(precision))
        for (Which which : {kForward, kGradInput, kGradWeight})
          sameForAllThreads([&] { return runCase(*backend, c, which); });
  }
}

TEST_CASE("long sums are taken in parts") {  // more entries than one block of the panel
  Case c = makeCase(1);
  c.geometry = {210, 19, 5, 5, 3, 3, 1, 1, 2, 1, 2, 1, 1};  // dilated: the direct form
  c.batch = 18;
  Random random(5);
  c.input = random.reals(laneElements(c.geometry.input(), c.batch));
  c.weight = random.reals(c.geometry.weights());
  c.bias = random.reals(19);
  c.gradOutput = random.reals(laneElements(c.geometry.output(), c.batch));
  c.before = c.input;
  c.lists = false;
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (Which which : {kForward, kGradInput})
      CHECK(difference(runCase(*backend, c, which), runCase(*reference, c, which), 1.0) < 4e-6);
}

TEST_CASE("not-a-number and infinity pass through a convolution") {
  Case c = makeCase(3);
  c.lists = false;
  c.input[0] = NAN;
  c.weight[0] = INFINITY;
  auto reference = makeReferenceBackend();
  std::vector<float> expected = runCase(*reference, c, kForward);
  c.weight[0] = 1;
  std::vector<float> finiteWeights = runCase(*reference, c, kForward);
  for (Precision precision : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16})
    for (auto& backend : testedBackends(precision)) {
      std::vector<float> actual = runCase(*backend, c, kForward);
      for (std::size_t i = 0; i < actual.size(); i++)
        CHECK(std::isfinite(actual[i]) == std::isfinite(finiteWeights[i]));
      c.weight[0] = INFINITY;  // of output channel 0; times padding it may be a NaN
      actual = runCase(*backend, c, kForward);
      std::size_t plane = std::size_t(c.geometry.output().pixels()) * kLanes;
      for (std::size_t i = 0; i < actual.size(); i++) {
        bool padded = backend->name().starts_with("cuda") && i / plane % std::size_t(c.geometry.outChannels) == 0;
        CHECK((std::isfinite(actual[i]) == std::isfinite(expected[i]) || (padded && std::isnan(actual[i]))));
      }
      c.weight[0] = 1;
    }
}

TEST_CASE("gradients of the reference agree with finite differences") {
  auto reference = makeReferenceBackend();
  for (std::uint64_t seed = 1; seed <= 20; seed++) {
    Case c = makeCase(seed);
    c.relu = c.mask = c.accumulate = false;
    if (c.lists && (c.liveIn.empty() || c.liveOut.empty())) continue;
    // The loss is sum(gradOutput * output): linear in inputs and weights, so a difference of any width is exact.
    auto loss = [&] {
      std::vector<float> out = runCase(*reference, c, kForward);
      double sum = 0;
      Shape shape = c.geometry.output();
      for (int n = 0; n < c.batch; n++)
        for (int o = 0; o < shape.channels; o++)
          for (int p = 0; p < shape.pixels(); p++) {
            std::size_t at = laneOffset(shape, n, o, 0, p);
            if (!c.lists || c.state[std::size_t(o)] == kLive) sum += double(out[at]) * c.gradOutput[at];
          }
      return sum;
    };
    std::vector<float> gradInput = runCase(*reference, c, kGradInput), gradWeight = runCase(*reference, c, kGradWeight);
    Random random(seed);
    for (int trial = 0; trial < 5; trial++) {
      int o = c.lists ? c.liveOut[std::size_t(random.integer(0, int(c.liveOut.size()) - 1))]
                      : random.integer(0, c.geometry.outChannels - 1);
      std::size_t perChannel = std::size_t(c.geometry.weights() / c.geometry.outChannels);
      std::size_t i = std::size_t(o) * perChannel + std::size_t(random.integer(0, int(perChannel) - 1));
      CHECK(gradWeight[i] == doctest::Approx(slopeAt(c.weight[i], 1, loss)).epsilon(1e-3));
    }
  }
}
