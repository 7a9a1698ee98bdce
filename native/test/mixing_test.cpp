// Images that are mixed with another of their batch, and in other colours: the numbers that decide it, pixels, labels.
#include <cmath>

#include "test/agreement.h"

using namespace test;

namespace {

constexpr StepCounter kCounter{5, 7};

Augmentation mixing(float mixup, float cutmix) {
  Augmentation a;
  a.mixup = mixup, a.cutmix = cutmix;
  return a;
}

// The images of a batch through a backend, [image][C][H][W], not normalised. raw: the same of the data set.
std::vector<float> gathered(Backend& backend, Shape shape, int batch, const std::vector<float>& raw,
                            const Augmentation& how, const StepCounter* of = &kCounter) {
  std::vector<std::int32_t> order;
  for (int i = 0; i < batch; i++) order.push_back(i);
  Buffer<float> floats(backend, raw), means(backend, std::vector<float>(std::size_t(shape.channels), 0.0f)),
      invStd(backend, std::vector<float>(std::size_t(shape.channels), 1.0f)),
      out(backend, laneElements(shape, batch), 5.0f);
  Buffer<std::int32_t> indices(backend, order);
  Buffer<StepCounter> counter(backend, std::vector<StepCounter>{of ? *of : kCounter});
  backend.run(GatherImages{shape, batch, nullptr, floats.get(), indices.get(), means.get(), invStd.get(), how,
                           of ? counter.get() : nullptr, out.get()});
  const std::vector<float> lanes = out.values();
  std::vector<float> result;
  for (int n = 0; n < batch; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int y = 0; y < shape.height; y++)
        for (int x = 0; x < shape.width; x++) result.push_back(lanes[laneOffset(shape, n, c, y, x)]);
  return result;
}

// Image n is all n.
std::vector<float> numbered(Shape shape, int batch) {
  std::vector<float> raw;
  for (int n = 0; n < batch; n++) raw.insert(raw.end(), std::size_t(shape.elements()), float(n));
  return raw;
}

}  // namespace

TEST_CASE("logarithms, powers and roots of integers are those of float64") {
  for (std::uint64_t number : {1ull, 2ull, 3ull, 1000ull, 123456789ull, 4294967295ull, 4294967296ull}) {
    CAPTURE(number);
    CHECK(std::abs(double(octavesBelow(number)) / (1 << kLogBits) - (32 - std::log2(double(number)))) < 1e-6);
  }
  for (double octaves : {0.0, 1e-5, 0.5, 0.999, 1.0, 3.7, 20.25, 28.0, 1e6})
    CHECK(std::abs(double(halved(std::int64_t(octaves * (1 << kLogBits)))) / double(kOneInParts) -
                   std::exp2(-octaves)) < 1e-7);
  for (std::int64_t square : {0ll, 1ll, 2ll, 3ll, 4ll, 99ll, 100ll, 281474976710656ll, 281474976710655ll}) {
    const std::int64_t root = wholeRoot(square);
    CHECK(root * root <= square);
    CHECK((root + 1) * (root + 1) > square);
  }
}

TEST_CASE("shares have the moments of Beta(a, a), for a = 1 its distribution") {
  for (double a : {0.05, 0.2, 0.5, 1.0, 2.0}) {
    CAPTURE(a);
    double sum = 0, squares = 0, below = 0;
    const int count = 20000;
    for (int i = 0; i < count; i++) {
      const double share = std::ldexp(double(betaShare(float(a), mix64(std::uint64_t(i)))), -24);
      CHECK(share >= 0);
      CHECK(share <= 1);
      sum += share, squares += (share - 0.5) * (share - 0.5), below += share < 0.3;
    }
    CHECK(std::abs(sum / count - 0.5) < 0.012);
    CHECK(std::abs(squares / count - 1 / (4 * (2 * a + 1))) < 0.005);
    if (a == 1.0) CHECK(std::abs(below / count - 0.3) < 0.012);
  }
  CHECK(betaShare(1e-30f, 3) >= 0);  // as good as 0 or 1
}

