// Convolutions whose sizes lie on both sides of what kernels cut them into: tiles of channels, pixels and terms,
// pipelines longer than the sum, sums split into parts, groups at the border of the direct kernels, residues of
// strides.
#include <array>

#include "test/conv2d_cases.h"

using namespace test;

namespace {

int pick(Random& random, const std::vector<int>& sizes) {
  return sizes[std::size_t(random.integer(0, int(sizes.size()) - 1))];
}

// `count` ascending channels of `total`.
std::vector<std::int32_t> exactly(Random& random, int count, int total) {
  std::vector<std::int32_t> list;
  for (int c = 0; c < total; c++)
    if (random.integer(1, total - c) <= count - int(list.size())) list.push_back(c);
  return list;
}

// A case of this geometry with so many live channels.
Case caseOf(std::uint64_t seed, const Conv2dGeometry& geometry, int batch, int liveIn, int liveOut) {
  Random random(seed);
  Case c;
  c.geometry = geometry, c.batch = batch;
  drawValues(random, c);
  c.liveIn = exactly(random, liveIn, geometry.inChannels);
  c.liveOut = exactly(random, liveOut, geometry.outChannels);
  c.lists = liveIn < geometry.inChannels || liveOut < geometry.outChannels || random.chance(0.5);
  drawOptions(random, c);
  return c;
}

constexpr double kBound = 1e-5;

struct Comparison {
  std::unique_ptr<Backend> reference = makeReferenceBackend();
  std::vector<Compared> backends = comparedBackends(kBound);
  std::uint64_t compared = 0;
  void operator()(const Case& c) {
    PastCaches past{compared++};
    const Conv2dGeometry& g = c.geometry;
    INFO(g.inChannels << " -> " << g.outChannels << " channels, " << c.liveIn.size() << " -> " << c.liveOut.size()
                      << " live: " << c.lists << ", " << g.height << "x" << g.width << ", batch " << c.batch);
    compareCase(*reference, backends, c, kBound);
  }
};

}  // namespace

TEST_CASE("sizes on both sides of a tile") {
  Comparison compare;
  const std::vector<int> channels = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 97, 127, 128, 129};
  const std::vector<int> pixels = {1, 2, 7, 8, 9, 15, 16, 17, 24};
  for (int trial = 0; trial < cases(60); trial++) {
    std::uint64_t seed = firstSeed(60) + std::uint64_t(trial);
    Random random(seed);
    int liveIn = pick(random, channels), liveOut = pick(random, channels);
    Conv2dGeometry g;
    g.inChannels = liveIn + (random.chance(0.5) ? random.integer(1, 40) : 0);
    g.outChannels = liveOut + (random.chance(0.5) ? random.integer(1, 40) : 0);
    g.width = pick(random, pixels);
    if (g.width >= 3 && random.chance(0.3)) g.kernelWidth = 3, g.padW = random.integer(0, 1);
    compare(caseOf(seed, g, random.chance(0.5) ? 16 : random.integer(1, 33), liveIn, liveOut));
  }
  report(compare.backends);
}

// One tap, more planes than fit into a cache at the positions of a task: sums are parked in the target between passes.
TEST_CASE("more planes than a cache holds are added up in several passes") {
  Comparison compare;
  std::uint64_t seed = 900;
  for (int inputs : {257, 390, 520})
    for (int padding : {0, 1})
      for (bool reversed : {false, true}) {
        Conv2dGeometry g;
        g.inChannels = reversed ? 12 : inputs, g.outChannels = reversed ? inputs : 12;
        g.width = 9, g.height = 7, g.padW = g.padH = padding;
        compare(caseOf(seed++, g, 33, reversed ? 11 : inputs - 3, reversed ? inputs - 3 : 11));
      }
  report(compare.backends);
}

// One tap and many outputs: lines that a task gathers first, in one pass or in several, at planes of a power of two
// too.
TEST_CASE("wide convolutions of one place whose lines are gathered") {
  Comparison compare;
  const std::vector<int> inputs = {1, 16, 130, 192, 300}, outputs = {36, 37, 64, 96, 200};
  for (int trial = 0; trial < cases(40); trial++) {
    const std::uint64_t seed = firstSeed(40) + std::uint64_t(trial) + 7000;
    Random random(seed);
    const int liveIn = pick(random, inputs), liveOut = pick(random, outputs);
    Conv2dGeometry g;
    g.inChannels = liveIn + (random.chance(0.5) ? random.integer(1, 40) : 0);
    g.outChannels = liveOut + (random.chance(0.5) ? random.integer(1, 40) : 0);
    g.height = random.integer(1, 8), g.width = random.chance(0.4) ? 8 : random.integer(1, 9);
    if (random.chance(0.3)) g.strideH = g.strideW = 2;
    if (random.chance(0.2)) g.padH = random.integer(0, 1), g.padW = random.integer(0, 1);
    compare(caseOf(seed, g, random.chance(0.5) ? 16 : random.integer(1, 40), liveIn, liveOut));
  }
  report(compare.backends);
}

// Linear layers: few tiles, so that the sum is cut into parts; with few live inputs some parts are empty.
TEST_CASE("long sums of few tiles are split") {
  Comparison compare;
  std::uint64_t seed = 1;
  for (int inputs : {255, 256, 257, 700})
    for (int live : {0, 1, 16, 33, inputs}) {
      Conv2dGeometry g;
      g.inChannels = inputs, g.outChannels = 11;
      compare(caseOf(seed++, g, 20, live, live ? 10 : 0));
    }
  Conv2dGeometry pixels;  // in more than one block of the grid, with a kernel
  pixels.inChannels = 70, pixels.outChannels = 20, pixels.height = 3, pixels.width = 3;
  pixels.kernelHeight = pixels.kernelWidth = 3, pixels.padH = pixels.padW = 1;
  compare(caseOf(seed++, pixels, 37, 70, 20));
  compare(caseOf(seed++, pixels, 37, 51, 13));
  report(compare.backends);
}

