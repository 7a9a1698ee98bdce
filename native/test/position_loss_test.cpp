// Losses of elements, cross-entropy at positions and against soft targets: every backend against the reference,
// PyTorch's numbers, gradients.
#include "test/agreement.h"

using namespace test;

namespace {

struct Case {
  Shape shape;
  int batch;
  float smoothing;
  std::vector<float> logits, classWeight;  // empty: none
  std::vector<std::int32_t> labels;
};

Case randomCase(Random& random) {
  Case c;
  c.shape = {random.integer(1, 30), random.integer(1, 5), random.integer(1, 7)};
  if (random.chance(0.2)) c.shape = {random.integer(100, 300), 1, random.integer(1, 30)};
  c.batch = random.integer(1, 40);
  if (random.chance(0.03)) c.shape = {4200, 1, 5}, c.batch = 3;  // more than the caches hold side by side
  c.smoothing = random.chance(0.5) ? 0.1f : 0.0f;
  c.logits = random.reals(laneElements(c.shape, c.batch), -6, 6);
  if (random.chance(0.3))
    for (float& z : c.logits) z = std::round(z);  // ties
  if (random.chance(0.5)) c.classWeight = random.reals(c.shape.channels, 0.1f, 2);
  for (int i = 0; i < c.batch * c.shape.pixels(); i++)
    c.labels.push_back(random.chance(0.2) ? -100 : random.integer(0, c.shape.channels - 1));
  return c;
}

struct Result {
  std::vector<float> gradient;
  LossResult sums;
};
Result compute(Backend& b, const Case& c, bool inPlace = false) {
  Buffer<float> z(b, c.logits), g(b, std::int64_t(c.logits.size()), 5.0f), weight(b, c.classWeight);
  Buffer<std::int32_t> labels(b, c.labels);
  Buffer<LossResult> result(b, std::vector<LossResult>(1));
  PositionCrossEntropy a;
  a.shape = c.shape, a.batch = c.batch, a.labelSmoothing = c.smoothing, a.logits = z.get(), a.labels = labels.get();
  a.classWeight = c.classWeight.empty() ? nullptr : weight.get(), a.result = result.get();
  b.run(a);  // evaluation
  a.gradLogits = inPlace ? z.get() : g.get();
  b.run(a);
  Result r{inPlace ? z.values() : g.values(), result.values()[0]};
  r.sums.lossSum /= 2, r.sums.weightSum /= 2;
  return r;
}

}  // namespace

TEST_CASE("cross-entropy at positions agrees with the reference") {
  allAgree(111, 80, 1e-5, [&](Backend& b, Random& random) {
    Case c = randomCase(random);
    const Result r = compute(b, c, random.chance(0.3));
    CHECK(paddingIsZero(r.gradient, c.shape, c.batch));
    const double mean = r.sums.weightSum > 0 ? r.sums.lossSum / r.sums.weightSum : 0;
    return Results{r.gradient,
                   {float(mean)},
                   {float(r.sums.correct), 0},
                   {float(r.sums.topFive), 0},
                   {float(r.sums.count), 0},
                   {float(r.sums.weightSum)}};
  });
}

TEST_CASE("cross-entropy at positions: no label counts, and a logit that is no number") {
  for (auto& backend : testedBackends()) {
    Random random(112);
    Case c = randomCase(random);
    c.shape = {8, 1, 2}, c.batch = 3, c.classWeight.clear(), c.smoothing = 0;
    c.logits = random.reals(laneElements(c.shape, 3));
    c.labels.assign(6, -100);
    Result r = compute(*backend, c);
    CHECK(r.sums.count == 0);
    CHECK(r.sums.weightSum == 0);
    CHECK(r.sums.lossSum == 0);
    CHECK(std::all_of(r.gradient.begin(), r.gradient.end(), [](float g) { return g == 0; }));
    c.labels = {1, -100, 2, 3, 4, 5};
    for (int i = 0; i < 6; i++)
      if (i != 1) c.logits[laneOffset(c.shape, i / 2, c.labels[std::size_t(i)], 0, i % 2)] = 10;  // the largest
    c.logits[laneOffset(c.shape, 0, 1, 0, 0)] = std::nanf("");                                    // the label's own
    c.logits[laneOffset(c.shape, 0, 1, 0, 1)] = std::nanf("");  // of a position that is left out
    r = compute(*backend, c);
    CHECK(r.sums.count == 10);
    CHECK(std::isnan(r.sums.lossSum));
    CHECK(r.sums.correct == 8);
    CHECK(r.sums.topFive == 8);
    CHECK(r.gradient[laneOffset(c.shape, 0, 3, 0, 1)] == 0);
    CHECK(std::isfinite(r.gradient[laneOffset(c.shape, 1, 3, 0, 1)]));
  }
}