TEST_CASE("mixup: every pixel is the same mean of two images") {
  const Shape shape{3, 4, 5};
  const int batch = 19;
  for (auto& backend : testedBackends()) {
    const std::vector<float> got = gathered(*backend, shape, batch, numbered(shape, batch), mixing(1, 0));
    double least = 1, most = 0;
    for (int n = 0; n < batch; n++) {
      const Mixing m = mixingOf(mixing(1, 0), shape, &kCounter, n, batch);
      CHECK(m.partner == (n + 1) % batch);
      CHECK_FALSE(m.pastes);
      least = std::min(least, double(m.share)), most = std::max(most, double(m.share));
      for (int i = 0; i < shape.elements(); i++)
        CHECK(std::abs(double(got[std::size_t(n * shape.elements() + i)]) -
                       (double(m.share) * n + (1 - double(m.share)) * m.partner)) < 1e-5);
    }
    CHECK(least < 0.2);  // each image has a share of its own
    CHECK(most > 0.8);
  }
}

TEST_CASE("cutmix: a box of another image, and the share of what is left") {
  const Shape shape{1, 9, 12};
  const int batch = 40;
  for (auto& backend : testedBackends()) {
    const std::vector<float> got = gathered(*backend, shape, batch, numbered(shape, batch), mixing(0, 1));
    double shares = 0;
    for (int n = 0; n < batch; n++) {
      const Mixing m = mixingOf(mixing(0, 1), shape, &kCounter, n, batch);
      int own = 0;
      for (int i = 0; i < shape.elements(); i++) {
        const float value = got[std::size_t(n * shape.elements() + i)];
        CHECK(value == float(isPasted(m, i / shape.width, i % shape.width) ? m.partner : n));
        own += value == float(n);
      }
      CHECK(std::abs(m.share - float(own) / float(shape.elements())) < 1e-6f);
      CHECK(m.top >= 0);
      CHECK(m.bottom <= shape.height);
      shares += double(m.share) / batch;
    }
    CHECK(shares > 0.4);
    CHECK(shares < 0.9);
  }
}

TEST_CASE("both kinds: each image gets one of them; nothing is mixed alone, or in an evaluation") {
  const Shape shape{1, 6, 6};
  int pasted = 0;
  for (int n = 0; n < 400; n++) pasted += mixingOf(mixing(0.5f, 1), shape, &kCounter, n, 400).pastes;
  CHECK(pasted > 150);
  CHECK(pasted < 250);
  CHECK(mixingOf(mixing(1, 1), shape, &kCounter, 0, 1).partner == -1);
  CHECK(mixingOf(mixing(1, 1), shape, nullptr, 0, 9).partner == -1);
  CHECK(mixingOf({}, shape, &kCounter, 0, 9).partner == -1);
  for (auto& backend : testedBackends()) {
    CHECK(gathered(*backend, shape, 9, numbered(shape, 9), mixing(1, 1), nullptr) == numbered(shape, 9));
    CHECK(gathered(*backend, shape, 1, numbered(shape, 1), mixing(1, 1)) == numbered(shape, 1));
  }
}

TEST_CASE("the partner is changed as it is in its own place") {
  auto reference = makeReferenceBackend();
  const Shape shape{1, 7, 7};
  Random random(4);
  const std::vector<float> raw = random.reals(shape.elements() * 5, 0, 1);
  Augmentation plain{2, true, 3}, both = plain;
  plain.colour = both.colour = 0.5f, both.mixup = 1;
  const std::vector<float> apart = gathered(*reference, shape, 5, raw, plain),
                           together = gathered(*reference, shape, 5, raw, both);
  const auto elements = std::size_t(shape.elements());
  for (int n = 0; n < 5; n++) {
    const Mixing m = mixingOf(both, shape, &kCounter, n, 5);
    for (std::size_t i = 0; i < elements; i++)
      CHECK(together[std::size_t(n) * elements + i] ==
            doctest::Approx(m.share * apart[std::size_t(n) * elements + i] +
                            (1 - m.share) * apart[std::size_t(m.partner) * elements + i])
                .epsilon(1e-5));
  }
}

