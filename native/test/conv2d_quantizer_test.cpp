// Weights that a convolution quantizes on their way into the product: to the bit what quantizing them first gives.
#include <limits>

#include "test/conv2d_cases.h"

using namespace test;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

Conv2dGeometry linearGeometry(Random& random) { return {random.integer(1, 600), random.integer(1, 600)}; }
Conv2dGeometry pointGeometry(Random& random) { return {random.integer(1, 300), random.integer(1, 300), 4, 3}; }
Conv2dGeometry stridedGeometry(Random& random) {
  Conv2dGeometry g{random.integer(10, 290), random.integer(10, 40), 9, 9, 3, 3, 2, 2, 1, 1};
  return g;
}
// One or two output channels for each input channel.
Conv2dGeometry depthwiseGeometry(Random& random) {
  const int channels = random.integer(2, 40), kernel = random.integer(1, 5);
  return {channels, channels * random.integer(1, 2), 8, 7, kernel, kernel, 1, 1, 2, 1, 1, 1, channels};
}
Conv2dGeometry groupedGeometry(Random& random) {
  const int groups = random.integer(2, 4), kernel = random.chance(0.5) ? 1 : 3;
  return {
      groups * random.integer(1, 20), groups * random.integer(1, 20), 7, 8, kernel, kernel, 1, 1, 1, 1, 1, 1, groups};
}

// Some channels are dead, also among those that the list of live ones names; some weights are no numbers.
void drawQuantizer(Random& random, Case& c, bool special) {
  const int channels = c.geometry.outChannels;
  c.bitDepth = random.reals(channels, 0.5f, 8), c.exponent = random.reals(channels, -8, 1);
  for (float& b : c.bitDepth)
    if (random.chance(0.2)) b = random.chance(0.5) ? 0.0f : float(random.integer(-1, 8));
  if (!special) return;
  auto any = [&](std::vector<float>& values) -> float& {
    return values[std::size_t(random.integer(0, int(values.size()) - 1))];
  };
  for (float value : {kInf, -kInf, kNan, -0.0f, 1e-42f, 3e38f}) any(c.weight) = value;
  any(c.bitDepth) = kNan;
  for (float value : {-140.0f, 140.0f, kNan}) any(c.exponent) = value;
}

Case quantizedFirst(Backend& backend, Case c) {
  const int channels = c.geometry.outChannels;
  Buffer<float> weight(backend, c.weight), bitDepth(backend, c.bitDepth), exponent(backend, c.exponent);
  backend.run(QuantizeForward{channels, c.geometry.weights() / channels, weight.get(), bitDepth.get(), exponent.get(),
                              weight.get()});
  c.weight = weight.values();
  c.bitDepth.clear(), c.exponent.clear();
  return c;
}

// To the bit, but for the payload of what is not a number.
bool sameNumbers(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::isnan(x) ? std::isnan(y) : std::memcmp(&x, &y, sizeof x) == 0;
         });
}

std::vector<std::unique_ptr<Backend>> quantizingBackends() {
  std::vector<std::unique_ptr<Backend>> all = testedBackends();
  all.push_back(makeReferenceBackend());
  for (cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kNeon})
    if (cpu::isaSupported(isa)) all.push_back(cpu::makeBackend(isa, Precision::kBfloat16));
  std::erase_if(all, [](const auto& backend) { return !backend->quantizesInConvolution(); });
  return all;
}

void compareWithQuantizedFirst(int count, Conv2dGeometry (*geometry)(Random&)) {
  auto backends = quantizingBackends();
  for (int seed = 1; seed <= cases(count); seed++) {
    CAPTURE(seed);
    Case c = makeCase(std::uint64_t(seed), geometry);
    Random random{std::uint64_t(seed)};
    drawQuantizer(random, c, seed % 3 == 0);
    c.exact = seed % 5 == 0;
    for (auto& backend : backends) {
      CAPTURE(backend->name());
      Case first = quantizedFirst(*backend, c);
      for (Which which : {kForward, kGradInput}) {
        CAPTURE(int(which));
        CHECK(sameNumbers(runCase(*backend, c, which), runCase(*backend, first, which)));
      }
    }
  }
}

}  // namespace

TEST_CASE("quantizer in a convolution: random geometries") { compareWithQuantizedFirst(60, randomGeometry); }
TEST_CASE("quantizer in a convolution: fast forms") { compareWithQuantizedFirst(16, plainGeometry); }
TEST_CASE("quantizer in a convolution: fully connected layers") { compareWithQuantizedFirst(16, linearGeometry); }
TEST_CASE("quantizer in a convolution: 1x1 kernels") { compareWithQuantizedFirst(10, pointGeometry); }
TEST_CASE("quantizer in a convolution: strided kernels") { compareWithQuantizedFirst(6, stridedGeometry); }
TEST_CASE("quantizer in a convolution: a group for each channel") { compareWithQuantizedFirst(16, depthwiseGeometry); }
TEST_CASE("quantizer in a convolution: groups") { compareWithQuantizedFirst(16, groupedGeometry); }

TEST_CASE("quantizer in a convolution: the same bits for every number of threads") {
  for (auto geometry : {randomGeometry, plainGeometry, linearGeometry, depthwiseGeometry}) {
    Case c = makeCase(4, geometry);
    Random random(4);
    drawQuantizer(random, c, true);
    for (auto& backend : quantizingBackends())
      for (Which which : {kForward, kGradInput}) sameForAllThreads([&] { return runCase(*backend, c, which); });
  }
}

TEST_CASE("quantizer in a convolution: a dead channel's weights are zeros, whatever they were") {
  for (auto geometry : {randomGeometry, plainGeometry, linearGeometry, depthwiseGeometry}) {
    Case c = makeCase(2, geometry);
    c.lists = c.withBias = c.accumulate = false;
    c.weight.assign(c.weight.size(), kNan);
    c.exponent.assign(std::size_t(c.geometry.outChannels), kNan);
    for (float bits : {0.0f, -2.0f, -kInf}) {
      c.bitDepth.assign(std::size_t(c.geometry.outChannels), bits);
      for (auto& backend : quantizingBackends()) {
        CAPTURE(backend->name());
        for (Which which : {kForward, kGradInput}) {
          std::vector<float> values = runCase(*backend, c, which);
          CHECK(std::all_of(values.begin(), values.end(), [](float value) { return value == 0; }));
        }
      }
    }
  }
}