TEST_CASE("strides, dilations and paddings with and without common divisors") {
  Comparison compare;
  std::uint64_t seed = 1;
  for (int kernel : {1, 2, 4, 5})
    for (int stride : {2, 3, 4})
      for (int dilation : {1, 2, 3}) {
        Random random(seed);
        Conv2dGeometry g;
        g.inChannels = random.integer(1, 20), g.outChannels = random.integer(1, 20);
        g.kernelHeight = kernel, g.strideH = stride, g.dilationH = dilation;
        g.kernelWidth = random.integer(1, 3), g.strideW = random.integer(1, 3);
        g.padH = random.integer(0, dilation * (kernel - 1) + 2),
        g.padW = random.integer(0, 4);  // also beyond the kernel
        g.height = random.integer(dilation * (kernel - 1) + 1, 16), g.width = random.integer(3, 9);
        if (seed % 3 == 0 || cases(3) == 3)
          compare(caseOf(seed, g, random.integer(1, 18), random.integer(0, g.inChannels),
                         random.integer(0, g.outChannels)));
        seed++;
      }
  report(compare.backends);
}

TEST_CASE("one input channel for each output channel, images on both sides of a tile") {
  Comparison compare;
  for (int trial = 0; trial < cases(60); trial++) {
    std::uint64_t seed = firstSeed(60) + std::uint64_t(trial);
    Random random(seed);
    Conv2dGeometry g;
    g.groups = g.inChannels = random.integer(2, 9);
    g.outChannels = g.inChannels * (random.chance(0.8) ? 1 : 2);
    g.kernelHeight = g.kernelWidth = pick(random, {3, 5});
    if (random.chance(0.1)) g.kernelHeight = 2;
    if (random.chance(0.1)) g.strideW = 2;
    g.padH = random.integer(0, g.kernelHeight + 1), g.padW = random.integer(0, g.kernelWidth + 1);
    g.height = random.integer(std::max(1, g.kernelHeight - 2 * g.padH), 12);
    g.width = random.integer(std::max(1, g.kernelWidth - 2 * g.padW), 19);
    compare(caseOf(seed, g, random.integer(1, 50), random.integer(0, g.inChannels), random.integer(0, g.outChannels)));
  }
  report(compare.backends);
}

TEST_CASE("groups of few channels, some without a live one") {
  Comparison compare;
  std::uint64_t seed = 1;
  for (auto [groups, in, out] : {std::array{20, 1, 1},
                                 {20, 1, 2},
                                 {6, 2, 1},
                                 {3, 8, 8},
                                 {3, 8, 9},
                                 {3, 9, 8},
                                 {2, 9, 9},
                                 {2, 17, 3},
                                 {2, 3, 17},
                                 {3, 33, 33}}) {
    Random random(seed);
    Conv2dGeometry g;
    g.groups = groups, g.inChannels = groups * in, g.outChannels = groups * out;
    g.kernelHeight = random.integer(1, 3), g.kernelWidth = random.integer(1, 5);
    g.padH = random.integer(0, 1), g.padW = random.integer(0, 2);
    g.strideH = random.integer(1, 2), g.strideW = random.integer(1, 2);
    g.height = random.integer(3, 9), g.width = random.integer(5, 9);
    Case c =
        caseOf(seed++, g, random.integer(1, 40), random.integer(0, g.inChannels), random.integer(0, g.outChannels));
    compare(c);
    c.lists = !c.lists;
    if (c.lists) {  // the first group has no live input, the second no live output
      std::erase_if(c.liveIn, [&](int channel) { return channel < in; });
      std::erase_if(c.liveOut, [&](int channel) { return channel / out == 1; });
      for (int o = out; o < 2 * out; o++) c.state[std::size_t(o)] = kZero;
    }
    compare(c);
  }
  report(compare.backends);
}

#if defined(SELFCOMPRESS_CUDA_HOST)
// A device chooses other tiles and has other orders of blocks, never another order of a sum.
TEST_CASE("every device and every schedule give the same bits") {
  std::vector<std::unique_ptr<Backend>> devices;
  for (Precision precision : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16}) {
    devices.clear();
    for (int d = 0; d < int(cuda::listDevices().devices.size()); d++) {
      if (precision != Precision::kFloat32 && cuda::listDevices().devices[std::size_t(d)].computeCapability < 80)
        continue;
      cuda::StreamOptions options;
      options.device = d;
      devices.push_back(cuda::makeBackend(options, precision));
    }
    REQUIRE(devices.size() >= 2);
    for (int trial = 0; trial < cases(6); trial++) {
      std::uint64_t seed = 500 + firstSeed(6) + std::uint64_t(trial);
      Random random(seed);
      Conv2dGeometry g;
      g.inChannels = random.integer(66, 140), g.outChannels = random.integer(66, 140);
      g.height = random.integer(1, 4), g.width = random.integer(2, 12);
      Case c = caseOf(seed, g, random.integer(1, 40), g.inChannels - 2, g.outChannels - 5);
      for (Which which : {kForward, kGradInput, kGradWeight}) {
        std::vector<float> first = runCase(*devices[0], c, which);
        for (std::size_t d = 1; d < devices.size(); d++) CHECK(sameBits(first, runCase(*devices[d], c, which)));
        std::uint64_t before = cuda::host::settings().seed;
        cuda::host::settings().seed = before + 1000;
        CHECK(sameBits(first, runCase(*devices[0], c, which)));
        cuda::host::settings().seed = before;
      }
    }
  }
}
#endif
