// The penalty `rate`: gradients of the length against finite differences, every instruction set against the reference,
// counts and slopes by hand, idle channels, tied exponents.
#include <cmath>
#include <limits>

#include "ops/quantize/rate_math.h"
#include "test/operator_cases.h"
#include "test/support.h"

using namespace test;

namespace {

struct Case {
  int channels, groups;
  std::int64_t perChannel;
  std::vector<float> weight, bitDepth, exponent, gradient, slope, row, element;
};

Case randomCase(Random& random, bool special) {
  Case c;
  c.groups = random.chance(0.3) ? random.integer(1, 4) : 1;
  c.channels = c.groups * random.integer(1, 12);
  c.perChannel = random.integer(1, random.chance(0.2) ? 5000 : 200);
  c.weight = random.reals(c.channels * c.perChannel, -2, 2);
  c.gradient = random.reals(c.channels * c.perChannel);
  c.bitDepth = random.reals(c.channels, -1, 9);
  c.exponent = random.reals(c.channels, -6, 1);
  c.slope = {random.real(0, 2), random.real(0, 1)};
  c.row = random.reals(c.channels, 0, 1);
  c.element = random.reals(c.groups * c.perChannel, 0, 1);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (float& x : c.element)
    if (random.chance(0.1)) x = -inf;
  for (float& b : c.bitDepth)
    if (random.chance(0.2)) b = random.chance(0.5) ? 0.0f : float(random.integer(1, 8));
  if (!special) return c;
  for (float value : {inf, -inf, nan, 0.0f, -0.0f, 1e-42f, 3e38f})
    c.weight[std::size_t(random.integer(0, int(c.weight.size()) - 1))] = value;
  if (random.chance(0.3)) c.bitDepth[std::size_t(random.integer(0, c.channels - 1))] = random.chance(0.5) ? nan : inf;
  for (float e : {-140.0f, 126.5f, nan})
    if (random.chance(0.3)) c.exponent[std::size_t(random.integer(0, c.channels - 1))] = e;
  return c;
}

struct Gradients {
  std::vector<float> weight, bitDepth, exponent;
};

Gradients backward(Backend& b, const Case& c, bool inPlace, bool rate = true) {
  Buffer<float> w(b, c.weight), bits(b, c.bitDepth), e(b, c.exponent), g(b, c.gradient),
      gw(b, std::int64_t(c.weight.size()), 7.0f), db(b, c.channels, 7.0f), de(b, c.channels, 7.0f), slope(b, c.slope),
      row(b, c.row), element(b, c.element);
  Buffer<float>& result = inPlace ? g : gw;
  QuantizeBackward a{c.channels, c.perChannel, w.get(),      bits.get(), e.get(),
                     g.get(),    nullptr,      result.get(), db.get(),   de.get()};
  if (rate) a.rate = {slope.get(), row.get(), element.get(), c.groups};
  b.run(a);
  return {result.values(), db.values(), de.values()};
}

// What the gradients are those of: the piecewise linear length of one clipped code.
double length(double w, double b, double e, double first, double next, double element) {
  const double half = std::exp2(b - 1), size = std::fabs(std::min(std::max(w * std::exp2(-e), -half), half - 1));
  const double low = std::max(0.0, first + element), high = std::max(0.0, next + element);
  return size < 1 ? low * size : low + high * (size - 1);
}

}  // namespace

TEST_CASE("rate: gradients of w, b and e are those of the piecewise linear length") {
  auto reference = makeReferenceBackend();
  Random random(5);
  int checked = 0;
  for (int trial = 0; trial < cases(400); trial++) {
    Case c;
    c.channels = c.groups = 1, c.perChannel = 1;
    c.weight = {random.real(-3, 3)}, c.gradient = {0.0f};
    c.bitDepth = {random.real(0.1f, 5)}, c.exponent = {random.real(-2, 1)};
    c.slope = {random.real(0, 2), random.real(0, 2)}, c.row = {random.real(0, 1)}, c.element = {random.real(-1, 1)};
    const double w = c.weight[0], b = c.bitDepth[0], e = c.exponent[0], h = 1e-6;
    const double u = w * std::exp2(-e), half = std::exp2(b - 1),
                 size = std::fabs(std::min(std::max(u, -half), half - 1));
    auto near = [](double x, double y) { return std::fabs(x - y) < 1e-3; };
    if (near(size, 1) || near(u, -half) || near(u, half - 1) || near(u, 0)) continue;  // it has a corner there
    auto at = [&](double x, double y, double z) {
      return length(x, y, z, double(c.slope[0]) + double(c.row[0]), double(c.slope[1]) + double(c.row[0]),
                    c.element[0]);
    };
    const Gradients g = backward(*reference, c, false);
    CHECK(double(g.weight[0]) == doctest::Approx((at(w + h, b, e) - at(w - h, b, e)) / (2 * h)).epsilon(1e-4));
    CHECK(double(g.bitDepth[0]) == doctest::Approx((at(w, b + h, e) - at(w, b - h, e)) / (2 * h)).epsilon(1e-4));
    CHECK(double(g.exponent[0]) == doctest::Approx((at(w, b, e + h) - at(w, b, e - h)) / (2 * h)).epsilon(1e-4));
    checked++;
  }
  CHECK(checked > cases(400) * 3 / 4);
}

