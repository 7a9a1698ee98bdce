// Attention and rotary positions: every instruction set against the reference, gradients against finite differences,
// and the reference against values of another implementation.
#include <limits>

#include "test/finite_differences.h"

using namespace test;

namespace {

std::vector<std::int32_t> randomStates(Random& random, int channels, double zero) {
  std::vector<std::int32_t> states;
  for (int c = 0; c < channels; c++)
    states.push_back(random.chance(zero) ? kZero : random.chance(0.2) ? kConstant : kLive);
  return states;
}

// Heads of random sizes, with channels between them that belong to none.
struct Problem {
  AttentionGeometry g;
  int queryHeads, keyHeads, batch;
  std::vector<std::int32_t> queryFirst, outputFirst, keyFirst, headSize, valueFirst, valueSize;
  std::vector<std::int32_t> queryState, keyState, valueState, outputState;

  Problem(Random& random, int largest, int mostPositions) {
    keyHeads = random.integer(1, 3), queryHeads = keyHeads * random.integer(1, 3), batch = random.integer(1, 40);
    for (int k = 0; k < keyHeads; k++) {
      headSize.push_back(random.integer(0, largest)), valueSize.push_back(random.integer(0, largest));
      keyFirst.push_back(g.keyChannels += random.integer(0, 1)), g.keyChannels += headSize.back();
      valueFirst.push_back(g.valueChannels += random.integer(0, 1)), g.valueChannels += valueSize.back();
    }
    for (int h = 0; h < queryHeads; h++) {
      const std::size_t k = std::size_t(h / (queryHeads / keyHeads));
      queryFirst.push_back(g.queryChannels += random.integer(0, 1)), g.queryChannels += headSize[k];
      outputFirst.push_back(g.outputChannels += random.integer(0, 1)), g.outputChannels += valueSize[k];
    }
    g.queries = random.integer(1, mostPositions),
    g.keys = random.chance(0.5) ? g.queries : random.integer(1, mostPositions);
    g.causal = random.chance(0.5), g.scale = random.real(0.1f, 1.0f);
    const double zero = random.chance(0.5) ? 0.3 : 0;
    queryState = randomStates(random, g.queryChannels, zero), keyState = randomStates(random, g.keyChannels, zero);
    valueState = randomStates(random, g.valueChannels, zero),
    outputState = randomStates(random, g.outputChannels, zero);
  }
};

// The arrays of a problem on a backend.
struct OnBackend {
  Buffer<std::int32_t> queryFirst, outputFirst, keyFirst, headSize, valueFirst, valueSize, q, k, v, o;
  AttentionHeads heads;
  AttentionStates states;
  OnBackend(Backend& b, const Problem& p, bool withStates)
      : queryFirst(b, p.queryFirst),
        outputFirst(b, p.outputFirst),
        keyFirst(b, p.keyFirst),
        headSize(b, p.headSize),
        valueFirst(b, p.valueFirst),
        valueSize(b, p.valueSize),
        q(b, p.queryState),
        k(b, p.keyState),
        v(b, p.valueState),
        o(b, p.outputState),
        heads{p.queryHeads,   p.keyHeads,     queryFirst.get(), outputFirst.get(),
              keyFirst.get(), headSize.get(), valueFirst.get(), valueSize.get()} {
    if (withStates) states = {q.get(), k.get(), v.get(), o.get()};
  }
};

std::vector<float> withNan(std::vector<float> values, const std::vector<std::int32_t>& state, Shape shape, int batch) {
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int t = 0; t < shape.width && state[std::size_t(c)] == kZero; t++)
        values[laneOffset(shape, n, c, 0, t)] = std::numeric_limits<float>::quiet_NaN();
  return values;
}

std::vector<float> attend(Backend& b, const Problem& p, Random& random, bool withStates) {
  OnBackend arrays(b, p, withStates);
  auto tensor = [&](Shape s, const std::vector<std::int32_t>& state) {
    auto values = random.reals(laneElements(s, p.batch), -2, 2);
    return withStates ? withNan(values, state, s, p.batch) : values;  // what is zero is not read
  };
  Buffer<float> q(b, tensor(p.g.query(), p.queryState)), k(b, tensor(p.g.key(), p.keyState)),
      v(b, tensor(p.g.value(), p.valueState)), y(b, laneElements(p.g.output(), p.batch), 5.0f);
  b.run(AttentionForward{p.g, arrays.heads, p.batch, q.get(), k.get(), v.get(), arrays.states, y.get()});
  return y.values();
}