TEST_CASE("cross-entropy at positions: the five largest") {
  for (auto& backend : testedBackends()) {
    Case c;
    c.shape = {9, 1, 1}, c.batch = 9, c.smoothing = 0;
    c.logits.assign(std::size_t(laneElements(c.shape, 9)), 0.0f);
    for (int n = 0; n < 9; n++) {
      c.labels.push_back(n);  // rank 8 - n
      for (int k = 0; k < 9; k++) c.logits[laneOffset(c.shape, n, k, 0, 0)] = float(k);
    }
    Result r = compute(*backend, c);
    CHECK(r.sums.correct == 2);  // of two runs
    CHECK(r.sums.topFive == 10);
    for (float& z : c.logits) z = 1;  // all equal: the first are the largest
    r = compute(*backend, c);
    CHECK(r.sums.correct == 2);
    CHECK(r.sums.topFive == 10);
  }
}

TEST_CASE("cross-entropy at positions: PyTorch's numbers, weighted mean and smoothing") {
  auto reference = makeReferenceBackend();
  const float logits[2][3][3] = {{{0.5f, -1.0f, 2.0f}, {1.5f, 0.25f, -0.5f}, {-0.75f, 3.0f, 0.0f}},
                                 {{2.5f, 0.0f, -1.0f}, {0.5f, 1.25f, 1.5f}, {0.25f, -2.0f, 1.0f}}};
  auto check = [&](float smoothing, bool weighted, double loss, std::vector<double> gradient) {
    Case c;
    c.shape = {3, 1, 3}, c.batch = 2, c.smoothing = smoothing, c.labels = {0, 2, -100, 1, -100, 2};
    if (weighted) c.classWeight = {0.5f, 2.0f, 1.25f};
    c.logits.assign(std::size_t(laneElements(c.shape, 2)), 0.0f);
    for (int n = 0; n < 2; n++)
      for (int k = 0; k < 3; k++)
        for (int p = 0; p < 3; p++) c.logits[laneOffset(c.shape, n, k, 0, p)] = logits[n][k][p];
    const Result r = compute(*reference, c);
    CHECK(r.sums.lossSum / r.sums.weightSum == doctest::Approx(loss).epsilon(1e-6));
    for (int n = 0; n < 2; n++)
      for (int k = 0; k < 3; k++)
        for (int p = 0; p < 3; p++)
          CHECK(std::fabs(double(r.gradient[laneOffset(c.shape, n, k, 0, p)]) -
                          gradient[std::size_t((n * 3 + k) * 3 + p)]) < 1e-6);
  };
  check(0.0f, false, 1.17653478,
        {-0.187574702, 0.00423094222, 0, 0.169689554, 0.0147674394, 0, 0.0178851474, -0.0189983816, 0, 0.20149355, 0,
         0.012152706, -0.222730813, 0, 0.148050268, 0.0212372639, 0, -0.160202974});
  check(0.0f, true, 1.30076676,
        {-0.0750298807, 0.00423094222, 0, 0.0678758217, 0.0147674394, 0, 0.00715405897, -0.0189983816, 0, 0.322389679,
         0, 0.012152706, -0.356369301, 0, 0.148050268, 0.0339796222, 0, -0.160202974});
  check(0.1f, true, 1.33084357,
        {-0.0646176961, 0.000897608892, 0, 0.0647238616, 0.00143410606, 0, -0.000106165516, -0.00233171496, 0,
         0.306966733, 0, 0.00881937267, -0.331338786, 0, 0.134716934, 0.024372053, 0, -0.143536307});
}

TEST_CASE("cross-entropy at positions: of one position it is cross-entropy") {
  for (auto& backend : testedBackends()) {
    Random random(113);
    Case c = randomCase(random);
    c.shape = {11, 1, 1}, c.batch = 20, c.smoothing = 0.2f, c.classWeight.clear(), c.labels.clear();
    c.logits = random.reals(laneElements(c.shape, 20));
    for (int i = 0; i < 20; i++) c.labels.push_back(random.integer(0, 10));
    const Result r = compute(*backend, c);
    Buffer<float> z(*backend, c.logits), g(*backend, std::int64_t(c.logits.size()), 5.0f);
    Buffer<std::int32_t> labels(*backend, c.labels);
    Buffer<LossResult> result(*backend, std::vector<LossResult>(1));
    backend->run(CrossEntropy{11, 20, 0.2f, z.get(), labels.get(), g.get(), result.get()});
    CHECK(difference(r.gradient, g.values()) < 1e-5);
    CHECK(r.sums.lossSum == doctest::Approx(result.values()[0].lossSum).epsilon(1e-5));
    CHECK(result.values()[0].weightSum == 20);
    CHECK(r.sums.correct == 2 * result.values()[0].correct);
  }
}

