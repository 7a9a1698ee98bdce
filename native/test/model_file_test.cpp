// The model file as a whole: round trips, byte identity, what is refused.
#include <doctest/doctest.h>

#include "test/model_support.h"

using namespace model_test;

namespace {

std::string randomText(Random& random) {
  static const char* known[] = {"weight", "nearest", "conv2d", "kernel"};
  if (random.chance(0.3)) return known[random.integer(0, 3)];
  std::string text;
  for (auto i = random.integer(0, 12); i > 0; i--) text += char(random.integer(0, 255));
  return text;
}

double randomNumber(Random& random) {
  switch (random.integer(0, 6)) {
    case 0:
      return double(random.integer(-300, 300));
    case 1:
      return double(random.integer(-1000000, 1000000)) / 1000;
    case 2:
      return double(float(double(random.integer(0, 10000)) / 10000));
    case 3:
      return std::bit_cast<double>(random.engine());
    case 4:
      return double(std::bit_cast<float>(std::uint32_t(random.engine())));
    case 5:
      return -0.0;
    default:
      return std::ldexp(1.0, int(random.integer(-80, 80)));
  }
}

FieldValue randomValue(Random& random) {
  switch (random.integer(0, 6)) {
    case 0:
      return random.chance(0.5);
    case 1:
      return random.chance(0.5) ? random.integer(-3, 300) : std::int64_t(random.engine());
    case 2:
      return randomNumber(random);
    case 3:
      return randomText(random);
    case 4: {
      std::vector<double> list(std::size_t(random.integer(0, 4)));
      for (double& v : list) v = randomNumber(random);
      if (list.size() == 2 && random.chance(0.5)) list[1] = list[0];
      return list;
    }
    case 5: {
      std::vector<std::string> list;
      for (auto i = random.integer(0, 12); i > 0; i--) list.push_back(std::to_string(list.size()));
      return list;
    }
    default: {
      std::vector<std::string> list(std::size_t(random.integer(0, 4)));
      for (auto& v : list) v = randomText(random);
      return list;
    }
  }
}

Fields randomFields(Random& random) {
  Fields fields(std::size_t(random.integer(0, 5)));
  for (auto& [key, value] : fields) key = randomText(random), value = randomValue(random);
  return fields;
}

Structure randomStructure(Random& random) {
  Structure s;
  for (auto i = random.integer(0, 4); i > 0; i--) s.inputAxes.push_back(random.integer(0, 300));
  s.valueType = random.chance(0.5) ? "float" : randomText(random);
  const int count = int(random.integer(0, 20));
  for (int i = 0; i < count; i++) {
    Node n{random.chance(0.5) ? "conv2d" : randomText(random),
           random.chance(0.5) ? randomText(random) : "",
           {},
           randomFields(random)};
    for (auto k = random.chance(0.5) ? 1 : random.integer(0, 4); k > 0; k--)
      n.inputs.push_back(random.chance(0.5) ? i : int(random.integer(0, i)));
    s.nodes.push_back(n);
  }
  s.output = random.chance(0.5) ? count : int(random.integer(0, count));
  return s;
}

// By their bits: NaN equals itself, -0 is not 0.
bool same(const FieldValue& a, const FieldValue& b) {
  if (a.index() != b.index()) return false;
  const auto bits = [](double v) { return std::bit_cast<std::uint64_t>(v); };
  if (const auto* x = std::get_if<double>(&a)) return bits(*x) == bits(std::get<double>(b));
  if (const auto* x = std::get_if<std::vector<double>>(&a)) {
    const auto& y = std::get<std::vector<double>>(b);
    if (x->size() != y.size()) return false;
    for (std::size_t i = 0; i < y.size(); i++)
      if (bits((*x)[i]) != bits(y[i])) return false;
    return true;
  }
  return a == b;
}
bool same(const Fields& a, const Fields& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); i++)
    if (a[i].first != b[i].first || !same(a[i].second, b[i].second)) return false;
  return true;
}

const std::vector<std::string> kCodeEncodings = {"smallest", "packed", "range", "range-fast"};

struct Written {
  std::vector<std::vector<std::int32_t>> codes;
  std::vector<std::vector<float>> exponents;
};

