// Embeddings: every backend against the reference, with quantized tables, and the gradient.
#include "test/agreement.h"

using namespace test;

namespace {

struct Case {
  int dimensions, vocabulary, positions, batch;
  std::vector<std::int32_t> tokens, state;
  std::vector<float> weight, bits, exponent, gradient;
};

Case randomCase(Random& random) {
  Case c;
  c.dimensions = random.integer(1, 12), c.vocabulary = random.integer(1, 50), c.positions = random.integer(1, 20);
  c.batch = random.integer(1, 40);
  for (int i = 0; i < c.batch * c.positions; i++)
    c.tokens.push_back(random.chance(0.3) ? 0 : random.integer(0, c.vocabulary - 1));
  c.weight = random.reals(c.dimensions * c.vocabulary);
  c.bits = random.reals(c.dimensions, -1, 8), c.exponent = random.reals(c.dimensions, -8, -2);
  c.gradient = randomGradient(random, {c.dimensions, 1, c.positions}, c.batch);
  c.state = randomStates(random, c.dimensions);
  return c;
}

EmbeddingForward forwardOf(const Case& c) {
  EmbeddingForward f;
  f.dimensions = c.dimensions, f.vocabulary = c.vocabulary, f.positions = c.positions, f.batch = c.batch;
  return f;
}

}  // namespace

TEST_CASE("embedding agrees with the reference") {
  for (bool quantized : {false, true})
    allAgree(91, 60, 1e-6, [&](Backend& b, Random& random) {
      const Case c = randomCase(random);
      const Shape s{c.dimensions, 1, c.positions};
      Buffer<std::int32_t> tokens(b, c.tokens), state(b, c.state);
      Buffer<float> weight(b, c.weight), bits(b, c.bits), exponent(b, c.exponent), g(b, c.gradient),
          y(b, laneElements(s, c.batch), 5.0f), dw(b, std::int64_t(c.weight.size()), 5.0f);
      EmbeddingForward f = forwardOf(c);
      f.tokens = tokens.get(), f.weight = weight.get(), f.state = random.chance(0.5) ? state.get() : nullptr;
      if (quantized && b.quantizesInConvolution()) f.quantizer = {bits.get(), exponent.get()};
      else if (quantized)
        b.run(QuantizeForward{c.dimensions, c.vocabulary, weight.get(), bits.get(), exponent.get(), weight.get()});
      f.output = y.get();
      b.run(f);
      b.run(EmbeddingBackward{c.dimensions, c.vocabulary, c.positions, c.batch, tokens.get(), g.get(), f.state, false,
                              dw.get()});
      CHECK(paddingIsZero(y.values(), s, c.batch, f.state ? c.state : std::vector<std::int32_t>()));
      return Results{y.values(), dw.values()};
    });
}

TEST_CASE("embedding: quantized on the way is the same to the bit as from a quantized table") {
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(20) && backend->quantizesInConvolution(); trial++) {
      Random random(920 + std::uint64_t(trial));
      const Case c = randomCase(random);
      const Shape s{c.dimensions, 1, c.positions};
      Buffer<std::int32_t> tokens(*backend, c.tokens);
      Buffer<float> weight(*backend, c.weight), table(*backend, c.weight), bits(*backend, c.bits),
          exponent(*backend, c.exponent), one(*backend, laneElements(s, c.batch), 5.0f),
          other(*backend, laneElements(s, c.batch), 6.0f);
      backend->run(QuantizeForward{c.dimensions, c.vocabulary, weight.get(), bits.get(), exponent.get(), table.get()});
      EmbeddingForward f = forwardOf(c);
      f.tokens = tokens.get(), f.weight = table.get(), f.output = one.get();
      backend->run(f);
      f.weight = weight.get(), f.quantizer = {bits.get(), exponent.get()}, f.output = other.get();
      backend->run(f);
      CHECK(one.values() == other.values());  // zeros of either sign are the same
    }
}

TEST_CASE("embedding: large tables, one token everywhere, gradients that are no numbers") {
  allAgree(94, 6, 1e-6, [&](Backend& b, Random& random) {
    Case c = randomCase(random);
    c.dimensions = 2, c.vocabulary = random.integer(4097, 9000), c.positions = 30, c.batch = 33;
    c.weight = random.reals(c.dimensions * c.vocabulary), c.tokens.clear();
    for (int i = 0; i < c.batch * c.positions; i++)
      c.tokens.push_back(random.chance(0.5) ? c.vocabulary - 1 : random.integer(0, c.vocabulary - 1));
    const Shape s{2, 1, 30};
    c.gradient = randomGradient(random, s, c.batch);
    if (random.chance(0.3)) c.gradient[laneOffset(s, 3, 1, 0, 7)] = std::nanf("");
    if (random.chance(0.3)) c.gradient[laneOffset(s, 32, 0, 0, 29)] = HUGE_VALF;
    Buffer<std::int32_t> tokens(b, c.tokens);
    Buffer<float> weight(b, c.weight), g(b, c.gradient), y(b, laneElements(s, c.batch), 5.0f),
        dw(b, std::int64_t(c.weight.size()), 5.0f);
    EmbeddingForward f = forwardOf(c);
    f.tokens = tokens.get(), f.weight = weight.get(), f.output = y.get();
    b.run(f);
    b.run(EmbeddingBackward{2, c.vocabulary, 30, c.batch, tokens.get(), g.get(), nullptr, false, dw.get()});
    return Results{y.values(), dw.values()};
  });
}

TEST_CASE("embedding: the gradient against finite differences") {
  auto reference = makeReferenceBackend();
  Random random(93);
  for (int trial = 0; trial < 10; trial++) {
    const Case c = randomCase(random);
    const Shape s{c.dimensions, 1, c.positions};
    Buffer<std::int32_t> tokens(*reference, c.tokens);
    auto loss = [&](const std::vector<float>& table) {
      Buffer<float> weight(*reference, table), y(*reference, laneElements(s, c.batch), 0.0f);
      EmbeddingForward f = forwardOf(c);
      f.tokens = tokens.get(), f.weight = weight.get(), f.output = y.get();
      reference->run(f);
      return dot(y.values(), c.gradient);
    };
    Buffer<float> g(*reference, c.gradient), dw(*reference, std::int64_t(c.weight.size()), 5.0f);
    reference->run(EmbeddingBackward{c.dimensions, c.vocabulary, c.positions, c.batch, tokens.get(), g.get(), nullptr,
                                     false, dw.get()});
    checkGradient(random, c.weight, dw.values(), loss, 1e-3);
  }
}