TEST_CASE("rate: every instruction set agrees with the reference, on any number of threads") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends()) {
    if (!backend->supports("RateCounts")) continue;
    Random random(6);
    CAPTURE(backend->name());
    for (int trial = 0; trial < cases(200); trial++) {
      CAPTURE(trial);
      const bool special = trial % 3 == 0;
      const Case c = randomCase(random, special);
      const Gradients expected = backward(*reference, c, false), actual = backward(*backend, c, trial % 2);
      CHECK(difference(actual.weight, expected.weight) < 1e-5);
      if (!special) {
        CHECK(difference(sameForAllThreads([&] { return backward(*backend, c, trial % 2).bitDepth; }),
                         expected.bitDepth) < 2e-5);
        CHECK(difference(sameForAllThreads([&] { return backward(*backend, c, trial % 2).exponent; }),
                         expected.exponent) < 2e-5);
      }
      // Slopes of zero change nothing.
      Case none = c;
      none.slope = {0, 0};
      std::fill(none.row.begin(), none.row.end(), 0.0f), std::fill(none.element.begin(), none.element.end(), 0.0f);
      CHECK(difference(backward(*backend, none, false).weight, backward(*backend, c, false, false).weight) == 0);
    }
  }
}

TEST_CASE("rate: a dead channel has no gradients, and weights that are left out have no more than without it") {
  for (auto& backend : testedBackends()) {
    if (!backend->supports("RateCounts")) continue;
    Random random(7);
    Case c = randomCase(random, false);
    c.bitDepth[0] = 0;
    for (float& x : c.element) x = -std::numeric_limits<float>::infinity();
    const Gradients with = backward(*backend, c, false), without = backward(*backend, c, false, false);
    CHECK(with.weight == without.weight);
    // Two kernels of a GPU may fuse products and sums differently; a processor's do not.
    const double most = backend->name().starts_with("cuda") ? 1e-6 : 0;
    CHECK(difference(with.exponent, without.exponent) <= most);
    CHECK(difference(with.bitDepth, without.bitDepth) <= most);
    CHECK((with.bitDepth[0] == 0 && with.exponent[0] == 0 && with.weight[0] == 0));
  }
}

