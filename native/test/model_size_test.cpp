// Sizes: codes against the entropy of their frequencies, and what a file spends on everything else.
#include <doctest/doctest.h>

#include "test/model_support.h"

using namespace model_test;

namespace {

struct Drawn {
  const char* name;
  std::vector<std::int64_t> axes;
  double bound;  // of the bytes of the entropy
  std::vector<std::int32_t> codes;
};

template <class Draw>
Drawn draw(const char* name, std::vector<std::int64_t> axes, double bound, Draw next) {
  Drawn drawn{name, axes, bound, std::vector<std::int32_t>(product(axes))};
  for (std::size_t i = 0; i < drawn.codes.size(); i++) drawn.codes[i] = next(i);
  return drawn;
}

std::vector<Drawn> drawnTensors() {
  Random random(11);
  std::vector<bool> deadInput(784), deadRow(300);
  for (std::size_t j = 0; j < deadInput.size(); j++) deadInput[j] = random.chance(0.6);
  for (std::size_t j = 0; j < deadRow.size(); j++) deadRow[j] = random.chance(0.3);
  std::vector<Drawn> all;
  for (const int depth : {1, 2, 3, 4, 6, 8, 12}) {
    const auto codes = uniformCodes(random, 64 * 64 * 9, depth);
    all.push_back(draw("uniform", {64, 64, 3, 3}, 1.02, [&](std::size_t i) { return codes[i]; }));
  }
  for (const double spread : {0.3, 0.6, 1.0, 4.0, 40.0, 100.0})
    all.push_back(draw("Laplace", {64, 64, 3, 3}, 1.02, [&](std::size_t) { return laplace(random, spread); }));
  all.push_back(draw("one in a hundred", {300, 784}, 1.02,
                     [&](std::size_t) { return random.chance(0.01) ? laplace(random, 2) : 0; }));
  all.push_back(draw("dead inputs", {300, 784}, 0.8,
                     [&](std::size_t i) { return deadInput[i % 784] ? 0 : laplace(random, 0.4); }));
  all.push_back(
      draw("dead rows", {300, 784}, 0.9, [&](std::size_t i) { return deadRow[i / 784] ? 0 : laplace(random, 0.4); }));
  // Smooth kernels: neighbours are alike in size and sign.
  double last = 0;
  all.push_back(draw("smooth kernels", {64, 32, 5, 5}, 0.8, [&](std::size_t) {
    last = 0.9 * last + random.real() - 0.5;
    return std::int32_t(std::lround(last));
  }));
  // Rows of images of 28 x 28 whose middle is alive.
  all.push_back(draw("images", {80, 784}, 0.95, [&](std::size_t i) {
    const double x = double(i % 28) - 14, y = double(i % 784 / 28) - 14;
    return random.chance(0.3 * std::exp(-(x * x + y * y) / 40)) ? laplace(random, 1) : 0;
  }));
  all.push_back(draw("zeros", {300, 784}, 1, [](std::size_t) { return 0; }));
  return all;
}

}  // namespace

TEST_CASE("coded tensors take no more than the entropy of their codes") {
  for (const Drawn& drawn : drawnTensors()) {
    ModelWriter writer({}, {});
    const std::vector<float> exponents{-4};
    writer.addCodes(-1, "w", drawn.axes, drawn.codes, exponents, "range");
    const Bytes file = writer.finish();
    const ModelReader reader(file);
    const double entropy = orderZeroBits(drawn.codes) / 8, bytes = double(reader.payload(0).size());
    INFO(std::string(drawn.name), " ", entropy, " ", bytes);
    CHECK(bytes <= drawn.bound * entropy + 16);
    CHECK(reader.codes(0).codes == drawn.codes);
  }
}

namespace {

struct Budget {
  std::size_t file = 0, codes = 0;
};

// A LeNet-5 whose codes are drawn; `spread` sets how many bytes they take.
Bytes leNetFile(std::int64_t a, std::int64_t b, std::int64_t c, double spread, Budget& budget) {
  Random random(5);
  const Structure structure = leNet5(a, b, c);
  const Metadata metadata{{"task", std::string("classification")},
                          {"name", std::string("mnist")},
                          {"labels", std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
                          {"mean", std::vector<double>{0.1307}},
                          {"std", std::vector<double>{0.3081}}};
  ModelWriter writer(structure, metadata);
  const std::vector<std::pair<int, std::vector<std::int64_t>>> weights{
      {0, {a, 1, 5, 5}}, {3, {b, a, 5, 5}}, {7, {c, b * 16}}, {9, {10, c}}};
  double bits = 0;
  float exponent = -3.4375f;
  for (const auto& [node, axes] : weights) {
    std::vector<std::int32_t> codes(product(axes)), bias(product({axes[0]}));
    for (auto& code : codes) code = laplace(random, spread);
    for (auto& code : bias) code = laplace(random, 1);
    writer.addCodes(node, "weight", axes, codes, std::vector<float>{exponent});
    writer.addCodes(node, "bias", {axes[0]}, bias, std::vector<float>{exponent + 1});
    exponent -= 0.375f;
    bits += orderZeroBits(codes) + orderZeroBits(bias);
  }
  Bytes file = writer.finish();
  budget = {file.size(), std::size_t(std::ceil(bits / 8))};
  return file;
}

}  // namespace

TEST_CASE("everything but the codes of a small network takes few bytes") {
  Budget budget;
  leNetFile(6, 12, 40, 0.16, budget);
  MESSAGE("file of " << budget.file << " bytes, codes " << budget.codes);
  CHECK(budget.file < 1300);
  CHECK(budget.file - budget.codes <= 150);
  leNetFile(8, 24, 80, 0.6, budget);
  MESSAGE("file of " << budget.file << " bytes, codes " << budget.codes);
  CHECK(budget.file - budget.codes <= 500);
  leNetFile(20, 50, 500, 0.3, budget);
  MESSAGE("file of " << budget.file << " bytes, codes " << budget.codes);
  CHECK(double(budget.file) <= 1.05 * double(budget.codes));
}
