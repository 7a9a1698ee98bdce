// Arithmetic of two tensors: every backend against the reference for every way of broadcasting, gradients, states.
#include "test/agreement.h"

using namespace test;

namespace {

constexpr Binary kKinds[] = {Binary::kAdd, Binary::kSubtract, Binary::kMultiply, Binary::kDivide};

struct Case {
  Shape shape;
  int batch;
  Operand operand;
  std::vector<float> a, b, gradient;
  std::vector<std::int32_t> stateA, stateB;  // empty: none
};

Case randomCase(Random& random, Binary kind, Operand operand) {
  Case c;
  c.shape = {random.integer(1, 9), random.integer(1, 7), random.integer(1, 12)};
  c.batch = random.integer(1, 40);
  c.operand = operand;
  const Shape b = operand.of(c.shape);
  c.a = random.reals(laneElements(c.shape, c.batch));
  c.b = random.reals(operand.plain ? b.elements() : laneElements(b, c.batch));
  if (kind == Binary::kDivide)
    for (float& v : c.b) v = v < 0 ? v - 0.5f : v + 0.5f;
  if (!operand.plain)  // padding lanes hold anything finite: 0 as well, which is divided by
    for (std::size_t i = 0; i < c.b.size(); i++)
      if (!belongsTo(b, c.batch)(i)) c.b[i] = 0;
  c.gradient = randomGradient(random, c.shape, c.batch);
  if (random.chance(0.6)) c.stateA = randomStates(random, c.shape.channels);
  if (random.chance(0.5) && kind != Binary::kDivide) c.stateB = randomStates(random, b.channels);
  return c;
}

struct Result {
  std::vector<float> output, gradA, gradB;
};

Result compute(Backend& backend, Binary kind, const Case& c, bool inPlace) {
  Buffer<float> a(backend, c.a), b(backend, c.b), g(backend, c.gradient), y(backend, std::int64_t(c.a.size()), 5.0f),
      da(backend, std::int64_t(c.a.size()), 5.0f), db(backend, std::int64_t(c.b.size()), 5.0f);
  Buffer<std::int32_t> stateA(backend, c.stateA), stateB(backend, c.stateB);
  BinaryForward f;
  f.kind = kind, f.shape = c.shape, f.batch = c.batch, f.operand = c.operand, f.a = a.get(), f.b = b.get();
  f.stateA = c.stateA.empty() ? nullptr : stateA.get(), f.stateB = c.stateB.empty() ? nullptr : stateB.get();
  f.output = y.get();
  backend.run(f);
  BinaryBackward r;
  r.kind = kind, r.shape = c.shape, r.batch = c.batch, r.operand = c.operand, r.gradOutput = g.get();
  if (kind == Binary::kMultiply || kind == Binary::kDivide) r.a = a.get(), r.b = b.get();
  r.stateA = f.stateA, r.stateB = f.stateB, r.gradA = inPlace ? g.get() : da.get(), r.gradB = db.get();
  backend.run(r);
  return {y.values(), inPlace ? g.values() : da.values(), db.values()};
}

std::vector<Operand> operands() {
  std::vector<Operand> all;
  for (int i = 0; i < 8; i++) all.push_back({(i & 1) != 0, (i & 2) != 0, (i & 4) != 0});
  return all;
}

}  // namespace

TEST_CASE("arithmetic agrees with the reference for every operand") {
  for (Binary kind : kKinds)
    for (const Operand& operand : operands()) {
      CAPTURE(int(kind));
      CAPTURE(operand.oneChannel);
      CAPTURE(operand.onePosition);
      CAPTURE(operand.plain);
      allAgree(71, 12, 5e-6, [&](Backend& b, Random& random) {
        const Case c = randomCase(random, kind, operand);
        const Result r = compute(b, kind, c, random.chance(0.3));
        CHECK(paddingIsZero(r.gradA, c.shape, c.batch, c.stateA));
        if (!operand.plain) CHECK(paddingIsZero(r.gradB, operand.of(c.shape), c.batch, c.stateB));
        return Results{r.output, r.gradA, r.gradB};
      });
    }
}

TEST_CASE("arithmetic: many positions and channels") {
  for (const Operand& operand : operands())
    allAgree(72, 2, 5e-6, [&](Backend& b, Random& random) {
      Case c = randomCase(random, Binary::kMultiply, operand);
      c.shape = {random.integer(60, 90), random.integer(9, 11), random.integer(13, 17)};
      c.batch = random.integer(1, 20);
      const Shape second = operand.of(c.shape);
      c.a = random.reals(laneElements(c.shape, c.batch));
      c.b = random.reals(operand.plain ? second.elements() : laneElements(second, c.batch));
      c.gradient = randomGradient(random, c.shape, c.batch);
      c.stateA.clear(), c.stateB.clear();
      const Result r = compute(b, Binary::kMultiply, c, false);
      return Results{r.output, r.gradA, r.gradB};
    });
}