TEST_CASE("colour: brightness, contrast and saturation one after another, within [0, 1]") {
  const Shape shape{3, 1, 2};
  const std::vector<float> raw{0.2f, 0.9f, 0.4f, 0.1f, 0.6f, 0.3f};  // two pixels, of red, green, blue
  Augmentation how;
  how.colour = 0.7f;
  for (auto& backend : testedBackends())
    for (std::uint64_t step = 1; step < 20; step++) {
      const StepCounter counter{3, step};
      const ColourFactors f = colourFactors(how, &counter, 0);
      for (float factor : {f.brightness, f.contrast, f.saturation}) {
        CHECK(factor >= 0.3f - 1e-6f);
        CHECK(factor <= 1.7f + 1e-6f);
      }
      double v[3][2];
      auto clip = [](double x) { return std::min(1.0, std::max(0.0, x)); };
      auto grey = [&](int p) { return 0.2989 * v[0][p] + 0.587 * v[1][p] + 0.114 * v[2][p]; };
      for (int c = 0; c < 3; c++)
        for (int p = 0; p < 2; p++) v[c][p] = clip(double(f.brightness) * double(raw[std::size_t(c * 2 + p)]));
      const double mean = (grey(0) + grey(1)) / 2;
      for (auto& channel : v)
        for (double& x : channel) x = clip(double(f.contrast) * x + (1 - double(f.contrast)) * mean);
      const double greys[2] = {grey(0), grey(1)};
      const std::vector<float> got = gathered(*backend, shape, 1, raw, how, &counter);
      for (int c = 0; c < 3; c++)
        for (int p = 0; p < 2; p++)
          CHECK(std::abs(double(got[std::size_t(c * 2 + p)]) -
                         clip(double(f.saturation) * v[c][p] + (1 - double(f.saturation)) * greys[p])) < 1e-6);
    }
}

TEST_CASE("colour: grey images stay grey, a factor of nothing changes nothing") {
  Random random(8);
  for (auto& backend : testedBackends()) {
    Augmentation how;
    how.colour = 1e-9f;
    const std::vector<float> raw = random.reals(3 * 20 * 3, 0, 1);
    CHECK(difference(gathered(*backend, {3, 4, 5}, 3, raw, how), raw) < 1e-6);
    how.colour = 1;
    std::vector<float> grey;
    for (int c = 0; c < 3; c++) grey.insert(grey.end(), raw.begin(), raw.begin() + 20);
    const std::vector<float> got = gathered(*backend, {3, 4, 5}, 1, grey, how);
    for (std::size_t i = 0; i < 20; i++) {
      CHECK(std::abs(got[i] - got[20 + i]) < 1e-4f);  // weights of grey sum to 0.9999
      CHECK(std::abs(got[i] - got[40 + i]) < 1e-4f);
    }
  }
}

