// Fused quantizer: every instruction set against the reference, special values, and the reference against its
// derivation.
#include <limits>

#include "ops/quantize/quantize_math.h"
#include "ops/quantize/wide.h"
#include "test/support.h"

using namespace test;

namespace {

struct Case {
  int channels;
  std::int64_t perChannel;
  std::vector<float> weight, bitDepth, exponent, gradient, penalty;
};

Case randomCase(Random& random, bool special) {
  Case c;
  c.channels = random.integer(1, 40);
  c.perChannel = random.integer(1, random.chance(0.2) ? 5000 : 200);
  c.weight = random.reals(c.channels * c.perChannel, -2, 2);
  c.gradient = random.reals(c.channels * c.perChannel);
  c.bitDepth = random.reals(c.channels, -1, 9);
  c.exponent = random.reals(c.channels, -9, 1);
  c.penalty = random.reals(c.channels);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (float& b : c.bitDepth)
    if (random.chance(0.2)) b = random.chance(0.5) ? 0.0f : float(random.integer(1, 8));
  if (!special) return c;
  for (float value : {inf, -inf, nan, 0.0f, -0.0f, 1e-42f, 3e38f})
    c.weight[std::size_t(random.integer(0, int(c.weight.size()) - 1))] = value;
  c.bitDepth[std::size_t(random.integer(0, c.channels - 1))] = nan;
  for (float e : {-3e38f, -1000.0f, -149.5f, -128.0f, -127.0f, -126.5f, 126.5f, 127.3f, 128.0f, 1e9f, inf, nan})
    if (random.chance(0.3)) c.exponent[std::size_t(random.integer(0, c.channels - 1))] = e;
  if (random.chance(0.3)) c.bitDepth[std::size_t(random.integer(0, c.channels - 1))] = random.chance(0.5) ? 140 : inf;
  return c;
}

// The definition in extended precision, but that u may be too small for a float where the constants are floats.
struct Defined {
  long double q, byWeight, byBitDepth, byExponent;
};
Defined defined(float w, float b, float e) {
  const long double ln2 = 0.693147180559945309417232121458L, beta = std::max(b, 0.0f);
  if (!(beta > 0)) return {0, 0, 0, 0};
  const long double half = exp2l(std::min(beta, 16000.0L) - 1);
  const long double power = std::max(std::min((long double)e, 15000.0L), -15000.0L);
  const long double exact = (long double)w * exp2l(-power), s = exp2l(power);
  const long double u = isWide(b, e) ? exact : (long double)float(exact);
  const long double c = std::min(std::max(u, -half), half - 1), q = s * nearbyintl(c);
  if (u < -half) return {q, 0, -ln2 * s * half, ln2 * q};
  if (u > half - 1) return {q, 0, ln2 * s * half, ln2 * q};
  return {q, 1, 0, ln2 * (q - (long double)w)};
}

}  // namespace

TEST_CASE("quantizer: every instruction set agrees with the reference on hundreds of shapes") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends()) {
    Random random(1);
    CAPTURE(backend->name());
    for (int trial = 0; trial < cases(300); trial++) {
      PastCaches past{std::uint64_t(trial)};
      Case c = randomCase(random, trial % 3 == 0);
      CAPTURE(trial);
      auto forward = [&](Backend& b) {
        Buffer<float> w(b, c.weight), bits(b, c.bitDepth), e(b, c.exponent), q(b, c.channels * c.perChannel, 7.0f);
        b.run(QuantizeForward{c.channels, c.perChannel, w.get(), bits.get(), e.get(), q.get()});
        return q.values();
      };
      CHECK(difference(forward(*backend), forward(*reference)) == 0);  // the very same numbers
      auto backward = [&](Backend& b, int which) {
        Buffer<float> w(b, c.weight), bits(b, c.bitDepth), e(b, c.exponent), g(b, c.gradient), penalty(b, c.penalty),
            gw(b, c.channels * c.perChannel, 7.0f), db(b, c.channels, 7.0f), de(b, c.channels, 7.0f);
        Buffer<float>& result = trial % 4 < 2 ? g : gw;  // in place or not
        b.run(QuantizeBackward{c.channels, c.perChannel, w.get(), bits.get(), e.get(), g.get(),
                               trial % 2 ? penalty.get() : nullptr, result.get(), db.get(), de.get()});
        return which == 0 ? result.values() : which == 1 ? db.values() : de.values();
      };
      CHECK(difference(backward(*backend, 0), backward(*reference, 0)) == 0);
      if (trial % 3) {  // sums: rounding of float partial sums
        for (int which : {1, 2}) {
          auto same = sameForAllThreads([&] { return backward(*backend, which); });
          CHECK(difference(same, backward(*reference, which)) < 2e-5);
        }
      }
      auto codes = [&](Backend& b) {
        Buffer<float> w(b, c.weight), bits(b, c.bitDepth), e(b, c.exponent);
        Buffer<std::int32_t> r(b, c.channels * c.perChannel, 7), least(b, c.channels, 7);
        b.run(QuantizeCodes{c.channels, c.perChannel, w.get(), bits.get(), e.get(), r.get(), least.get()});
        auto all = r.values(), more = least.values();
        all.insert(all.end(), more.begin(), more.end());
        return all;
      };
      CHECK(codes(*backend) == codes(*reference));
    }
  }
}