TEST_CASE("arithmetic: a gradient that is not wanted is not written, and the other is the same") {
  for (auto& backend : testedBackends())
    for (const Operand& operand : operands()) {
      Random random(73);
      Case c = randomCase(random, Binary::kMultiply, operand);
      c.stateA.clear(), c.stateB.clear();
      const Result both = compute(*backend, Binary::kMultiply, c, false);
      Buffer<float> a(*backend, c.a), b(*backend, c.b), g(*backend, c.gradient),
          da(*backend, std::int64_t(c.a.size()), 5.0f), db(*backend, std::int64_t(c.b.size()), 5.0f);
      BinaryBackward r;
      r.kind = Binary::kMultiply, r.shape = c.shape, r.batch = c.batch, r.operand = c.operand;
      r.a = a.get(), r.b = b.get(), r.gradOutput = g.get();
      r.gradA = da.get();
      backend->run(r);
      CHECK(sameBits(da.values(), both.gradA));
      r.gradA = nullptr, r.gradB = db.get();
      backend->run(r);
      CHECK(sameBits(db.values(), both.gradB));
    }
}

TEST_CASE("arithmetic: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(74);
  for (Binary kind : kKinds)
    for (const Operand& operand : operands()) {
      const Case c = randomCase(random, kind, operand);
      auto loss = [&](const std::vector<float>& a, const std::vector<float>& b) {
        Case moved = c;
        moved.a = a, moved.b = b;
        std::vector<float> y = compute(*reference, kind, moved, false).output;
        for (std::size_t i = 0; i < y.size(); i++) y[i] = y[i] == 5 ? 0 : y[i];  // what is not written
        return dot(y, c.gradient);
      };
      const Result r = compute(*reference, kind, c, false);
      const Shape second = operand.of(c.shape);
      auto anyA = belongsTo(c.shape, c.batch, c.stateA);
      auto anyB = [&](std::size_t i) {
        if (!operand.plain) return belongsTo(second, c.batch, c.stateB)(i);
        return c.stateB.empty() || c.stateB[i / std::size_t(second.pixels())] != kZero;
      };
      checkGradient(
          random, c.a, r.gradA, [&](const auto& v) { return loss(v, c.b); }, 5e-3, anyA);
      checkGradient(
          random, c.b, r.gradB, [&](const auto& v) { return loss(c.a, v); }, 5e-3, anyB);
    }
}

TEST_CASE("a backend says that it has the operations that it has") {
  for (auto& backend : testedBackends())
    for (const char* operation : {"BinaryForward", "BinaryBackward", "Conv2dForward", "PositionCrossEntropy"})
      CHECK(backend->supports(operation));
}

TEST_CASE("states of products, through functions and through layer norms") {
  for (auto& backend : testedBackends()) {
    const std::vector<std::int32_t> a{kLive, kLive, kLive, kConstant, kConstant, kConstant, kZero, kZero, kZero},
        b{kLive, kConstant, kZero, kLive, kConstant, kZero, kLive, kConstant, kZero};
    Buffer<std::int32_t> stateA(*backend, a), stateB(*backend, b), out(*backend, 9, 7);
    backend->run(StateOfProduct{9, stateA.get(), stateB.get(), false, out.get()});
    CHECK(out.values() == std::vector<std::int32_t>{kLive, kLive, kZero, kLive, kConstant, kZero, kZero, kZero, kZero});
    backend->run(StateOfProduct{9, stateA.get(), stateB.get(), true, out.get()});
    CHECK(out.values() == std::vector<std::int32_t>{kLive, kLive, kLive, kLive, kLive, kLive, kZero, kZero, kZero});
    backend->run(StateThroughActivation{9, true, stateA.get(), out.get()});
    CHECK(out.values() == a);
    backend->run(StateThroughActivation{9, false, stateA.get(), out.get()});
    CHECK(out.values() == std::vector<std::int32_t>{kLive, kLive, kLive, kConstant, kConstant, kConstant, kConstant,
                                                    kConstant, kConstant});
    Buffer<std::int32_t> five(*backend, {kZero, kZero, kZero, kConstant, kLive}), through(*backend, 5, 7);
    Buffer<float> weight(*backend, {0.0f, 1.0f, 0.0f, 0.0f, 0.0f}), bias(*backend, {0.0f, 0.0f, 1.0f, 0.0f, 0.0f});
    auto states = [&](bool rms, const float* w, const float* shift) {
      backend->run(StateThroughLayerNorm{5, rms, five.get(), w, shift, through.get()});
      return through.values();
    };
    CHECK(states(false, weight.get(), bias.get()) == std::vector<std::int32_t>{kZero, kLive, kLive, kLive, kLive});
    CHECK(states(false, nullptr, nullptr) == std::vector<std::int32_t>{kLive, kLive, kLive, kLive, kLive});
    CHECK(states(true, weight.get(), bias.get()) == std::vector<std::int32_t>{kZero, kZero, kConstant, kLive, kLive});
    CHECK(states(true, nullptr, nullptr) == std::vector<std::int32_t>{kZero, kZero, kZero, kLive, kLive});
  }
}