std::vector<float> attendBack(Backend& b, const Problem& p, Random& random, bool withStates, int which) {
  OnBackend arrays(b, p, withStates);
  auto tensor = [&](Shape s, const std::vector<std::int32_t>& state) {
    auto values = random.reals(laneElements(s, p.batch), -2, 2);
    return withStates ? withNan(values, state, s, p.batch) : values;
  };
  auto gradient = tensor(p.g.output(), p.outputState);
  for (int n = p.batch; n < blocksOf(p.batch) * kLanes; n++)
    for (int c = 0; c < p.g.outputChannels; c++)
      for (int t = 0; t < p.g.queries; t++) gradient[laneOffset(p.g.output(), n, c, 0, t)] = 0;
  Buffer<float> q(b, tensor(p.g.query(), p.queryState)), k(b, tensor(p.g.key(), p.keyState)),
      v(b, tensor(p.g.value(), p.valueState)), dy(b, gradient), dq(b, laneElements(p.g.query(), p.batch), 5.0f),
      dk(b, laneElements(p.g.key(), p.batch), 5.0f), dv(b, laneElements(p.g.value(), p.batch), 5.0f);
  b.run(AttentionBackward{p.g, arrays.heads, p.batch, q.get(), k.get(), v.get(), dy.get(), arrays.states, dq.get(),
                          dk.get(), dv.get()});
  return which == 0 ? dq.values() : which == 1 ? dk.values() : dv.values();
}

}  // namespace

TEST_CASE("attention forward against the reference") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(40); trial++) {
      CAPTURE(backend->name());
      CAPTURE(trial);
      auto run = [&](Backend& b) {
        Random random(500 + std::uint64_t(trial));
        Problem problem(random, trial % 4 ? 7 : 20, trial % 4 ? 11 : 40);
        return attend(b, problem, random, random.chance(0.6));
      };
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= 3e-6);
    }
}

TEST_CASE("attention backward against the reference") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(40); trial++)
      for (int which = 0; which < 3; which++) {
        CAPTURE(backend->name());
        CAPTURE(trial);
        CAPTURE(which);
        auto run = [&](Backend& b) {
          Random random(900 + std::uint64_t(trial));
          Problem problem(random, trial % 4 ? 7 : 20, trial % 4 ? 11 : 40);
          return attendBack(b, problem, random, random.chance(0.6), which);
        };
        CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= 1e-5);
      }
}

TEST_CASE("attention of many keys, and of many queries: long rows and columns of scores") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (auto [queries, keys] : {std::pair{5, 150}, {3, 1100}, {600, 5}}) {
      CAPTURE(backend->name());
      CAPTURE(keys);
      for (int which = -1; which < 3; which++) {
        auto run = [&](Backend& b) {
          Random random(7);
          Problem p(random, 3, 4);
          p.g.keys = keys, p.g.queries = queries, p.g.causal = keys > queries, p.batch = 3;
          return which < 0 ? attend(b, p, random, false) : attendBack(b, p, random, false, which);
        };
        CHECK(difference(run(*backend), run(*reference)) <= 1e-5);
      }
    }
}

TEST_CASE("attention: values that are not finite stay with their image") {
  for (auto& backend : testedBackends()) {
    Random random(3);
    AttentionGeometry g{4, 4, 4, 4, 6, 6, 0.5f, false};
    const int batch = 16;
    Buffer<std::int32_t> first(*backend, std::vector<std::int32_t>{0}), size(*backend, std::vector<std::int32_t>{4});
    AttentionHeads heads{1, 1, first.get(), first.get(), first.get(), size.get(), first.get(), size.get()};
    auto values = random.reals(laneElements(g.query(), batch));
    values[laneOffset(g.query(), 5, 1, 0, 2)] = std::numeric_limits<float>::quiet_NaN();
    values[laneOffset(g.query(), 6, 1, 0, 2)] = std::numeric_limits<float>::infinity();
    Buffer<float> q(*backend, values), k(*backend, random.reals(laneElements(g.key(), batch))),
        v(*backend, random.reals(laneElements(g.value(), batch))), y(*backend, laneElements(g.output(), batch), 0.0f);
    backend->run(AttentionForward{g, heads, batch, q.get(), k.get(), v.get(), {}, y.get()});
    const auto out = y.values();
    for (int n = 0; n < batch; n++)
      for (int c = 0; c < 4; c++)
        for (int t = 0; t < 6; t++)
          CHECK(std::isnan(out[laneOffset(g.output(), n, c, 0, t)]) == ((n == 5 || n == 6) && t == 2));
  }
}

