// LSTM and GRU: every instruction set against the reference, gradients against finite differences, and steps by hand.
#include <limits>

#include "test/finite_differences.h"

using namespace test;

namespace {

constexpr RecurrentKind kKinds[] = {RecurrentKind::kLstm, RecurrentKind::kGru, RecurrentKind::kGruResetFirst};

// Everything of one layer as host arrays; kZero units are NaN, since they are not read.
struct Layer {
  RecurrentGeometry g;
  int batch;
  bool starts, biased;
  std::vector<std::int32_t> state;
  std::vector<float> input, weight, bias, hiddenStart, cellStart, gradOutput, gradHiddenEnd, gradCellEnd;

  Layer(Random& random, RecurrentKind kind, int mostUnits, int mostPositions, int mostBatch, bool withStates) {
    g.kind = kind, g.units = random.integer(1, mostUnits), g.positions = random.integer(1, mostPositions);
    g.reverse = random.chance(0.5), batch = random.integer(1, mostBatch);
    starts = random.chance(0.6), biased = random.chance(0.7);
    for (int u = 0; u < g.units; u++) state.push_back(withStates && random.chance(0.3) ? kZero : kLive);
    weight = random.reals(std::int64_t(g.gates()) * g.units * g.units), bias = random.reals(g.gates() * g.units);
    input = tensor(random, g.input(), false), hiddenStart = tensor(random, g.state(), false);
    cellStart = tensor(random, g.state(), false), gradOutput = tensor(random, g.output(), true);
    gradHiddenEnd = tensor(random, g.state(), true), gradCellEnd = tensor(random, g.state(), true);
  }
  std::vector<float> tensor(Random& random, Shape shape, bool gradient) {
    auto values = random.reals(laneElements(shape, batch), -2, 2);
    for (int n = 0; n < blocksOf(batch) * kLanes; n++)
      for (int c = 0; c < shape.channels; c++)
        for (int t = 0; t < shape.width; t++) {
          float& v = values[laneOffset(shape, n, c, 0, t)];
          if (gradient && n >= batch) v = 0;
          if (state[std::size_t(c % g.units)] == kZero) v = std::numeric_limits<float>::quiet_NaN();
        }
    return values;
  }
};

// A layer on a backend: run forward, then backward.
struct Running {
  const Layer& l;
  Backend& b;
  Buffer<std::int32_t> state;
  Buffer<float> input, weight, bias, hiddenStart, cellStart, gradOutput, gradHiddenEnd, gradCellEnd, output, saved,
      hiddenEnd, cellEnd, gradInput, gradWeight, gradBias, gradHiddenStart, gradCellStart;
  Buffer<char> workspace;
  Running(Backend& backend, const Layer& layer)
      : l(layer),
        b(backend),
        state(b, l.state),
        input(b, l.input),
        weight(b, l.weight),
        bias(b, l.bias),
        hiddenStart(b, l.hiddenStart),
        cellStart(b, l.cellStart),
        gradOutput(b, l.gradOutput),
        gradHiddenEnd(b, l.gradHiddenEnd),
        gradCellEnd(b, l.gradCellEnd),
        output(b, count(l.g.output()), 5.0f),
        saved(b, count(l.g.saved()), 5.0f),
        hiddenEnd(b, count(l.g.state()), 5.0f),
        cellEnd(b, count(l.g.state()), 5.0f),
        gradInput(b, count(l.g.input()), 5.0f),
        gradWeight(b, std::int64_t(l.weight.size()), 5.0f),
        gradBias(b, std::int64_t(l.bias.size()), 5.0f),
        gradHiddenStart(b, count(l.g.state()), 5.0f),
        gradCellStart(b, count(l.g.state()), 5.0f),
        workspace(b, std::int64_t(b.recurrentWorkspace(l.g, l.batch)), char(0)) {}
  std::int64_t count(Shape s) const { return laneElements(s, l.batch); }
  bool lstm() const { return l.g.kind == RecurrentKind::kLstm; }
  void forward(bool save = true) {
    b.run(RecurrentForward{l.g, l.batch, input.get(), weight.get(), l.biased ? bias.get() : nullptr, state.get(),
                           l.starts ? hiddenStart.get() : nullptr, l.starts && lstm() ? cellStart.get() : nullptr,
                           output.get(), hiddenEnd.get(), lstm() ? cellEnd.get() : nullptr,
                           save ? saved.get() : nullptr});
  }
  void backward() {
    b.run(RecurrentBackward{l.g, l.batch, weight.get(), state.get(), l.starts ? hiddenStart.get() : nullptr,
                            l.starts && lstm() ? cellStart.get() : nullptr, output.get(), saved.get(), gradOutput.get(),
                            l.starts ? gradHiddenEnd.get() : nullptr, l.starts && lstm() ? gradCellEnd.get() : nullptr,
                            gradInput.get(), gradWeight.get(), l.biased ? gradBias.get() : nullptr,
                            gradHiddenStart.get(), lstm() ? gradCellStart.get() : nullptr, workspace.get()});
  }
};

}  // namespace

