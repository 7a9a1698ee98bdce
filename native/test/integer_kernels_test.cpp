// Every instruction set's kernels of integers against arithmetic.h, their definition: the same codes, bit for bit.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "engine/integer/layer.h"
#include "test/support.h"

using namespace selfcompress;
using namespace selfcompress::engine::integer;

namespace {

struct Draw : test::Random {
  using Random::Random;
  int zero() { return chance(0.2) ? 0 : chance(0.2) ? 255 : integer(0, 255); }
};

enum class Form { kConvolution, kGroups, kDepthwise, kLinear, kPointwise };

sc_conv drawGeometry(Draw& draw, Form form) {
  sc_conv c{};
  c.stride_height = draw.integer(1, 2), c.stride_width = draw.integer(1, 3);
  c.dilation_height = draw.integer(1, 2), c.dilation_width = draw.chance(0.7) ? 1 : 2;
  c.kernel_height = draw.integer(1, 5), c.kernel_width = draw.integer(1, 5);
  c.groups = form == Form::kGroups ? draw.integer(2, 4) : 1;
  c.channels = c.groups * draw.integer(1, draw.chance(0.3) ? 40 : 9);
  c.out_channels = c.groups * draw.integer(1, draw.chance(0.3) ? 150 : 20);
  if (form == Form::kDepthwise) c.groups = c.out_channels = c.channels = draw.integer(2, 70);
  if (form == Form::kPointwise) {
    c.kernel_height = c.kernel_width = c.dilation_height = c.dilation_width = 1;
    if (draw.chance(0.5)) c.stride_height = c.stride_width = 1;
  }
  c.pad_height = draw.integer(0, 3), c.pad_width = draw.chance(0.3) ? 0 : draw.integer(0, 3);
  const int reachedHeight = (c.kernel_height - 1) * c.dilation_height + 1;
  const int reachedWidth = (c.kernel_width - 1) * c.dilation_width + 1;
  c.height = draw.integer(std::max(1, reachedHeight - 2 * c.pad_height), reachedHeight + 8);
  c.width = draw.integer(std::max(1, reachedWidth - 2 * c.pad_width), reachedWidth + 30);
  if (form == Form::kLinear) {
    c.kernel_height = c.height = draw.integer(1, 6), c.kernel_width = c.width = draw.integer(1, 6);
    c.pad_height = c.pad_width = 0, c.stride_height = c.stride_width = c.dilation_height = c.dilation_width = 1;
  }
  auto outputs = [](int size, int pad, int kernel, int dilation, int stride) {
    return (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
  };
  c.out_height = outputs(c.height, c.pad_height, c.kernel_height, c.dilation_height, c.stride_height);
  c.out_width = outputs(c.width, c.pad_width, c.kernel_width, c.dilation_width, c.stride_width);
  c.in_zero = draw.zero(), c.out_zero = draw.zero();
  c.low = draw.chance(0.5) ? 0 : draw.integer(0, 255), c.high = draw.chance(0.5) ? 255 : draw.integer(c.low, 255);
  return c;
}

// Weights of 0 to 8 bits, extremes among them, and dead channels; scales that spread the sums over the codes, or any.
Step drawStep(Draw& draw, Form form) {
  Step step;
  step.kind = StepKind::kConv;
  step.conv = drawGeometry(draw, form);
  const sc_conv& c = step.conv;
  const int row = c.kernel_height * c.kernel_width * (c.channels / c.groups);
  const bool extremes = draw.chance(0.2), wild = draw.chance(0.3);
  for (int o = 0; o < c.out_channels; o++) {
    const int bits = draw.chance(0.15) ? 0 : draw.integer(1, 8), low = bits ? -(1 << (bits - 1)) : 0;
    step.bits.push_back(std::uint8_t(bits));
    double most = 0;
    for (int k = 0; k < row; k++) {
      const int weight = !bits ? 0 : extremes ? (draw.chance(0.9) ? low : -1 - low) : draw.integer(low, -1 - low);
      step.weights.push_back(std::int8_t(weight));
      most += 255.0 * std::abs(weight);
    }
    const double bias = wild ? INT32_MAX - most : std::min(INT32_MAX - most, 1000.0);
    const std::int32_t b = std::int32_t(std::floor(bias)) / (draw.chance(0.5) ? 1 : 3) * (draw.chance(0.5) ? 1 : -1);
    const double spread = std::exp2(draw.integer(4, 12));
    sc_scale scale = fixedPoint((draw.chance(0.3) ? -1 : 1) * spread / (most + 1000), "test");
    if (wild && draw.chance(0.5)) scale = {draw.integer(INT32_MIN, INT32_MAX), draw.integer(1, 62)};
    step.channels.push_back({b, scale});
  }
  return step;
}

// Tasks as several threads would share them, in another order than one after another.
engine::Parallel backwards(int threads) {
  return {threads, [](std::int64_t count, const std::function<void(std::int64_t)>& task) {
            while (count > 0) task(--count);
          }};
}

// As the model runs it, into memory of exactly the sizes that are asked for.
std::vector<std::uint8_t> run(const Step& step, const CodeKernels& kernels, const std::vector<std::uint8_t>& input,
                              std::size_t outputs, int threads) {
  const Layer layer(step, kernels);
  std::vector<std::uint8_t> output(outputs, 77), scratch(std::size_t(layer.scratchBytes()), 99);
  layer.run(input.data(), output.data(), scratch.data(), backwards(threads));
  return output;
}

std::vector<std::uint8_t> drawCodes(Draw& draw, std::size_t count) {
  const bool extremes = draw.chance(0.2);
  std::vector<std::uint8_t> codes(count);
  for (std::uint8_t& code : codes) code = std::uint8_t(extremes ? 255 * draw.integer(0, 1) : draw.integer(0, 255));
  return codes;
}

void check(Draw& draw, Form form) {
  const Step step = drawStep(draw, form);
  const sc_conv& c = step.conv;
  std::string shape;
  for (int number : {c.height, c.width, c.channels, c.out_channels, c.groups, c.kernel_height, c.kernel_width,
                     c.stride_height, c.stride_width, c.pad_height, c.pad_width, c.dilation_height, c.dilation_width})
    shape += std::to_string(number) + " ";
  CAPTURE(shape);
  const std::vector<std::uint8_t> input = drawCodes(draw, std::size_t(c.height * c.width * c.channels));
  std::vector<std::uint8_t> expected(std::size_t(c.out_height * c.out_width * c.out_channels));
  for (int o = 0; o < c.out_channels; o++)
    sc_conv_channel(&c, input.data(), step.weights.data() + std::size_t(o) * step.perChannel(),
                    step.channels[std::size_t(o)], o, expected.data());
  REQUIRE(Layer::covers(c));
  for (const CodeKernels* kernels : supportedCodeKernels()) {
    if (!kernels) continue;
    CAPTURE(kernels->isa);
    CHECK(run(step, *kernels, input, expected.size(), 1) == expected);
    CHECK(run(step, *kernels, input, expected.size(), 3) == expected);
  }
}

void checkMany(Form form, int count) {
  Draw draw(std::uint64_t(form) + 1);
  for (int i = 0; i < test::cases(count); i++) {
    CAPTURE(i);
    check(draw, form);
  }
}

}  // namespace

TEST_CASE("convolutions of integers: random shapes, borders, zeros, dead channels") {
  checkMany(Form::kConvolution, 400);
}
TEST_CASE("convolutions in groups") { checkMany(Form::kGroups, 250); }
TEST_CASE("depthwise convolutions") { checkMany(Form::kDepthwise, 400); }
TEST_CASE("linear layers") { checkMany(Form::kLinear, 250); }
TEST_CASE("kernels of one place") { checkMany(Form::kPointwise, 250); }

TEST_CASE("a border that makes the image many times as large is not copied") {
  sc_conv c{};
  c.height = c.width = 8, c.channels = 1, c.kernel_height = c.kernel_width = c.stride_height = c.stride_width = 1;
  c.dilation_height = c.dilation_width = c.groups = c.out_channels = 1, c.pad_height = c.pad_width = 1000;
  c.out_height = c.out_width = 2008;
  CHECK(!Layer::covers(c));
}

TEST_CASE("sums of two tensors: every shift") {
  Draw draw(9);
  for (int i = 0; i < test::cases(300); i++) {
    sc_binary g{};
    g.height = draw.integer(1, 5), g.width = draw.integer(1, 7), g.channels = draw.integer(1, 70);
    const int count = g.height * g.width * g.channels;
    for (int* step : {g.step_a, g.step_b}) step[0] = g.width * g.channels, step[1] = g.channels, step[2] = 1;
    g.zero_a = draw.zero(), g.zero_b = draw.zero(), g.out_zero = draw.zero();
    g.factor_a = draw.integer(0, 1 << 22), g.factor_b = draw.chance(0.2) ? 1 << 22 : draw.integer(0, 1 << 22);
    g.low = draw.integer(0, 100), g.high = draw.integer(g.low, 255), g.scale = {1, 1 + i % 32};
    const auto a = drawCodes(draw, std::size_t(count)), b = drawCodes(draw, std::size_t(count));
    std::vector<std::uint8_t> expected(static_cast<std::size_t>(count));
    sc_add(&g, a.data(), b.data(), expected.data());
    for (const CodeKernels* kernels : supportedCodeKernels()) {
      if (!kernels) continue;
      std::vector<std::uint8_t> actual(static_cast<std::size_t>(count), 7);
      kernels->add({a.data(), b.data(), count, g.zero_a, g.zero_b, g.factor_a, g.factor_b, g.scale.shift, g.out_zero,
                    g.low, g.high, actual.data()});
      CHECK(actual == expected);
    }
  }
}

TEST_CASE("the largest codes and the codes of numbers") {
  Draw draw(10);
  for (int i = 0; i < test::cases(200); i++) {
    const int rows = draw.integer(1, 4), columns = draw.integer(1, 4), channels = draw.integer(1, 70);
    const std::int64_t rowStep = (columns + draw.integer(0, 3)) * channels;
    const auto codes = drawCodes(draw, std::size_t(rows * rowStep));
    std::vector<std::uint8_t> expected(std::size_t(channels), 0), quantized(100), exact(100);
    for (int y = 0; y < rows; y++)
      for (int x = 0; x < columns * channels; x++) {
        std::uint8_t& most = expected[std::size_t(x % channels)];
        most = std::max(most, codes[std::size_t(y * rowStep + x)]);
      }
    std::vector<float> values;
    for (int k = 0; k < 100; k++)
      values.push_back(k == 0   ? NAN
                       : k == 1 ? INFINITY
                       : k == 2 ? -INFINITY
                       : k == 3 ? std::numeric_limits<float>::max()
                                : std::ldexp(float(draw.integer(-3000, 3000)), -draw.integer(0, 12)));
    const float scale = std::ldexp(float(draw.integer(1, 1000)), -draw.integer(0, 14));
    const int zero = draw.zero();
    for (int k = 0; k < 100; k++) exact[std::size_t(k)] = sc_quantize(values[std::size_t(k)], scale, zero);
    for (const CodeKernels* kernels : supportedCodeKernels()) {
      if (!kernels) continue;
      std::vector<std::uint8_t> actual(std::size_t(channels), 7);
      kernels->largest(codes.data(), rows, columns, rowStep, channels, actual.data());
      CHECK(actual == expected);
      kernels->quantize(values.data(), 100, scale, zero, quantized.data());
      CHECK(quantized == exact);
    }
  }
}