TEST_CASE("cross-entropy at positions: gradient against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(114);
  for (int trial = 0; trial < 10; trial++) {
    const Case c = randomCase(random);
    const Result r = compute(*reference, c);
    if (!(r.sums.weightSum > 0)) continue;
    auto loss = [&](const std::vector<float>& logits) {
      Case moved = c;
      moved.logits = logits;
      return compute(*reference, moved).sums.lossSum;
    };
    std::vector<float> gradient = r.gradient;  // of the sum: the mean's differences would be lost
    for (float& g : gradient) g *= float(r.sums.weightSum);
    checkGradient(random, c.logits, gradient, loss, 1e-3, belongsTo(c.shape, c.batch));
  }
}

namespace {

struct SoftCase : Case {
  std::vector<float> targets;
  float share = 1, temperature = 1;
};

SoftCase randomSoftCase(Random& random) {
  SoftCase c{randomCase(random), {}, 1, 1};
  c.targets = random.reals(laneElements(c.shape, c.batch), -6, 6);
  if (random.chance(0.3))
    for (float& u : c.targets)
      if (u < -3) u = -INFINITY;  // a probability of 0
  for (int n = 0; n < c.batch; n++)
    for (int p = 0; p < c.shape.pixels(); p++) c.targets[laneOffset(c.shape, n, 0, 0, p)] = 1;  // not all of them
  c.share = random.chance(0.3) ? 1.0f : random.real(0, 1),
  c.temperature = random.chance(0.3) ? 1.0f : random.real(0.5, 5);
  return c;
}

// The loss of labels and, behind it, that of soft targets.
Result computeSoft(Backend& b, const SoftCase& c) {
  Buffer<float> z(b, c.logits), u(b, c.targets), g(b, std::int64_t(c.logits.size()), 5.0f), weight(b, c.classWeight);
  Buffer<std::int32_t> labels(b, c.labels);
  Buffer<LossResult> result(b, std::vector<LossResult>(1));
  PositionCrossEntropy a;
  a.shape = c.shape, a.batch = c.batch, a.labelSmoothing = c.smoothing, a.logits = z.get(), a.labels = labels.get();
  a.classWeight = c.classWeight.empty() ? nullptr : weight.get(), a.gradLogits = g.get(), a.result = result.get();
  b.run(a);
  SoftCrossEntropy soft;
  soft.shape = c.shape, soft.batch = c.batch, soft.share = c.share, soft.temperature = c.temperature;
  soft.logits = z.get(), soft.targets = u.get(), soft.labels = labels.get(), soft.gradLogits = g.get();
  soft.result = result.get();
  b.run(soft);
  return {g.values(), result.values()[0]};
}

double meanLoss(const LossResult& r) { return r.weightSum > 0 ? r.lossSum / r.weightSum : 0; }

}  // namespace

TEST_CASE("cross-entropy against soft targets agrees with the reference") {
  allAgree(116, 80, 1e-5, [&](Backend& b, Random& random) {
    const SoftCase c = randomSoftCase(random);
    const Result r = computeSoft(b, c);
    CHECK(paddingIsZero(r.gradient, c.shape, c.batch));
    return Results{r.gradient, {float(meanLoss(r.sums))}, {float(r.sums.count), 0}, {float(r.sums.weightSum)}};
  });
}

TEST_CASE("cross-entropy against soft targets: gradient against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(117);
  for (int trial = 0; trial < 10; trial++) {
    const SoftCase c = randomSoftCase(random);
    const Result r = computeSoft(*reference, c);
    if (!(r.sums.weightSum > 0)) continue;
    auto loss = [&](const std::vector<float>& logits) {
      SoftCase moved = c;
      moved.logits = logits;
      return computeSoft(*reference, moved).sums.lossSum;
    };
    std::vector<float> gradient = r.gradient;  // of the sum: the mean's differences would be lost
    for (float& g : gradient) g *= float(r.sums.weightSum);
    checkGradient(random, c.logits, gradient, loss, 1e-3, belongsTo(c.shape, c.batch));
  }
}