TEST_CASE("quantizer: more weights than the caches hold, on and off 64-byte boundaries") {
  auto reference = makeReferenceBackend();
  for (std::int64_t perChannel : {262144, 262147}) {
    constexpr int channels = 17;
    Random random{std::uint64_t(perChannel)};
    auto weight = random.reals(channels * perChannel), gradient = random.reals(channels * perChannel);
    std::vector<float> bits(channels, 3.5f), exponent(channels, -2.0f);
    bits[3] = 0;
    auto run = [&](Backend& b) {
      Buffer<float> w(b, weight), d(b, bits), e(b, exponent), g(b, gradient), q(b, channels * perChannel, 7.0f),
          gw(b, channels * perChannel, 7.0f), db(b, channels, 7.0f), de(b, channels, 7.0f);
      b.run(QuantizeForward{channels, perChannel, w.get(), d.get(), e.get(), q.get()});
      b.run(QuantizeBackward{channels, perChannel, w.get(), d.get(), e.get(), g.get(), nullptr, gw.get(), db.get(),
                             de.get()});
      auto all = q.values(), more = gw.values();
      all.insert(all.end(), more.begin(), more.end());
      return all;
    };
    std::vector<float> expected = run(*reference);
    for (auto& backend : testedBackends()) CHECK(run(*backend) == expected);
  }
}

TEST_CASE("quantizer: a dead channel is +0 and has no gradients, whatever its weights are") {
  for (auto& backend : testedBackends()) {
    std::vector<float> weight(37, std::numeric_limits<float>::infinity());
    weight[3] = -2, weight[4] = std::numeric_limits<float>::quiet_NaN();
    for (float bits : {0.0f, -3.0f, -0.0f, -std::numeric_limits<float>::infinity()}) {
      const float exponent = bits == 0 ? std::numeric_limits<float>::quiet_NaN() : -3.0f;
      Buffer<float> w(*backend, weight), b(*backend, 1, bits), e(*backend, 1, exponent), q(*backend, 37, 7.0f),
          g(*backend, 37, 1.0f), p(*backend, 1, 1.0f), db(*backend, 1, 7.0f), de(*backend, 1, 7.0f);
      backend->run(QuantizeForward{1, 37, w.get(), b.get(), e.get(), q.get()});
      backend->run(QuantizeBackward{1, 37, w.get(), b.get(), e.get(), g.get(), p.get(), g.get(), db.get(), de.get()});
      CHECK(sameBits(q.values(), std::vector<float>(37, 0.0f)));
      CHECK(g.values() == std::vector<float>(37, 0.0f));
      CHECK(db.values()[0] == 0);
      CHECK(de.values()[0] == 0);
    }
  }
}