Written addRandomTensors(Random& random, ModelWriter& writer, int nodes) {
  Written written;
  for (auto i = random.integer(0, 6); i > 0; i--) {
    std::vector<std::int64_t> axes(std::size_t(random.integer(0, 4)));
    for (auto& axis : axes) axis = random.integer(1, 9);
    std::vector<std::int32_t> codes;
    const auto row = std::size_t(rowShape(axes).perChannel());
    std::vector<float> exponents;
    const bool grid = random.chance(0.5);
    for (std::int64_t c = 0; c < rowShape(axes).channels; c++) {
      const auto part = uniformCodes(random, row, int(random.integer(0, 24)));
      codes.insert(codes.end(), part.begin(), part.end());
      exponents.push_back(grid ? float(random.integer(-40, 0)) / 4
                               : std::bit_cast<float>(std::uint32_t(random.engine())));
    }
    writer.addCodes(int(random.integer(-1, nodes - 1)), randomText(random), axes, codes, exponents,
                    kCodeEncodings[std::size_t(random.integer(0, std::int64_t(kCodeEncodings.size()) - 1))]);
    written.codes.push_back(codes);
    written.exponents.push_back(exponents);
  }
  return written;
}

void checkTensors(const ModelReader& reader, const Written& written) {
  REQUIRE(reader.tensors().size() == written.codes.size());
  for (std::size_t i = 0; i < written.codes.size(); i++) {
    const CodeTensor t = reader.codes(i);
    CHECK(t.codes == written.codes[i]);
    const auto row = std::size_t(t.shape.perChannel());
    for (std::size_t c = 0; c < t.exponents.size(); c++) {
      bool dead = true;
      for (std::size_t k = 0; k < row; k++) dead = dead && t.codes[c * row + k] == 0;
      const float expected = dead ? 0 : written.exponents[i][c];
      CHECK(std::bit_cast<std::uint32_t>(t.exponents[c]) == std::bit_cast<std::uint32_t>(expected));
    }
  }
}

}  // namespace

TEST_CASE("random models come back as they were, and written again give the same bytes") {
  for (std::uint64_t seed = 1; seed <= std::uint64_t(cases(300)); seed++) {
    CAPTURE(seed);
    Random random(seed);
    const Structure structure = randomStructure(random);
    const Metadata metadata = randomFields(random);
    const WriteOptions options{random.chance(0.5), 1 << random.integer(0, 7), random.chance(0.7)};
    ModelWriter writer(structure, metadata, options);
    const Written written = addRandomTensors(random, writer, int(structure.nodes.size()));
    const Bytes file = writer.finish();
    const ModelReader reader(file);
    CHECK(reader.structure().inputAxes == structure.inputAxes);
    CHECK(reader.structure().valueType == structure.valueType);
    CHECK(reader.structure().output == structure.output);
    REQUIRE(reader.structure().nodes.size() == structure.nodes.size());
    const auto defaults = defaultNames(structure);
    for (std::size_t i = 0; i < defaults.size(); i++) {
      const Node &a = reader.structure().nodes[i], &b = structure.nodes[i];
      CHECK(a.kind == b.kind);
      CHECK(a.inputs == b.inputs);
      CHECK(same(a.fields, b.fields));
      CHECK(a.name == (options.keepNames && !b.name.empty() ? b.name : defaults[i]));
    }
    CHECK(same(reader.metadata(), metadata));
    checkTensors(reader, written);
    CHECK(rewritten(reader) == file);
  }
}

TEST_CASE("every depth, at every length around the words of the bit stream") {
  for (int depth = 0; depth <= 32; depth++)
    for (std::int64_t count : {1, 2, 3, 7, 8, 9, 63, 64, 65, 1000}) {
      CAPTURE(depth);
      CAPTURE(count);
      Random random(std::uint64_t(depth) * 1000 + std::uint64_t(count));
      const auto codes = uniformCodes(random, std::size_t(3 * count), depth);
      const std::vector<float> exponents{-3, -3.5f, 0.1f};
      for (const std::string& encoding : kCodeEncodings) {
        ModelWriter writer({}, {});
        writer.addCodes(-1, "a", {3, count}, codes, exponents, encoding);
        const Bytes file = writer.finish();
        CHECK(ModelReader(file).codes(0).codes == codes);
        CHECK(rewritten(ModelReader(file)) == file);
      }
    }
}