TEST_CASE("cross-entropy against soft targets: what it is by hand, and where it is none") {
  for (auto& backend : testedBackends()) {
    SoftCase c;
    c.shape = {2, 1, 2}, c.batch = 1, c.smoothing = 0, c.labels = {1, -100}, c.temperature = 2;
    c.logits.assign(std::size_t(laneElements(c.shape, 1)), 0.0f), c.targets = c.logits;
    c.targets[laneOffset(c.shape, 0, 0, 0, 0)] = 2 * std::log(3.0f);  // shares of 3/4 and 1/4; the logits' are equal
    c.targets[laneOffset(c.shape, 0, 0, 0, 1)] = 5;                   // of a position that is left out
    const double divergence = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
    for (float share : {0.0f, 0.25f, 1.0f}) {
      c.share = share;
      const Result r = computeSoft(*backend, c);
      CHECK(r.sums.lossSum == doctest::Approx((1 - share) * std::log(2.0) + share * 4 * divergence).epsilon(1e-6));
      CHECK(r.sums.count == 1);
      CHECK(r.gradient[laneOffset(c.shape, 0, 0, 0, 0)] ==
            doctest::Approx((1 - share) * 0.5 + share * 2 * (0.5 - 0.75)).epsilon(1e-6));
      CHECK(r.gradient[laneOffset(c.shape, 0, 0, 0, 1)] == 0);
    }
    c.labels = {-100, -100};
    const Result none = computeSoft(*backend, c);
    CHECK(none.sums.lossSum == 0);
    CHECK(std::all_of(none.gradient.begin(), none.gradient.end(), [](float g) { return g == 0; }));
    c.labels = {1, 0}, c.targets = c.logits;
    CHECK(std::abs(computeSoft(*backend, c).sums.lossSum) < 1e-6);  // the targets themselves
    c.logits[laneOffset(c.shape, 0, 0, 0, 0)] = std::nanf("");
    CHECK(std::isnan(computeSoft(*backend, c).sums.lossSum));
  }
}

TEST_CASE("losses of elements agree with the reference") {
  for (ElementLossKind kind :
       {ElementLossKind::kBinaryCrossEntropy, ElementLossKind::kAbsolute, ElementLossKind::kHuber}) {
    CAPTURE(int(kind));
    allAgree(115, 40, 5e-6, [&](Backend& b, Random& random) {
      Shape s = randomShape(random);
      if (random.chance(0.1)) s = {random.integer(1000, 5000), 1, 1};
      const int batch = random.integer(1, 40);
      Buffer<float> z(b, random.reals(laneElements(s, batch), -4, 4)), t(b, random.reals(laneElements(s, batch), 0, 1)),
          g(b, laneElements(s, batch), 5.0f);
      Buffer<LossResult> result(b, std::vector<LossResult>(1));
      ElementLoss a;
      a.kind = kind, a.shape = s, a.batch = batch, a.delta = 0.7f, a.output = z.get(), a.target = t.get();
      a.result = result.get();
      b.run(a);
      a.gradOutput = g.get();
      b.run(a);
      const LossResult sums = result.values()[0];
      CHECK(sums.count == 2 * batch);
      CHECK(sums.weightSum == 2 * batch);
      CHECK(paddingIsZero(g.values(), s, batch));
      auto gradient = g.values();
      for (float& v : gradient) v *= float(s.elements() * batch);
      return Results{gradient, {float(sums.lossSum / batch)}};
    });
  }
}

TEST_CASE("losses of elements: PyTorch's numbers") {
  auto reference = makeReferenceBackend();
  const float output[2][3] = {{0.5f, -2.0f, 3.0f}, {1.0f, 0.25f, -0.5f}},
              target[2][3] = {{0.0f, 1.0f, 1.0f}, {0.5f, 0.25f, 2.0f}};
  auto check = [&](ElementLossKind kind, double loss, std::vector<double> gradient) {
    const Shape s{3, 1, 1};
    std::vector<float> z(std::size_t(laneElements(s, 2))), t = z;
    for (int n = 0; n < 2; n++)
      for (int k = 0; k < 3; k++) {
        z[laneOffset(s, n, k, 0, 0)] = output[n][k];
        t[laneOffset(s, n, k, 0, 0)] = target[n][k];
      }
    Buffer<float> zs(*reference, z), ts(*reference, t), g(*reference, laneElements(s, 2), 5.0f);
    Buffer<LossResult> result(*reference, std::vector<LossResult>(1));
    ElementLoss a;
    a.kind = kind, a.shape = s, a.batch = 2, a.delta = 0.75f, a.output = zs.get(), a.target = ts.get();
    a.gradOutput = g.get(), a.result = result.get();
    reference->run(a);
    CHECK(result.values()[0].lossSum / 2 == doctest::Approx(loss).epsilon(1e-6));
    for (int n = 0; n < 2; n++)
      for (int k = 0; k < 3; k++)
        CHECK(std::fabs(double(g.values()[laneOffset(s, n, k, 0, 0)]) - gradient[std::size_t(n * 3 + k)]) < 1e-6);
  };
  check(ElementLossKind::kBinaryCrossEntropy, 1.03339507,
        {0.103743222, -0.146799513, -0.0079043122, 0.0385097631, 0.0520294168, -0.270409889});
  check(ElementLossKind::kAbsolute, 1.41666667, {0.166666667, -0.166666667, 0.166666667, 0.166666667, 0, -0.166666667});
  check(ElementLossKind::kHuber, 0.838541667, {0.0833333333, -0.125, 0.125, 0.0833333333, 0, -0.125});
}