TEST_CASE("quantizer: the definition holds for every finite exponent, and for every bit depth") {
  if (std::numeric_limits<long double>::max_exponent < 16384) return;  // the definition needs its range
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> magnitudes = {0.0f,  -0.0f, 1e-45f, -3e-42f, 5e-39f,  -1.2e-38f, 3e-33f, -1e-20f,
                                         0.01f, -0.3f, 1.7f,   -25.0f,  1.5e19f, -8e37f,    3e38f};
  std::vector<float> weight, bitDepth, exponent;
  for (float e : {-3e38f,  -2000.0f, -400.3f, -250.0f, -201.0f, -199.7f, -160.0f, -150.0f, -149.0f, -140.5f, -129.0f,
                  -128.0f, -127.5f,  -127.0f, -126.2f, -126.0f, -125.9f, -60.0f,  -3.5f,   0.0f,    40.0f,   125.5f,
                  126.0f,  126.1f,   127.0f,  128.0f,  129.0f,  149.5f,  300.0f,  501.0f,  1e30f})
    for (float b : {0.4f, 1.0f, 2.5f, 8.0f, 24.0f, 60.5f, 128.0f, 129.0f, 200.0f, 700.0f, inf}) {
      bitDepth.push_back(b), exponent.push_back(e);
      weight.insert(weight.end(), magnitudes.begin(), magnitudes.end());
    }
  const int channels = int(bitDepth.size()), perChannel = int(magnitudes.size());
  auto backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& backend : backends) {
    CAPTURE(backend->name());
    Buffer<float> w(*backend, weight), b(*backend, bitDepth), e(*backend, exponent),
        q(*backend, std::int64_t(weight.size()), 7.0f);
    backend->run(QuantizeForward{channels, perChannel, w.get(), b.get(), e.get(), q.get()});
    // One weight of each channel at a time has a gradient of 1: the sums are those of this weight.
    for (int one = 0; one < perChannel; one++) {
      std::vector<float> gradient(weight.size(), 0.0f);
      for (int c = 0; c < channels; c++) gradient[std::size_t(c * perChannel + one)] = 1;
      Buffer<float> g(*backend, gradient), db(*backend, channels, 7.0f), de(*backend, channels, 7.0f);
      backend->run(QuantizeBackward{channels, perChannel, w.get(), b.get(), e.get(), g.get(), nullptr, g.get(),
                                    db.get(), de.get()});
      auto quantized = q.values(), gradWeight = g.values(), byBits = db.values(), byExponent = de.values();
      for (int c = 0; c < channels; c++) {
        const std::size_t i = std::size_t(c * perChannel + one);
        const Defined d = defined(weight[i], bitDepth[std::size_t(c)], exponent[std::size_t(c)]);
        CAPTURE(weight[i]);
        CAPTURE(bitDepth[std::size_t(c)]);
        CAPTURE(exponent[std::size_t(c)]);
        auto close = [](float x, long double expected, long double scale) {
          if (expected > std::numeric_limits<float>::max() || expected < -std::numeric_limits<float>::max())
            return x == float(expected) || std::fabs(x) > 3.4e38f;
          return std::fabs((long double)x - expected) <= 2e-6L * std::max(fabsl(expected), scale) + 1e-44L;
        };
        const long double w1 = fabsl((long double)weight[i]);
        CHECK(close(quantized[i], d.q, 0));
        CHECK(gradWeight[i] == float(d.byWeight));
        CHECK(close(byBits[std::size_t(c)], d.byBitDepth, 0));
        CHECK(close(byExponent[std::size_t(c)], d.byExponent, d.byWeight != 0 ? w1 : 0));
      }
    }
  }
}

TEST_CASE("quantizer: a spoilt channel is NaN everywhere, seen and not dead") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  auto backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& backend : backends)
    for (auto [bits, exponent] :
         std::vector<std::pair<float, float>>{{nan, -3.0f}, {nan, nan}, {4.0f, nan}, {4.0f, inf}, {4.0f, -inf}}) {
      CAPTURE(backend->name());
      Buffer<float> w(*backend, 37, 0.0f), b(*backend, 1, bits), e(*backend, 1, exponent), q(*backend, 37, 7.0f),
          g(*backend, 37, 1.0f), db(*backend, 1, 7.0f), de(*backend, 1, 7.0f);
      Buffer<std::int32_t> codes(*backend, 37, 7), least(*backend, 1, 7), state(*backend, 1, 7);
      backend->run(QuantizeForward{1, 37, w.get(), b.get(), e.get(), q.get()});
      backend->run(QuantizeBackward{1, 37, w.get(), b.get(), e.get(), g.get(), nullptr, g.get(), db.get(), de.get()});
      backend->run(QuantizeCodes{1, 37, w.get(), b.get(), e.get(), codes.get(), least.get()});
      for (float x : q.values()) CHECK(std::isnan(x));
      for (float x : g.values()) CHECK(std::isnan(x));
      CHECK(std::isnan(db.values()[0]));
      CHECK(std::isnan(de.values()[0]));
      CHECK(codes.values() == std::vector<std::int32_t>(37, 0));
      CHECK(least.values()[0] == -1);
      StateFromBits states;
      states.channels = 1, states.bitDepth = b.get(), states.output = state.get();
      backend->run(states);
      CHECK(state.values()[0] == kLive);
    }
}

TEST_CASE("quantizer: codes of extreme exponents") {
  auto backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& backend : backends) {
    Buffer<float> w(*backend, {0.0f, 1e-40f, -1e-40f, 0.5f, 0.0f, 1e-45f, -1.0f, 3e38f}), b(*backend, {8.0f, 40.0f}),
        e(*backend, {-140.0f, -1e9f});
    Buffer<std::int32_t> codes(*backend, 8, 7), least(*backend, 2, 7);
    backend->run(QuantizeCodes{2, 4, w.get(), b.get(), e.get(), codes.get(), least.get()});
    CHECK(codes.values() == std::vector<std::int32_t>{0, 127, -128, 127, 0, 1073741823, -1073741824, 1073741823});
    CHECK(least.values() == std::vector<std::int32_t>{8, 31});
  }
}