namespace {

struct LabelCase {
  int classes, batch;
  float smoothing;
  Augmentation how;
  std::vector<float> logits, classWeight;
  std::vector<std::int32_t> labels;
};
constexpr Shape kImage{1, 6, 7};

LabelCase randomLabels(Random& random) {
  LabelCase c{random.integer(2, 40), random.integer(1, 40), random.chance(0.5) ? 0.1f : 0.0f, {}, {}, {}, {}};
  if (random.chance(0.7)) c.how.mixup = random.real(0.1f, 2);
  if (random.chance(0.5)) c.how.cutmix = random.real(0.1f, 2);
  c.logits = random.reals(laneElements({c.classes, 1, 1}, c.batch), -6, 6);
  if (random.chance(0.5)) c.classWeight = random.reals(c.classes, 0.1f, 2);
  for (int n = 0; n < c.batch; n++) c.labels.push_back(random.integer(0, c.classes - 1));
  return c;
}

struct LabelResult {
  std::vector<float> gradient;
  LossResult sums;
};
LabelResult compute(Backend& b, const LabelCase& c) {
  Buffer<float> z(b, c.logits), g(b, std::int64_t(c.logits.size()), 5.0f), weight(b, c.classWeight);
  Buffer<std::int32_t> labels(b, c.labels);
  Buffer<LossResult> result(b, std::vector<LossResult>(1));
  Buffer<StepCounter> counter(b, std::vector<StepCounter>{kCounter});
  auto complete = [&](auto a) {
    a.batch = c.batch, a.labelSmoothing = c.smoothing, a.logits = z.get(), a.labels = labels.get();
    a.gradLogits = g.get(), a.result = result.get();
    a.image = kImage, a.augmentation = c.how, a.counter = counter.get();
    return a;
  };
  if (c.classWeight.empty()) {
    CrossEntropy a;
    a.classes = c.classes;
    b.run(complete(a));
  } else {
    PositionCrossEntropy a;
    a.shape = {c.classes, 1, 1}, a.classWeight = weight.get();
    b.run(complete(a));
  }
  return {g.values(), result.values()[0]};
}

}  // namespace

TEST_CASE("labels of mixed images: every backend agrees with the reference") {
  allAgree(118, 60, 1e-5, [&](Backend& b, Random& random) {
    const LabelCase c = randomLabels(random);
    const LabelResult r = compute(b, c);
    CHECK(paddingIsZero(r.gradient, {c.classes, 1, 1}, c.batch));
    return Results{r.gradient,
                   {float(r.sums.lossSum / r.sums.weightSum)},
                   {float(r.sums.correct), 0},
                   {float(r.sums.count), 0},
                   {float(r.sums.weightSum)}};
  });
}

TEST_CASE("labels of mixed images: the loss is the mean of both labels' in their shares, and its gradient") {
  auto reference = makeReferenceBackend();
  Random random(119);
  for (int trial = 0; trial < 20; trial++) {
    const LabelCase c = randomLabels(random);
    double expected = 0, weights = 0;
    std::int64_t correct = 0;
    auto alone = [&](int n, int from) {  // the loss of image n by the label of another
      LabelCase one = c;
      one.how = {}, one.batch = 1, one.labels = {c.labels[std::size_t(from)]};
      one.logits.assign(std::size_t(laneElements({c.classes, 1, 1}, 1)), 0.0f);
      for (int k = 0; k < c.classes; k++)
        one.logits[laneOffset({c.classes, 1, 1}, 0, k, 0, 0)] = c.logits[laneOffset({c.classes, 1, 1}, n, k, 0, 0)];
      return compute(*reference, one).sums;
    };
    for (int n = 0; n < c.batch; n++) {
      const Mixing m = mixingOf(c.how, kImage, &kCounter, n, c.batch);
      const int partner = m.partner < 0 ? n : m.partner;
      const LossResult mine = alone(n, n), theirs = alone(n, partner);
      expected += double(m.share) * mine.lossSum + (1 - double(m.share)) * theirs.lossSum;
      weights += double(m.share) * mine.weightSum + (1 - double(m.share)) * theirs.weightSum;
      correct += m.share >= 0.5f ? mine.correct : theirs.correct;
    }
    const LabelResult r = compute(*reference, c);
    CHECK(r.sums.lossSum == doctest::Approx(expected).epsilon(1e-6));
    CHECK(r.sums.weightSum == doctest::Approx(weights).epsilon(1e-6));
    CHECK(r.sums.correct == correct);
    auto loss = [&](const std::vector<float>& logits) {
      LabelCase moved = c;
      moved.logits = logits;
      return compute(*reference, moved).sums.lossSum;
    };
    std::vector<float> gradient = r.gradient;
    for (float& g : gradient) g *= float(r.sums.weightSum);
    checkGradient(random, c.logits, gradient, loss, 1e-3, belongsTo({c.classes, 1, 1}, c.batch));
  }
}