TEST_CASE("rate: counts are those of the codes, and agree on every instruction set and number of threads") {
  auto reference = makeReferenceBackend();
  auto backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& backend : backends) {
    if (!backend->supports("RateCounts")) continue;
    Random random(8);
    CAPTURE(backend->name());
    for (int trial = 0; trial < cases(100); trial++) {
      CAPTURE(trial);
      Case c = randomCase(random, trial % 3 == 0);
      const int area = random.integer(1, 3), inputs = random.integer(1, 9);
      c.perChannel = std::int64_t(area) * inputs;
      c.weight.resize(std::size_t(c.channels * c.perChannel), 0.75f);
      std::vector<std::int32_t> states;
      for (int i = 0; i < c.groups * inputs; i++)
        states.push_back(random.chance(0.2) ? kConstant : random.chance(0.1) ? kZero : kLive);
      const int columns = c.groups * inputs, rowsPerGroup = c.channels / c.groups;
      // From the codes that the file would hold.
      Buffer<float> w(*reference, c.weight), bits(*reference, c.bitDepth), e(*reference, c.exponent);
      Buffer<std::int32_t> codes(*reference, c.channels * c.perChannel, 0), least(*reference, c.channels, 0);
      reference->run(QuantizeCodes{c.channels, c.perChannel, w.get(), bits.get(), e.get(), codes.get(), least.get()});
      const std::vector<std::int32_t> code = codes.values();
      std::vector<double> expected(std::size_t(3 * (c.channels + columns)));
      double weights = 0, nonzeros = 0, magnitude = 0;
      for (int row = 0; row < c.channels; row++)
        for (std::int64_t k = 0; k < c.perChannel; k++) {
          const int column = row / rowsPerGroup * inputs + int(k / area);
          if (isDead(c.bitDepth[std::size_t(row)]) || states[std::size_t(column)] != kLive) continue;
          const double size = std::fabs(double(code[std::size_t(row * c.perChannel + k)]));
          for (int at : {row, c.channels + column}) {
            expected[std::size_t(3 * at)]++, expected[std::size_t(3 * at + 1)] += size > 0;
            expected[std::size_t(3 * at + 2)] += size;
          }
          weights++, nonzeros += size > 0, magnitude += size;
        }
      Buffer<float> w2(*backend, c.weight), bits2(*backend, c.bitDepth), e2(*backend, c.exponent),
          layerBits(*backend, 1, 7.0f);
      Buffer<std::int32_t> state(*backend, states);
      Buffer<RateCount> rows(*backend, c.channels, RateCount{7, 7, 7}), cols(*backend, columns, RateCount{7, 7, 7});
      Buffer<RateLengths> lengths(*backend, 1, RateLengths{});
      RateCounts a;
      a.channels = c.channels, a.groups = c.groups, a.perChannel = c.perChannel, a.kernelArea = area;
      a.weight = w2.get(), a.bitDepth = bits2.get(), a.exponent = e2.get(), a.inputState = state.get();
      a.originalWeights = 1000, a.rows = rows.get(), a.columns = cols.get(), a.lengths = lengths.get();
      a.layerBits = layerBits.get();
      auto counted = [&] {
        backend->run(a);
        std::vector<float> values;
        for (auto* list : {&rows, &cols})
          for (const RateCount& count : list->values())
            values.insert(values.end(), {float(count.weights), float(count.nonzeros), float(count.magnitude)});
        return values;
      };
      const std::vector<float> actual = sameForAllThreads(counted);
      for (std::size_t i = 0; i < expected.size(); i++) CHECK(double(actual[i]) == doctest::Approx(expected[i]));
      const double f = (nonzeros + 0.5) / (weights + 1),
                   theta = std::min(std::max((magnitude - nonzeros + 0.5) / (magnitude + 1), 0.01), 0.98);
      const double total = -std::log2(1 - f) * (weights - nonzeros) +
                           nonzeros * (1 - std::log2(f) - std::log2(1 - theta)) -
                           std::log2(theta) * (magnitude - nonzeros);
      CHECK(double(layerBits.values()[0]) == doctest::Approx(total / 1000).epsilon(1e-4));
    }
  }
}

TEST_CASE("rate: slopes by hand, with what keeping a channel costs") {
  for (auto& backend : testedBackends()) {
    if (!backend->supports("RateCounts")) continue;
    Buffer<float> gamma(*backend, 1, 0.5f), slope(*backend, 2, 7.0f), row(*backend, 2, 7.0f),
        element(*backend, 6, 7.0f);
    Buffer<RateCount> rows(*backend, {{6, 2, 3}, {6, 0, 0}}), columns(*backend, {{4, 1, 1}, {4, 0, 0}, {0, 0, 0}}),
        other(*backend, {{10, 4, 6}});
    Buffer<RateLengths> lengths(*backend, {{0.5, 4, 2}}), others(*backend, {{0.25, 3, 1}});
    // The first row is alone, the first two columns keep a channel together that two rows make.
    Buffer<std::int32_t> states(*backend, {kLive, kLive, kZero}), setOfRow(*backend, {0, -1}), one(*backend, {0, 1}),
        setOfColumn(*backend, {0, 0, -1}), two(*backend, {0, 2});
    Buffer<const RateCount*> row0(*backend, {rows.get()}), columns01(*backend, {columns.get(), columns.get() + 1});
    Buffer<RateSlice> readers(*backend, {{other.get(), others.get()}}),
        makers(*backend, {{other.get(), others.get()}, {other.get(), others.get()}});
    RatePenalty a;
    a.channels = 2, a.perChannel = 6, a.kernelArea = 2, a.inputState = states.get(), a.originalWeights = 100;
    a.coupling = 2, a.gamma = gamma.get(), a.lengths = lengths.get();
    a.rowSets = {setOfRow.get(), row0.get(), readers.get(), one.get(), one.get()};
    a.columnSets = {setOfColumn.get(), columns01.get(), makers.get(), two.get(), two.get()};
    a.slope = slope.get(), a.row = row.get(), a.element = element.get();
    backend->run(a);
    const double bits = 0.25 * 6 + 3 * 4 + 1 * 2, unit = 0.5 / 100;
    CHECK(double(slope.values()[0]) == doctest::Approx(unit * 3.5));
    CHECK(double(slope.values()[1]) == doctest::Approx(unit * 2));
    CHECK(double(row.values()[0]) == doctest::Approx(unit * 2 * (bits + 16) * 4 / (7.0 * 7)));
    CHECK(row.values()[1] == 0);
    CHECK(double(element.values()[0]) == doctest::Approx(unit * 2 * (2 * bits + 16) * 4 / (5.0 * 5)));
    for (std::size_t i : {1, 2, 3}) CHECK(element.values()[i] == element.values()[0]);
    CHECK(element.values()[4] == -std::numeric_limits<float>::infinity());
    // The second column alone keeps the channel, the first one none.
    Buffer<std::int32_t> setOfSecond(*backend, {-1, 0, -1});
    Buffer<const RateCount*> column1(*backend, {columns.get() + 1});
    a.columnSets = {setOfSecond.get(), column1.get(), makers.get(), one.get(), two.get()};
    backend->run(a);
    CHECK(element.values()[1] == 0);
    CHECK(double(element.values()[2]) == doctest::Approx(unit * 2 * (2 * bits + 16) * 4 / (4.0 * 4)));
    CHECK(element.values()[3] == element.values()[2]);
  }
}