TEST_CASE("recurrent layers forward and backward against the reference") {
  auto reference = makeReferenceBackend();
  for (RecurrentKind kind : kKinds)
    for (auto& backend : processorBackends())
      for (int trial = 0; trial < cases(15); trial++)
        for (int which = 0; which < 8; which++) {
          CAPTURE(backend->name());
          CAPTURE(int(kind));
          CAPTURE(trial);
          CAPTURE(which);
          auto run = [&](Backend& b) {
            Random random(100 + std::uint64_t(trial));
            const Layer layer(random, kind, trial % 3 ? 6 : 23, 7, 40, trial % 2);
            Running r(b, layer);
            r.forward(which > 1 || trial % 2);
            if (which == 0) return r.output.values();
            if (which == 1) return r.lstm() ? r.cellEnd.values() : r.hiddenEnd.values();
            if (which == 2) return r.saved.values();
            r.backward();
            if (which == 3) return r.gradInput.values();
            if (which == 4) return r.gradWeight.values();
            if (which == 5) return r.gradBias.values();
            return which == 6 ? r.gradHiddenStart.values() : r.gradCellStart.values();
          };
          CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= 2e-5);
        }
}

TEST_CASE("recurrent layers: gradients against finite differences") {
  auto b = makeReferenceBackend();
  for (RecurrentKind kind : kKinds)
    for (int trial = 0; trial < 6; trial++) {
      CAPTURE(int(kind));
      CAPTURE(trial);
      Random random(20 + std::uint64_t(trial));
      Layer layer(random, kind, 3, 4, 2, false);
      layer.starts = layer.biased = true;
      auto loss = [&] {
        Running r(*b, layer);
        r.forward();
        double sum = 0;
        auto add = [&](const std::vector<float>& values, const std::vector<float>& weights) {
          for (std::size_t i = 0; i < values.size(); i++) sum += double(values[i]) * double(weights[i]);
        };
        add(r.output.values(), layer.gradOutput), add(r.hiddenEnd.values(), layer.gradHiddenEnd);
        if (r.lstm()) add(r.cellEnd.values(), layer.gradCellEnd);
        return sum;
      };
      Running r(*b, layer);
      r.forward(), r.backward();
      auto compare = [&](std::vector<float>& values, const std::vector<float>& gradient) {
        checkSlopes(values, gradient, 30, 1.0f / 128, 2e-3, loss);
      };
      compare(layer.input, r.gradInput.values()), compare(layer.weight, r.gradWeight.values());
      compare(layer.bias, r.gradBias.values()), compare(layer.hiddenStart, r.gradHiddenStart.values());
      if (r.lstm()) compare(layer.cellStart, r.gradCellStart.values());
    }
}

TEST_CASE("recurrent layers: one step by hand, in PyTorch's order of gates") {
  auto b = makeReferenceBackend();
  auto step = [&](RecurrentKind kind, std::vector<float> x, std::vector<float> w, std::vector<float> bias, float h,
                  float c) {
    RecurrentGeometry g{kind, 1, 1, false};
    std::vector<float> lanes(x.size() * kLanes);
    for (std::size_t i = 0; i < x.size(); i++) lanes[i * kLanes] = x[i];
    Buffer<float> input(*b, lanes), weight(*b, w), biases(*b, bias), hidden(*b, kLanes, h), cell(*b, kLanes, c),
        output(*b, kLanes, 0.0f);
    b->run(RecurrentForward{g, 1, input.get(), weight.get(), biases.get(), nullptr, hidden.get(),
                            kind == RecurrentKind::kLstm ? cell.get() : nullptr, output.get()});
    return double(output.values()[0]);
  };
  auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const double i = sigmoid(0.5 + 0.1 * 0.4 + 0.01), f = sigmoid(-0.3 + 0.2 * 0.4 + 0.02),
               g = std::tanh(0.8 + 0.3 * 0.4 + 0.03), o = sigmoid(1.1 - 0.4 * 0.4 + 0.04);
  CHECK(step(RecurrentKind::kLstm, {0.5f, -0.3f, 0.8f, 1.1f}, {0.1f, 0.2f, 0.3f, -0.4f}, {0.01f, 0.02f, 0.03f, 0.04f},
             0.4f, -0.7f) == doctest::Approx(o * std::tanh(f * -0.7 + i * g)).epsilon(1e-6));
  const double r = sigmoid(0.5 + 0.1 * 0.4 + 0.01), z = sigmoid(-0.3 + 0.2 * 0.4 + 0.02);
  auto gru = [&](double n) { return (1 - z) * n + z * 0.4; };
  CHECK(step(RecurrentKind::kGru, {0.5f, -0.3f, 0.8f}, {0.1f, 0.2f, 0.3f}, {0.01f, 0.02f, 0.03f}, 0.4f, 0) ==
        doctest::Approx(gru(std::tanh(0.8 + r * (0.3 * 0.4 + 0.03)))).epsilon(1e-6));
  CHECK(step(RecurrentKind::kGruResetFirst, {0.5f, -0.3f, 0.8f}, {0.1f, 0.2f, 0.3f}, {0.01f, 0.02f, 0.03f}, 0.4f, 0) ==
        doctest::Approx(gru(std::tanh(0.8 + 0.3 * r * 0.4 + 0.03))).epsilon(1e-6));
}

// On a device, which has no kernels for them.
TEST_CASE("recurrent layers are refused by name where they are missing") {
  if (!processorBackends().empty()) return;
  auto b = chosenBackend();
  std::string text;
  try {
    b->run(RecurrentForward{});
  } catch (const std::exception& error) {
    text = error.what();
  }
  CHECK(text.find("RecurrentForward") != std::string::npos);
  CHECK_FALSE(b->supports("RecurrentForward"));
  CHECK(b->supports("AttentionBackward"));
}
