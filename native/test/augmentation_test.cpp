// Turned and scaled images: where pixels come from, what lies outside, and what has no weight.
#include <cmath>
#include <limits>

#include "test/support.h"

using namespace test;

namespace {

constexpr StepCounter kCounter{5, 7};
const double kParts = std::pow(2.0, 29);

// One channel of one image through a backend, as [height][width], neither shifted nor divided by normalisation.
std::vector<float> gathered(Backend& backend, Shape shape, const std::vector<float>& image, const Augmentation& how,
                            float mean = 0, StepCounter of = kCounter) {
  Buffer<float> floats(backend, image), means(backend, std::vector<float>(std::size_t(shape.channels), mean)),
      invStd(backend, std::vector<float>(std::size_t(shape.channels), 1.0f)),
      out(backend, laneElements(shape, 1), 5.0f);
  Buffer<std::int32_t> indices(backend, std::vector<std::int32_t>{0});
  Buffer<StepCounter> counter(backend, std::vector<StepCounter>{of});
  backend.run(GatherImages{shape, 1, nullptr, floats.get(), indices.get(), means.get(), invStd.get(), how,
                           counter.get(), out.get()});
  std::vector<float> result, lanes = out.values();
  for (std::size_t i = 0; i < lanes.size(); i += kLanes) result.push_back(lanes[i]);
  return result;
}

}  // namespace

TEST_CASE("angles and magnifications: uniform over their ranges, places as float64 has them") {
  const Shape shape{1, 30, 201};
  Augmentation how;
  how.rotate = 180, how.scale = 0.9f;
  double sumOfAngles = 0, sumOfFactors = 0, largestAngle = 0, smallest = 9, largest = 0;
  for (int position = 0; position < 4000; position++) {
    const ImageTransform t = imageTransform(how, shape, &kCounter, position);
    const double one = double(kOneInParts), cosine = double(t.cosine) / one, sine = double(t.sine) / one;
    const double factor = 1 / std::hypot(cosine, sine), angle = std::atan2(sine, cosine);
    sumOfAngles += angle, sumOfFactors += factor;
    largestAngle = std::max(largestAngle, std::abs(angle));
    smallest = std::min(smallest, factor), largest = std::max(largest, factor);
    const Place p = placeOf(t, shape, 3, 190), next = placeOf(t, shape, 3, 191), step = stepRight(t);
    CHECK(std::abs(double(p.x) / kParts - (100 + (std::cos(angle) * 90 + std::sin(angle) * 11.5) / factor)) < 1e-4);
    CHECK(std::abs(double(p.y) / kParts - (14.5 + (std::sin(angle) * 90 - std::cos(angle) * 11.5) / factor)) < 1e-4);
    CHECK(next.x == p.x + step.x);
    CHECK(next.y == p.y + step.y);
  }
  CHECK(std::abs(sumOfAngles / 4000) < 0.1);
  CHECK(std::abs(sumOfFactors / 4000 - 1) < 0.03);
  CHECK(largestAngle > 3.13);
  CHECK(smallest < 0.11);
  CHECK(largest > 1.89);
  CHECK(smallest > 0.0999);
  CHECK(largest < 1.9001);
}

TEST_CASE("angles and magnifications stay within what is asked for, and one leaves the other alone") {
  const double one = double(kOneInParts);
  for (int position = 0; position < 500; position++) {
    Augmentation turned, scaled;
    turned.rotate = 15, scaled.scale = 0.15f;
    const ImageTransform a = imageTransform(turned, {1, 9, 9}, &kCounter, position),
                         b = imageTransform(scaled, {1, 9, 9}, &kCounter, position);
    CHECK(std::abs(std::hypot(double(a.cosine), double(a.sine)) / one - 1) < 1e-7);
    CHECK(std::abs(std::atan2(double(a.sine), double(a.cosine))) < 15.00001 * 3.14159265358979 / 180);
    CHECK(b.sine == 0);
    CHECK(std::abs(one / double(b.cosine) - 1) < 0.150001);
    CHECK(imageTransform(turned, {1, 9, 9}, nullptr, position).isAffine == false);  // an evaluation
  }
}

TEST_CASE("an angle of nothing gives the bits of images that are not turned, whatever else is done to them") {
  Random random(3);
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(20); trial++) {
      const Shape shape{trial % 2 ? 3 : 1, random.integer(1, 9), random.integer(1, 9)};
      std::vector<float> image = random.reals(shape.elements());
      image[0] = std::numeric_limits<float>::quiet_NaN();
      image.back() = std::numeric_limits<float>::infinity();
      Augmentation plain{trial % 3, trial % 5 == 0, trial % 4}, turned = plain;
      turned.rotate = 1e-10f;
      CHECK(sameBits(gathered(*backend, shape, image, turned, 0.3f), gathered(*backend, shape, image, plain, 0.3f)));
    }
}

TEST_CASE("what lies outside has raw value 0") {
  Augmentation how;
  how.rotate = 45, how.scale = 0.5f;
  for (auto& backend : testedBackends()) {
    const Shape shape{1, 11, 13};
    const std::vector<float> ones(std::size_t(shape.elements()), 1.0f);
    for (float x : gathered(*backend, shape, ones, how, 0.25f)) {
      CHECK(x >= -0.25f);
      CHECK(x <= 0.75f + 1e-6f);
    }
    CHECK(gathered(*backend, shape, ones, how, 0.25f).front() < 0.7f);  // a corner comes from beyond the image
    how.shift = 4096;
    for (float x : gathered(*backend, shape, ones, how, 0.25f)) CHECK(x == -0.25f);
    how.shift = 0;
  }
}

TEST_CASE("a value that is no number reaches the pixels that have weight on it, and no others") {
  auto reference = makeReferenceBackend();
  const Shape shape{3, 9, 7};
  for (auto& backend : testedBackends())
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (float rotate : {20.0f, 90.0f, 180.0f}) {
        Random random(11);
        std::vector<float> image = random.reals(shape.elements());
        image[std::size_t(9 * 7 + 2 * 7 + 2)] = bad;  // near the middle of the second channel
        Augmentation how;
        how.rotate = rotate, how.scale = 0.2f;
        for (std::uint64_t step = 1; step < 9; step++) {
          const std::vector<float> got = gathered(*backend, shape, image, how, 0, {1, step}),
                                   expected = gathered(*reference, shape, image, how, 0, {1, step});
          CHECK(difference(got, expected) < 1e-6);
          int bads = 0;
          for (float x : got) bads += !std::isfinite(x);
          CHECK(bads > 0);
          CHECK(bads < 12);
        }
      }
}