TEST_CASE("floats come back bit by bit, halves as the nearest") {
  std::vector<float> values{0.0f,  -0.0f, 1.0f,    65504.0f, 65519.0f,  65520.0f,
                            1e-8f, 6e-8f, 3.0e-8f, INFINITY, -INFINITY, NAN};
  Random random(1);
  for (int i = 0; i < 20000; i++) values.push_back(std::bit_cast<float>(std::uint32_t(random.engine())));
  ModelWriter writer({}, {});
  const std::vector<std::int64_t> axes{std::int64_t(values.size())};
  for (const char* encoding : {"f32", "f16", "bf16"}) writer.addFloats(-1, encoding, axes, values, encoding);
  const Bytes file = writer.finish();
  const ModelReader reader(file);
  const auto full = reader.floats(0), half = reader.floats(1), brain = reader.floats(2);
  for (std::size_t i = 0; i < values.size(); i++) {
    CHECK(std::bit_cast<std::uint32_t>(full[i]) == std::bit_cast<std::uint32_t>(values[i]));
    if (std::isnan(values[i])) {
      CHECK(std::isnan(half[i]));
      CHECK(std::isnan(brain[i]));
      continue;
    }
    const double v = values[i], a = std::fabs(v);
    // Half a unit in the last place of each type.
    if (a < 65520)
      CHECK(std::fabs(half[i] - v) <= std::ldexp(std::max(std::exp2(std::floor(std::log2(a))), 0x1p-14), -11));
    else CHECK(half[i] == std::copysign(INFINITY, v));
    if (std::isfinite(brain[i]))
      CHECK(std::fabs(brain[i] - v) <= std::ldexp(std::max(std::exp2(std::floor(std::log2(a))), 0x1p-126), -8));
  }
  CHECK(rewritten(reader) == file);
}

TEST_CASE("what cannot be written or read is refused by name") {
  const std::vector<std::int32_t> codes(4, 1);
  const std::vector<float> exponents{0};
  ModelWriter writer({}, {});
  CHECK_THROWS_WITH_AS(writer.addCodes(-1, "w", {2, 2}, codes, exponents, "zip"),
                       "Expected an encoding of codes for encoding but received \"zip\"", ModelFileError);
  CHECK_THROWS_AS(writer.addCodes(-1, "w", {2, 3}, codes, exponents), ModelFileError);
  CHECK_THROWS_AS(writer.addCodes(0, "w", {2, 2}, codes, exponents), ModelFileError);
  CHECK_THROWS_AS(ModelWriter({}, {}, {true, 3}), ModelFileError);
  writer.addCodes(-1, "w", {2, 2}, codes, exponents);
  Bytes file = writer.finish();
  CHECK_NOTHROW(ModelReader{file});
  Limits few;
  few.weights = 3;
  CHECK_THROWS_AS((ModelReader{file, few}), ModelFileError);
  file[4] = 3;
  CHECK_THROWS_WITH_AS(ModelReader{file}, "Expected version 2 for the model file but received version 3",
                       ModelFileError);
  file[0] = 'P';
  CHECK_THROWS_AS(ModelReader{file}, ModelFileError);
}

TEST_CASE("scaled: the nearest of evenly spaced numbers") {
  Random random(3);
  for (const int bits : {1, 2, 5, 8, 12, 16, 20, 24}) {
    CAPTURE(bits);
    std::vector<float> values(1 + std::size_t(random.integer(0, 400)));
    for (float& v : values) v = float(random.real() * 3 - 1);
    const std::vector<std::int64_t> axes{std::int64_t(values.size())};
    const ScaledTensor t = quantizeScaled(rowShape(axes), values, bits);
    ModelWriter writer({}, {});
    writer.addScaled(-1, "a", axes, t.codes, t.scale, t.offset, "scaled");
    const Bytes file = writer.finish();
    const ModelReader reader(file);
    CHECK(reader.scaled(0).codes == t.codes);
    const auto back = reader.floats(0);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double half = 0.5 * (double(*high) - *low) / double((1 << bits) - 1);
    for (std::size_t i = 0; i < values.size(); i++) CHECK(std::fabs(back[i] - values[i]) <= half * 1.001 + 4e-7);
    CHECK(rewritten(reader) == file);
  }
  const std::vector<float> equal(5, 0.3f);
  CHECK(quantizeScaled({1, 5, 1}, equal, 4).codes == std::vector<std::int32_t>(5, 0));
  CHECK(quantizeScaled({1, 5, 1}, equal, 4).offset == 0.3f);
  CHECK_THROWS_AS(quantizeScaled({1, 1, 1}, std::vector<float>{NAN}, 4), ModelFileError);
}

