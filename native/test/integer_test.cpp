// The arithmetic of integers: rounding, scales, and functions that are the same on every machine.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "engine/integer/build.h"
#include "engine/integer/functions.h"
#include "engine/integer/program.h"
#include "model/error.h"

using namespace selfcompress;
using namespace selfcompress::engine::integer;

namespace {

// floor((sum * m + 2^(n-1)) / 2^n) by division of whole numbers.
std::int64_t divided(std::int32_t sum, sc_scale by) {
  const std::int64_t product = std::int64_t(sum) * by.multiplier + (std::int64_t(1) << (by.shift - 1));
  const std::int64_t unit = std::int64_t(1) << by.shift;
  const std::int64_t quotient = product / unit;
  return quotient - (product % unit < 0 ? 1 : 0);
}

}  // namespace

TEST_CASE("rescaling rounds to the nearest, halves up, for all signs and extremes") {
  CHECK(sc_rescale(1, {1, 1}) == 1);    // 1/2
  CHECK(sc_rescale(-1, {1, 1}) == 0);   // -1/2
  CHECK(sc_rescale(-3, {1, 1}) == -1);  // -3/2
  CHECK(sc_rescale(5, {3, 2}) == 4);    // 15/4
  std::mt19937 random(1);
  std::uniform_int_distribution<std::int32_t> any(INT32_MIN, INT32_MAX);
  std::uniform_int_distribution<int> shifts(1, 62);
  for (int i = 0; i < 200000; i++) {
    const sc_scale by{i % 50 == 0 ? INT32_MAX : any(random), shifts(random)};
    const std::int32_t sum = i % 70 == 0 ? INT32_MIN : i % 70 == 1 ? INT32_MAX : any(random);
    CHECK(sc_rescale(sum, by) == divided(sum, by));
  }
}

TEST_CASE("factors have 31 bits, and none is out of range") {
  std::mt19937 random(2);
  std::uniform_real_distribution<double> exponents(-30, 29);
  for (int i = 0; i < 10000; i++) {
    const double factor = (i % 2 ? -1 : 1) * std::exp2(exponents(random));
    const sc_scale by = fixedPoint(factor, "x");
    CHECK(std::fabs(by.multiplier) >= std::ldexp(1.0, 30));
    CHECK(std::fabs(std::ldexp(double(by.multiplier), -by.shift) / factor - 1) <= std::ldexp(1.0, -31));
  }
  CHECK(fixedPoint(0, "x").multiplier == 0);
  CHECK(fixedPoint(1e-300, "x").multiplier == 0);
  CHECK(fixedPoint(std::ldexp(1.0, -40), "x").shift == 62);
  CHECK(fixedPoint(1 - 1e-16, "x").multiplier == 1 << 30);  // rounds up to the next power of two
  for (const double factor : {std::ldexp(1.0, 31), double(INFINITY), double(-INFINITY), double(NAN)})
    CHECK_THROWS_AS(fixedPoint(factor, "x"), model::ModelFileError);
}

TEST_CASE("codes: ranges hold zero exactly, numbers are clamped, what is none is 0") {
  for (auto [low, high] : {std::pair{-1.0, 1.0}, {0.0, 3.7}, {-2.5, 0.0}, {0.5, 2.0}, {-3.0, -1.0}, {0.0, 0.0}}) {
    const CodeScale code = codeScale(low, high);
    CHECK(code.zero >= 0);
    CHECK(code.zero <= 255);
    CHECK(sc_value(std::uint8_t(code.zero), code.scale, code.zero) == 0);
    CHECK(sc_quantize(0, code.scale, code.zero) == code.zero);
    for (float x : {-1e30f, -2.f, -0.3f, 0.2f, 1.9f, 1e30f}) {
      const double exact = std::floor(double(x) / double(code.scale) + code.zero + 0.5);
      CHECK(sc_quantize(x, code.scale, code.zero) == std::fmin(std::fmax(exact, 0), 255));
    }
    CHECK(sc_quantize(std::numeric_limits<float>::quiet_NaN(), code.scale, code.zero) == 0);
  }
}

TEST_CASE("powers and bounds of what a file may say") {
  CHECK(powerOfTwo(-3.0) == 0.125);
  CHECK(powerOfTwo(2.1e16) == double(INFINITY));
  CHECK(powerOfTwo(-2.1e16) == 0);
  CHECK(powerOfTwo(double(NAN)) == 0);
  std::int32_t low = -1, high = -1;
  setBounds({double(NAN), double(INFINITY)}, {1.0f, 3}, low, high);
  CHECK(low == 0);
  CHECK(high == 255);
}

TEST_CASE("functions agree with the library's") {
  for (double x = -30; x <= 30; x += 0.0137) {
    CHECK(exponential(x) == doctest::Approx(std::exp(x)).epsilon(1e-14));
    CHECK(powerOfTwo(x) == doctest::Approx(std::exp2(x)).epsilon(1e-14));
    CHECK(errorFunction(x) == doctest::Approx(std::erf(x)).epsilon(1e-13));
    CHECK(std::fabs(tangent(x) - std::tanh(x)) < 1e-15);
  }
  CHECK(powerOfTwo(-7) == std::ldexp(1.0, -7));
  CHECK(std::isfinite(exponential(1e300)));
}

TEST_CASE("windows, pools and sums at borders, by hand") {
  sc_conv c{};
  c.height = 2, c.width = 2, c.channels = 1, c.out_height = c.out_width = 2, c.out_channels = 1;
  c.kernel_height = c.kernel_width = 3, c.pad_height = c.pad_width = 1;
  c.stride_height = c.stride_width = c.dilation_height = c.dilation_width = c.groups = 1;
  c.in_zero = 10, c.out_zero = 100, c.low = 100, c.high = 255;
  const std::uint8_t input[4] = {11, 12, 13, 14};
  const std::int8_t weights[9] = {0, 0, 0, 0, 1, 2, 0, 4, 8};
  std::uint8_t output[4];
  sc_conv_channel(&c, input, weights, {-1, {1, 1}}, 0, output);
  // Sums 1 + 2*2 + 4*3 + 8*4 - 1 = 48, 2 + 4*4 - 1 = 17, 3 + 2*4 - 1 = 10, 4 - 1 = 3; halves of them, halves up.
  CHECK(output[0] == 124);
  CHECK(output[1] == 109);
  CHECK(output[2] == 105);
  CHECK(output[3] == 102);
  sc_pool p{};
  p.height = p.width = 2, p.channels = 1, p.out_height = p.out_width = 2, p.kernel_height = p.kernel_width = 2;
  p.stride_height = p.stride_width = 2, p.pad_height = p.pad_width = 1, p.in_zero = 10, p.high = 255, p.by_count = 1;
  const sc_scale byCount[4] = {{1 << 20, 20}, {1 << 19, 20}, {349525, 20}, {1 << 18, 20}};
  sc_average_pool(&p, byCount, input, output);
  CHECK(output[0] == 1);
  CHECK(output[3] == 4);
  sc_max_pool(&p, input, output);
  CHECK(output[0] == 11);
  CHECK(output[3] == 14);
}
