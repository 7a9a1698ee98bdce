// Rate-aware rounding: what may change, what must not, and that bytes are saved.
#include <doctest/doctest.h>

#include <climits>
#include <cmath>
#include <limits>

#include "model/squeeze.h"
#include "test/model_support.h"

using namespace model_test;

namespace {

struct Tensor {
  RowShape shape;
  std::vector<std::int32_t> codes;
  std::vector<float> cost;
};

Tensor drawTensor(Random& random, RowShape shape, double spread) {
  Tensor tensor{shape, {}, {}};
  for (std::int64_t i = 0; i < shape.elements(); i++) {
    tensor.codes.push_back(laplace(random, spread));
    tensor.cost.push_back(float(random.real()));
  }
  return tensor;
}

std::vector<std::int32_t> squeezed(const Tensor& t, double lambda) {
  std::vector<std::int32_t> result(t.codes.size(), 12345);
  squeezeCodes(t.shape, t.codes.data(), t.cost.data(), lambda, result.data());
  return result;
}

std::size_t bytesOf(const Tensor& t, const std::vector<std::int32_t>& codes) {
  const std::vector<float> exponents(std::size_t(t.shape.channels), -3.0f);
  TensorView view;
  view.shape = t.shape, view.codes = codes.data(), view.exponents = exponents.data();
  return findCodec("range")->encode(view).size();
}

const RowShape kShapes[] = {{1, 1, 1}, {3, 1, 1}, {1, 7, 1}, {5, 3, 9}, {7, 13, 25}, {33, 65, 1}, {2, 1031, 1}};

}  // namespace

TEST_CASE("squeezed codes lie between zero and a step beyond where they were, within their channel's extremes") {
  Random random(3);
  for (const RowShape& shape : kShapes)
    for (const double lambda : {0.01, 0.3, 1e9}) {
      const Tensor t = drawTensor(random, shape, 1.5);
      const std::vector<std::int32_t> result = squeezed(t, lambda);
      const std::size_t row = std::size_t(shape.perChannel());
      for (std::size_t i = 0; i < result.size(); i++) {
        const auto first = t.codes.begin() + std::ptrdiff_t(i / row * row);
        const auto [low, high] = std::minmax_element(first, first + std::ptrdiff_t(row));
        CHECK(std::abs(result[i]) <= std::abs(t.codes[i]) + 1);
        CHECK((result[i] >= *low && result[i] <= *high));
        CHECK(std::int64_t(result[i]) * t.codes[i] >= 0);
        if (t.codes[i] == 0) CHECK(result[i] == 0);
      }
      std::vector<std::int32_t> inPlace = t.codes;
      squeezeCodes(shape, inPlace.data(), t.cost.data(), lambda, inPlace.data());
      CHECK(inPlace == result);
    }
}

TEST_CASE("the more a bit is worth, the fewer bytes are left; at nothing a bit all codes stay") {
  Random random(4);
  const Tensor t = drawTensor(random, {64, 32, 9}, 1.2);
  CHECK(squeezed(t, 0) == t.codes);
  std::size_t last = bytesOf(t, t.codes);
  for (const double lambda : {0.05, 0.2, 0.8, 3.0}) {
    const std::size_t bytes = bytesOf(t, squeezed(t, lambda));
    CHECK(bytes < last);
    last = bytes;
  }
}

TEST_CASE("cheap codes go before dear ones") {
  Random random(5);
  Tensor t = drawTensor(random, {40, 50, 1}, 0.8);
  for (std::size_t i = 0; i < t.cost.size(); i += 2) t.cost[i] = 1e6f;
  const std::vector<std::int32_t> result = squeezed(t, 0.5);
  int cheap = 0, dear = 0;
  for (std::size_t i = 0; i < result.size(); i++) (i % 2 ? cheap : dear) += result[i] != t.codes[i];
  CHECK(dear == 0);
  CHECK(cheap > 100);
}

TEST_CASE("a code whose cost is no number stays, and the largest codes do not wrap around") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Tensor t{{1, 6, 1}, {INT_MIN, INT_MAX, 1, -1, 1, 0}, {0, 0, nan, inf, 0, 0}};
  const std::vector<std::int32_t> result = squeezed(t, 1e12);
  CHECK(result[0] <= 0);
  CHECK(result[1] >= 0);
  CHECK(result[2] == 1);
  CHECK(result[3] == -1);
  CHECK(result[5] == 0);
}

TEST_CASE("large codes give way to coarser ones, and to zero where nothing is lost by it") {
  Random random(6);
  Tensor t = drawTensor(random, {16, 40, 9}, 40);
  const std::size_t before = bytesOf(t, t.codes);
  for (float& cost : t.cost) cost = 0.01f;
  CHECK(bytesOf(t, squeezed(t, 1)) < before * 9 / 10);
  for (float& cost : t.cost) cost = 0;
  const std::vector<std::int32_t> none = squeezed(t, 1);
  CHECK(std::count(none.begin(), none.end(), 0) > std::ptrdiff_t(none.size()) * 9 / 10);
}