TEST_CASE("rate: a channel of zeros for long enough gets b = 0; exponents of a layer move together") {
  for (auto& backend : testedBackends()) {
    if (!backend->supports("RateCounts")) continue;
    Buffer<RateCount> rows(*backend, {{5, 0, 0}, {5, 1, 1}, {5, 0, 0}, {5, 0, 0}});
    Buffer<float> idle(*backend, {0.0f, 2.0f, 0.0f, 1.0f}), b(*backend, {8.0f, 8.0f, 0.0f, 8.0f});
    const IdleChannels a{4, 3, rows.get(), idle.get(), b.get()};
    backend->run(a);
    CHECK(idle.values() == std::vector<float>{1, 0, 0, 2});
    CHECK(b.values() == std::vector<float>{8, 8, 0, 8});
    backend->run(a);
    CHECK(b.values() == std::vector<float>{8, 8, 0, 0});
    backend->run(a);
    CHECK(b.values() == std::vector<float>{0, 8, 0, 0});
    Buffer<float> bits(*backend, {1.0f, 0.0f, 2.0f}), gradient(*backend, {1.0f, 5.0f, 3.5f});
    backend->run(TieExponents{3, bits.get(), gradient.get()});
    CHECK(gradient.values() == std::vector<float>{4.5f, 5.0f, 4.5f});
  }
}

TEST_CASE("rate: the positions of a flattened channel keep it together, whatever each of them holds") {
  const NetworkDescription n{
      Axes::image(2, 4, 4), {conv("c", "input", 3, 3, 1), simple("flatten", "f", {"c"}), linear("out", "f", 4)}, "out"};
  const DataSet data = dataFor(n, 8);
  const auto indices = firstIndices(8);
  constexpr std::size_t kPositions = 16, kColumns = 3 * kPositions;
  for (auto& backend : testedBackends()) {
    if (!backend->supports("RateCounts")) continue;
    NetworkOptions options;
    options.batchSize = 8, options.penalty = SizePenalty::kRate;
    Network network(std::move(backend), n, options);
    State state = randomState(network, 4, 8);
    // All codes of a row are zero, but those of the middle channel's first position.
    for (float& e : state["out.exponent"]) e = 0;
    for (std::size_t i = 0; i < state["out.weight"].size(); i++)
      state["out.weight"][i] = i % kColumns == kPositions ? 3.0f : 0.25f;
    network.loadState(state);
    auto gradients = [&](float gamma) {
      StepSettings s = settings(1);
      s.gamma = gamma;
      return network.gradients(data, indices.data(), 8, s).at("out.weight");
    };
    const std::vector<float> without = gradients(0), with = gradients(10);
    for (std::size_t row = 0; row < 4; row++) {
      auto length = [&](std::size_t channel, std::size_t position) {  // gradient of the length alone
        const std::size_t i = row * kColumns + channel * kPositions + position;
        return double(with[i]) - double(without[i]);
      };
      for (std::size_t channel = 0; channel < 3; channel++)
        for (std::size_t position = 2; position < kPositions; position++)
          CHECK(length(channel, position) == doctest::Approx(length(channel, 1)).epsilon(1e-3));
      // With codes left at one position, none of its positions is pushed as an empty channel's are.
      CHECK(length(1, 1) < 0.9 * length(0, 1));
    }
  }
}