// Without rounding, the quantizer is s * clip(w / s, lo, hi): smooth away from its corners. Its numerical derivatives
// by b and e, plus what the straight-through estimator adds to e (ln2 * (q - c*s)), are what backward must give.
TEST_CASE("quantizer: gradients of b and e against finite differences of the smooth part") {
  auto reference = makeReferenceBackend();
  Random random(2);
  for (int trial = 0; trial < cases(200); trial++) {
    const int count = 50;
    double b = random.real(1.2f, 6), e = random.real(-4, 0);
    auto weight = random.reals(count, -3, 3), gradient = random.reals(count);
    auto smooth = [&](double bits, double exponent) {
      double s = std::exp2(exponent), half = std::exp2(bits - 1), sum = 0;
      for (int i = 0; i < count; i++)
        sum += double(gradient[std::size_t(i)]) * s *
               std::min(std::max(double(weight[std::size_t(i)]) / s, -half), half - 1);
      return sum;
    };
    double h = 1e-6, s = std::exp2(double(float(e))), half = std::exp2(double(float(b)) - 1), rounding = 0;
    bool corner = false;
    for (int i = 0; i < count; i++) {
      double u = double(weight[std::size_t(i)]) / s, c = std::min(std::max(u, -half), half - 1);
      corner = corner || std::fabs(u + half) < 1e-3 || std::fabs(u - half + 1) < 1e-3;
      rounding += double(gradient[std::size_t(i)]) * std::log(2.0) * s *
                  (std::nearbyint(c) - c);  // d(s*r)/de - d(s*c)/de at fixed u's gradient
    }
    if (corner) continue;
    Buffer<float> w(*reference, weight), bits(*reference, 1, float(b)), ex(*reference, 1, float(e)),
        g(*reference, gradient), db(*reference, 1, 0.0f), de(*reference, 1, 0.0f);
    reference->run(
        QuantizeBackward{1, count, w.get(), bits.get(), ex.get(), g.get(), nullptr, g.get(), db.get(), de.get()});
    double numericB =
        (smooth(double(float(b)) + h, double(float(e))) - smooth(double(float(b)) - h, double(float(e)))) / (2 * h);
    double numericE =
        (smooth(double(float(b)), double(float(e)) + h) - smooth(double(float(b)), double(float(e)) - h)) / (2 * h) +
        rounding;
    CHECK(double(db.values()[0]) == doctest::Approx(numericB).epsilon(1e-4));
    CHECK(double(de.values()[0]) == doctest::Approx(numericE).epsilon(1e-4));
  }
}

TEST_CASE("bit penalty: Q by hand, own and coupled") {
  for (auto& backend : testedBackends()) {
    Buffer<float> b(*backend, {3.0f, 0.0f, -1.0f, 5.0f}), next(*backend, {2.0f, 0.0f, 4.0f}), gamma(*backend, 1, 0.5f),
        penalty(*backend, 4, 0.0f), q(*backend, 1, 0.0f);
    Buffer<std::int32_t> state(*backend, {kLive, kConstant, kZero, kLive, kLive, kLive});
    BitPenalty a;
    a.channels = 4, a.bitDepth = b.get(), a.kernelArea = 9, a.inputState = state.get(), a.inChannels = 6,
    a.originalWeights = 1000, a.gamma = gamma.get();
    a.penalty = penalty.get(), a.layerBits = q.get();
    backend->run(a);
    CHECK(q.values()[0] == doctest::Approx(9 * 4 * 8.0 / 1000));
    CHECK(penalty.values()[0] == doctest::Approx(0.5 * 9 * 4 / 1000));
    Buffer<PenaltyReader> readers(*backend, {{next.get(), 3, 25.0f * 4}, {nullptr, 10, 1.0f}});
    Buffer<std::int32_t> start(*backend, {0, 1, 1, 1, 3}), index(*backend, {1, 0, 1});
    Buffer<double> scratch(*backend, std::vector<double>{0, 0});
    a.readerCount = 2, a.readers = readers.get(), a.start = start.get(), a.index = index.get();
    a.readerBits = scratch.get();
    backend->run(a);
    CHECK(penalty.values()[0] == doctest::Approx(0.5 * (9 * 4 + 320) / 1000.0));
    CHECK(penalty.values()[1] == doctest::Approx(0.5 * 9 * 4 / 1000.0));
    CHECK(penalty.values()[3] == doctest::Approx(0.5 * (9 * 4 + 25 * 6 * 4 + 320) / 1000.0));
    // Two groups of three inputs: the first reads one that lives, the second all.
    a.groups = 2, a.start = nullptr;
    backend->run(a);
    CHECK(penalty.values()[1] == doctest::Approx(0.5 * 9 * 1 / 1000.0));
    CHECK(penalty.values()[2] == doctest::Approx(0.5 * 9 * 3 / 1000.0));
    CHECK(q.values()[0] == doctest::Approx((9 * 1 * 3.0 + 9 * 3 * 5.0) / 1000));
  }
}