TEST_CASE("the same model gives the same bytes in every version and on every machine") {
  // Whole numbers only, so that no rounding of a mathematical library takes part.
  std::uint32_t state = 1;
  const auto draw = [&](int below) {
    state = state * 1664525u + 1013904223u;
    return int((state >> 16) % std::uint32_t(below));
  };
  // Every third code lives, of some columns only, and large ones stand together: all that contexts can learn.
  const auto codes = [&](std::size_t count, std::size_t columns) {
    std::vector<std::int32_t> drawn(count);
    for (std::size_t i = 0; i < count; i++) {
      if (draw(3) || i % columns % 7 > 2) continue;
      const int sign = draw(4) < 3 ? 1 : -1, size = draw(3), factor = i % 100 < 50 ? 1 : draw(20);
      drawn[i] = sign * (1 + size * factor);
    }
    return drawn;
  };
  ModelWriter writer(leNet5(6, 12, 40),
                     {{"task", std::string("classification")}, {"mean", std::vector<double>{0.1307}}}, {true, 4, true});
  const std::vector<float> exponents{-3, -3.25f, -4, -3, -3, 0.1f};
  for (const char* encoding : {"packed", "range", "range-fast"}) {
    writer.addCodes(0, encoding, {6, 1, 5, 5}, codes(150, 25), exponents, encoding);
    writer.addCodes(3, encoding, {12, 6, 5, 5}, codes(1800, 150), std::vector<float>{-2.5f}, encoding);
    writer.addCodes(7, encoding, {40, 192}, codes(40 * 192, 192), std::vector<float>{-2.5f}, encoding);
  }
  writer.addScaled(7, "bias", {40}, codes(40, 40), 0.125f, -1);
  for (const char* encoding : {"f32", "f16", "bf16"})
    writer.addFloats(9, encoding, {3}, std::vector<float>{0.1f, -2, 3e-6f}, encoding);
  const Bytes file = writer.finish();
  CHECK(file.size() == 10986);
  CHECK(selfcompress::crc32c(file) == 2308004518u);
  CHECK(selfcompress::crc32c(std::vector<std::uint8_t>{'1', '2', '3', '4', '5', '6', '7', '8', '9'}) == 0xE3069283u);
}

TEST_CASE("very long rows, very many rows, and as many nodes as are allowed") {
  for (const auto& axes :
       std::vector<std::vector<std::int64_t>>{{3, 70000}, {70000, 3}, {1, 2, 70000}, {200000}, {2, 66000, 3}}) {
    Random random(4);
    std::vector<std::int32_t> codes(product(axes));
    // Some columns are dead, which the contexts of the slow mode find out.
    for (std::size_t i = 0; i < codes.size(); i++) codes[i] = i % 70000 % 5 > 1 ? 0 : laplace(random, 0.7);
    ModelWriter writer({}, {});
    std::vector<float> exponents(std::size_t(rowShape(axes).channels));
    for (float& e : exponents) e = float(random.integer(-6, -4));
    writer.addCodes(-1, "w", axes, codes, exponents);
    writer.addCodes(-1, "w", axes, codes, exponents, "packed");
    const Bytes file = writer.finish();
    const ModelReader reader(file);
    CHECK(reader.codes(0).codes == codes);
    CHECK(reader.codes(1).codes == codes);
    CHECK(rewritten(reader) == file);
  }
  const Node full = node("conv2d", {{"outChannels", std::int64_t(64)},
                                    {"kernel", Pair{3, 3}},
                                    {"padding", Pair{1, 1}},
                                    {"stride", Pair{2, 2}},
                                    {"bias", false},
                                    {"groups", std::int64_t(2)}});
  const Structure deep = chain({3, 32, 32}, std::vector<Node>(std::size_t(Limits{}.nodes), full));
  ModelWriter writer(deep, {});
  const Bytes file = writer.finish();
  CHECK(file.size() < 40000);
  CHECK(ModelReader(file).structure().nodes.back().name == "conv2d65536");
}