TEST_CASE("attention: gradients against finite differences") {
  auto reference = makeReferenceBackend();
  for (int trial = 0; trial < 12; trial++) {
    CAPTURE(trial);
    Random random(40 + std::uint64_t(trial));
    Problem p(random, 4, 5);
    p.batch = 2;
    OnBackend arrays(*reference, p, trial % 2);
    auto q = random.reals(laneElements(p.g.query(), p.batch)), k = random.reals(laneElements(p.g.key(), p.batch)),
         v = random.reals(laneElements(p.g.value(), p.batch)), w = random.reals(laneElements(p.g.output(), p.batch));
    for (std::size_t i = 0; i < w.size(); i++)
      if (int(i % kLanes) >= p.batch) w[i] = 0;
    auto loss = [&] {
      Buffer<float> bq(*reference, q), bk(*reference, k), bv(*reference, v),
          y(*reference, std::int64_t(w.size()), 0.0f);
      reference->run(
          AttentionForward{p.g, arrays.heads, p.batch, bq.get(), bk.get(), bv.get(), arrays.states, y.get()});
      double sum = 0;
      auto out = y.values();
      for (std::size_t i = 0; i < out.size(); i++) sum += double(out[i]) * double(w[i]);
      return sum;
    };
    Buffer<float> bq(*reference, q), bk(*reference, k), bv(*reference, v), bw(*reference, w),
        dq(*reference, std::int64_t(q.size()), 0.0f), dk(*reference, std::int64_t(k.size()), 0.0f),
        dv(*reference, std::int64_t(v.size()), 0.0f);
    reference->run(AttentionBackward{p.g, arrays.heads, p.batch, bq.get(), bk.get(), bv.get(), bw.get(), arrays.states,
                                     dq.get(), dk.get(), dv.get()});
    auto compare = [&](std::vector<float>& values, const std::vector<float>& gradient) {
      checkSlopes(values, gradient, 40, 1.0f / 64, 2e-3, loss);
    };
    compare(q, dq.values()), compare(k, dk.values()), compare(v, dv.values());
  }
}

TEST_CASE("rotary positions against the reference, in place too") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(40); trial++) {
      CAPTURE(backend->name());
      CAPTURE(trial);
      auto run = [&](Backend& b) {
        Random random(60 + std::uint64_t(trial));
        const Shape s{random.integer(1, 12), 1, random.integer(1, 30)};
        const int batch = random.integer(1, 40);
        std::vector<std::int32_t> first, second;
        std::vector<float> frequency;
        for (int c = 0; c < s.channels; c++) {
          const bool pair = c + 1 < s.channels && random.chance(0.7);
          first.push_back(pair ? c + 1 : c), second.push_back(pair ? c : -1), frequency.push_back(random.real(0, 1.5f));
          c += pair;
        }
        auto state = randomStates(random, s.channels, 0.2);
        Buffer<std::int32_t> f(b, first), g(b, second), in(b, state), out(b, randomStates(random, s.channels, 0.2));
        Buffer<float> w(b, frequency), x(b, withNan(random.reals(laneElements(s, batch)), state, s, batch)),
            y(b, laneElements(s, batch), 5.0f);
        b.run(Rotary{s, batch, int(first.size()), f.get(), g.get(), w.get(), random.integer(0, 1000),
                     random.chance(0.5), x.get(), in.get(), out.get(), trial % 2 ? x.get() : y.get()});
        return trial % 2 ? x.values() : y.values();
      };
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= 1e-6);
    }
}

TEST_CASE("rotary positions: turned back is where it was, and scores depend on the distance alone") {
  auto reference = makeReferenceBackend();
  const Shape s{2, 1, 9};
  Random random(5);
  const auto values = random.reals(laneElements(s, 1));
  Buffer<std::int32_t> first(*reference, std::vector<std::int32_t>{0}),
      second(*reference, std::vector<std::int32_t>{1});
  Buffer<float> frequency(*reference, 1, 0.3f), x(*reference, values), y(*reference, laneElements(s, 1), 0.0f),
      z(*reference, laneElements(s, 1), 0.0f);
  Rotary turn{s, 1, 1, first.get(), second.get(), frequency.get(), 4, false, x.get(), nullptr, nullptr, y.get()};
  reference->run(turn);
  turn.inverse = true, turn.input = y.get(), turn.output = z.get();
  reference->run(turn);
  CHECK(difference(z.values(), values) < 1e-6);
  Buffer<float> same(*reference, laneElements(s, 1), 1.0f), turned(*reference, laneElements(s, 1), 0.0f);
  turn.inverse = false, turn.input = same.get(), turn.output = turned.get();
  reference->run(turn);
  const auto t = turned.values();
  auto dot = [&](int i, int j) {
    double sum = 0;
    for (int c = 0; c < 2; c++) sum += double(t[laneOffset(s, 0, c, 0, i)]) * double(t[laneOffset(s, 0, c, 0, j)]);
    return sum;
  };
  for (int i = 0; i + 3 < 9; i++) CHECK(dot(i, i + 3) == doctest::Approx(2 * std::cos(0.9)).epsilon(1e-5));
}
