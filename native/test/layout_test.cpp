// Operations that move elements, and resizing: every instruction set against the reference; the reference against small
// cases by hand; gradients as adjoints of forward.
#include <limits>

#include "test/support.h"

using namespace test;

namespace {

std::vector<std::int32_t> randomStates(Random& random, int channels) {
  std::vector<std::int32_t> states;
  for (int c = 0; c < channels; c++)
    states.push_back(random.chance(0.3) ? kZero : random.chance(0.2) ? kConstant : kLive);
  return states;
}

// A tensor of a backend with states; what is kZero is NaN, since it is not read.
struct Tensor {
  Shape shape;
  std::vector<std::int32_t> states;
  Buffer<std::int32_t> stateBuffer;
  Buffer<float> buffer;
  Tensor(Backend& b, Random& random, Shape s, int batch, bool withStates)
      : shape(s),
        states(withStates ? randomStates(random, s.channels) : std::vector<std::int32_t>(std::size_t(s.channels))),
        stateBuffer(b, states),
        buffer(b, valuesOf(random, batch)) {}
  const std::int32_t* state() { return stateBuffer.get(); }
  float* get() { return buffer.get(); }

 private:
  std::vector<float> valuesOf(Random& random, int batch) {
    auto values = random.reals(laneElements(shape, batch));
    for (int n = 0; n < blocksOf(batch) * kLanes; n++)
      for (int c = 0; c < shape.channels; c++)
        for (int p = 0; p < shape.pixels() && states[std::size_t(c)] == kZero; p++)
          values[laneOffset(shape, n, c, 0, p)] = std::numeric_limits<float>::quiet_NaN();
    return values;
  }
};

template <class Compute>
void agrees(std::uint64_t seed, int trials, double tolerance, Compute compute) {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(trials); trial++) {
      CAPTURE(backend->name());
      CAPTURE(trial);
      auto run = [&](Backend& b) {
        Random random(seed * 1000 + std::uint64_t(trial));
        return compute(b, random);
      };
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) <= tolerance);
    }
}

// forward(input, output) is linear and backward(gradOutput, gradInput) its gradient: <forward(x), w> = <x,
// backward(w)>.
template <class Forward, class Backward>
void isAdjoint(Random& random, Shape in, Shape out, int batch, Forward forward, Backward backward) {
  auto b = makeReferenceBackend();
  auto zeroPadded = [&](Shape s) {
    auto values = random.reals(laneElements(s, batch));
    for (std::size_t i = 0; i < values.size(); i++)
      if (int(i / (std::size_t(s.elements()) * kLanes)) * kLanes + int(i % kLanes) >= batch) values[i] = 0;
    return values;
  };
  const auto x = zeroPadded(in), w = zeroPadded(out);
  Buffer<float> bx(*b, x), bw(*b, w), y(*b, laneElements(out, batch), 0.0f), g(*b, laneElements(in, batch), 0.0f);
  forward(*b, bx.get(), y.get());
  backward(*b, bw.get(), g.get());
  double left = 0, right = 0;
  const auto yv = y.values(), gv = g.values();
  for (std::size_t i = 0; i < w.size(); i++) left += double(yv[i]) * double(w[i]);
  for (std::size_t i = 0; i < x.size(); i++) right += double(gv[i]) * double(x[i]);
  CHECK(left == doctest::Approx(right).epsilon(1e-5));
}

PadGeometry randomPad(Random& random) {
  PadGeometry g;
  g.input = {random.integer(1, 5), random.integer(1, 6), random.integer(1, 6)};
  g.top = random.integer(0, 3), g.bottom = random.integer(0, 3), g.left = random.integer(0, 3),
  g.right = random.integer(0, 9);
  g.mode = PadMode(random.integer(0, 3));
  return g;
}

ResizeGeometry randomResize(Random& random) {
  ResizeGeometry g;
  g.input = {random.integer(1, 5), random.integer(1, 7), random.integer(1, 7)};
  g.outHeight = random.integer(1, 15), g.outWidth = random.integer(1, 15);
  if (random.chance(0.3)) g.scaleH = double(random.real(0.3f, 3.0f)), g.scaleW = double(random.real(0.3f, 3.0f));
  g.mode = ResizeMode(random.integer(0, 1));
  g.coordinates = ResizeCoordinates(random.integer(0, 2));
  g.rounding = ResizeRounding(random.integer(0, 3));
  return g;
}

// The first row of one image of one channel, after `run(backend, input, output)`.
template <class Run>
std::vector<float> rowOf(const std::vector<float>& row, int width, Run run) {
  auto b = makeReferenceBackend();
  std::vector<float> lanes(row.size() * kLanes);
  for (std::size_t i = 0; i < row.size(); i++) lanes[i * kLanes] = row[i];
  Buffer<float> x(*b, lanes), y(*b, std::int64_t(width) * kLanes, 0.0f);
  run(*b, x.get(), y.get());
  std::vector<float> result;
  for (int i = 0; i < width; i++) result.push_back(y.values()[std::size_t(i) * kLanes]);
  return result;
}

}  // namespace

TEST_CASE("windows: slices, crops and concatenation along every axis") {
  agrees(21, 60, 0, [](Backend& b, Random& random) {
    const Shape in{random.integer(1, 6), random.integer(1, 6), random.integer(1, 6)},
        out{random.integer(1, 6), random.integer(1, 6), random.integer(1, 6)};
    const int batch = random.integer(1, 40);
    CopyWindow a;
    a.input = in, a.output = out, a.batch = batch, a.accumulate = random.chance(0.5);
    a.channels = random.integer(1, std::min(in.channels, out.channels));
    a.height = random.integer(1, std::min(in.height, out.height)),
    a.width = random.integer(1, std::min(in.width, out.width));
    a.inChannel = random.integer(0, in.channels - a.channels),
    a.outChannel = random.integer(0, out.channels - a.channels);
    a.inTop = random.integer(0, in.height - a.height), a.outTop = random.integer(0, out.height - a.height);
    a.inLeft = random.integer(0, in.width - a.width), a.outLeft = random.integer(0, out.width - a.width);
    const bool states = random.chance(0.5);
    Tensor from(b, random, in, batch, states), to(b, random, out, batch, states);
    a.source = from.get(), a.target = to.get(), a.sourceState = from.state(), a.targetState = to.state();
    b.run(a);
    return to.buffer.values();
  });
}

TEST_CASE("padding forward and backward") {
  for (bool backward : {false, true})
    agrees(22, 80, backward ? 2e-6 : 0, [&](Backend& b, Random& random) {
      PadGeometry g = randomPad(random);
      g.value = random.real(-1, 1);
      const int batch = random.integer(1, 40);
      const bool states = random.chance(0.5);
      Tensor in(b, random, g.input, batch, states), out(b, random, g.output(), batch, states);
      if (backward) b.run(PadBackward{g, batch, out.get(), in.state(), out.state(), in.get()});
      else b.run(PadForward{g, batch, in.get(), in.state(), out.state(), out.get()});
      return (backward ? in : out).buffer.values();
    });
  Random random(1);
  for (int trial = 0; trial < 20; trial++) {
    PadGeometry g = randomPad(random);
    isAdjoint(
        random, g.input, g.output(), 3,
        [&](Backend& b, const float* x, float* y) {
          b.run(PadForward{g, 3, x, nullptr, nullptr, y});
        },
        [&](Backend& b, const float* w, float* d) {
          b.run(PadBackward{g, 3, w, nullptr, nullptr, d});
        });
  }
}

TEST_CASE("padding: each mode by hand") {
  auto padded = [](PadMode mode) {
    PadGeometry g{{1, 1, 3}, 0, 0, 2, 4, mode, 9};
    return rowOf({1, 2, 3}, 9, [&](Backend& b, const float* x, float* y) {
      b.run(PadForward{g, 1, x, nullptr, nullptr, y});
    });
  };
  CHECK(padded(PadMode::kConstant) == std::vector<float>{9, 9, 1, 2, 3, 9, 9, 9, 9});
  CHECK(padded(PadMode::kReflect) == std::vector<float>{3, 2, 1, 2, 3, 2, 1, 2, 3});
  CHECK(padded(PadMode::kEdge) == std::vector<float>{1, 1, 1, 2, 3, 3, 3, 3, 3});
  CHECK(padded(PadMode::kWrap) == std::vector<float>{2, 3, 1, 2, 3, 1, 2, 3, 1});
}

TEST_CASE("resizing forward and backward") {
  for (bool backward : {false, true})
    agrees(23, 100, 2e-6, [&](Backend& b, Random& random) {
      const ResizeGeometry g = randomResize(random);
      const int batch = random.integer(1, 40);
      Tensor in(b, random, g.input, batch, random.chance(0.5));
      Buffer<float> out(b, backward ? random.reals(laneElements(g.output(), batch))
                                    : std::vector<float>(std::size_t(laneElements(g.output(), batch)), 5.0f));
      if (!backward) {
        b.run(ResizeForward{g, batch, in.get(), in.state(), out.get()});
        return out.values();
      }
      b.run(ResizeBackward{g, batch, out.get(), in.state(), in.get()});
      return in.buffer.values();
    });
  Random random(2);
  for (int trial = 0; trial < 30; trial++) {
    const ResizeGeometry g = randomResize(random);
    isAdjoint(
        random, g.input, g.output(), 3,
        [&](Backend& b, const float* x, float* y) {
          b.run(ResizeForward{g, 3, x, nullptr, y});
        },
        [&](Backend& b, const float* w, float* d) {
          b.run(ResizeBackward{g, 3, w, nullptr, d});
        });
  }
}

TEST_CASE("resizing: what PyTorch gives") {
  auto resized = [](int width, ResizeMode mode, ResizeCoordinates coordinates, ResizeRounding rounding) {
    ResizeGeometry g{{1, 1, 4}, 1, width, 0, 0, mode, coordinates, rounding};
    return rowOf({0, 1, 2, 3}, width, [&](Backend& b, const float* x, float* y) {
      b.run(ResizeForward{g, 1, x, nullptr, y});
    });
  };
  using C = ResizeCoordinates;
  using R = ResizeRounding;
  // interpolate(mode="nearest"), "nearest-exact", "linear", "linear" with align_corners
  CHECK(resized(6, ResizeMode::kNearest, C::kAsymmetric, R::kFloor) == std::vector<float>{0, 0, 1, 2, 2, 3});
  CHECK(resized(6, ResizeMode::kNearest, C::kHalfPixel, R::kHalfUp) == std::vector<float>{0, 1, 1, 2, 3, 3});
  CHECK(resized(8, ResizeMode::kLinear, C::kHalfPixel, R::kFloor) ==
        std::vector<float>{0, 0.25f, 0.75f, 1.25f, 1.75f, 2.25f, 2.75f, 3});
  CHECK(resized(7, ResizeMode::kLinear, C::kAlignCorners, R::kFloor) ==
        std::vector<float>{0, 0.5f, 1, 1.5f, 2, 2.5f, 3});
}

TEST_CASE("channels by index forward and backward") {
  for (bool backward : {false, true})
    agrees(24, 60, backward ? 1e-6 : 0, [&](Backend& b, Random& random) {
      const Shape in{random.integer(1, 6), random.integer(1, 4), random.integer(1, 4)};
      Shape out = in;
      out.channels = random.integer(1, 9);
      std::vector<std::int32_t> index;
      for (int c = 0; c < out.channels; c++) index.push_back(random.integer(-1, in.channels - 1));
      const int batch = random.integer(1, 40);
      const bool states = random.chance(0.5);
      Buffer<std::int32_t> list(b, index);
      Tensor x(b, random, in, batch, states), y(b, random, out, batch, states);
      if (backward)
        b.run(GatherChannelsBackward{in, out.channels, batch, list.get(), y.get(), x.state(), y.state(), x.get()});
      else b.run(GatherChannels{in, out.channels, batch, list.get(), x.get(), x.state(), y.state(), y.get()});
      return (backward ? x : y).buffer.values();
    });
  Random random(3);
  auto b = makeReferenceBackend();
  Buffer<std::int32_t> index(*b, std::vector<std::int32_t>{2, 0, -1, 2});
  isAdjoint(
      random, {3, 2, 2}, {4, 2, 2}, 3,
      [&](Backend& r, const float* x, float* y) {
        r.run(GatherChannels{{3, 2, 2}, 4, 3, index.get(), x, nullptr, nullptr, y});
      },
      [&](Backend& r, const float* w, float* d) {
        r.run(GatherChannelsBackward{{3, 2, 2}, 4, 3, index.get(), w, nullptr, nullptr, d});
      });
}

TEST_CASE("depth to space and back") {
  for (bool inverse : {false, true})
    agrees(25, 60, 0, [&](Backend& b, Random& random) {
      DepthToSpace a;
      a.size = random.integer(1, 3), a.inverse = inverse, a.batch = random.integer(1, 40);
      a.deep = {random.integer(1, 3) * a.size * a.size, random.integer(1, 4), random.integer(1, 4)};
      a.order = random.chance(0.5) ? DepthOrder::kBlockFirst : DepthOrder::kChannelFirst;
      const bool states = random.chance(0.5);
      Tensor deep(b, random, a.deep, a.batch, states), wide(b, random, a.wide(), a.batch, states);
      Tensor &from = inverse ? wide : deep, &to = inverse ? deep : wide;
      a.source = from.get(), a.sourceState = from.state(), a.target = to.get(), a.targetState = to.state();
      b.run(a);
      return to.buffer.values();
    });
}

TEST_CASE("depth to space: both orders by hand") {
  auto b = makeReferenceBackend();
  auto shuffled = [&](DepthOrder order) {  // two channels of 1 x 1 pixels become 2 x 2
    std::vector<float> lanes(8 * kLanes);
    for (int c = 0; c < 8; c++) lanes[std::size_t(c * kLanes)] = float(c);
    Buffer<float> x(*b, lanes), y(*b, 8 * kLanes, 0.0f);
    DepthToSpace a{{8, 1, 1}, 2, order, false, 1, x.get(), nullptr, nullptr, y.get()};
    b->run(a);
    std::vector<float> result;
    for (int i = 0; i < 8; i++) result.push_back(y.values()[std::size_t(i * kLanes)]);
    return result;
  };
  CHECK(shuffled(DepthOrder::kChannelFirst) == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(shuffled(DepthOrder::kBlockFirst) == std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7});
}

TEST_CASE("transposition of channels and positions") {
  agrees(26, 40, 0, [](Backend& b, Random& random) {
    const Shape in{random.integer(1, 6), random.integer(1, 3), random.integer(1, 6)};
    const int batch = random.integer(1, 40);
    const bool states = random.chance(0.5);
    Tensor x(b, random, in, batch, states), y(b, random, {in.pixels(), 1, in.channels}, batch, states);
    b.run(Transpose{in, batch, x.get(), x.state(), y.state(), y.get()});
    return y.buffer.values();
  });
}

TEST_CASE("sums over channels forward and backward") {
  for (bool backward : {false, true})
    agrees(27, 40, 1e-6, [&](Backend& b, Random& random) {
      const Shape in{random.integer(1, 9), random.integer(1, 9), random.integer(1, 19)}, out{1, in.height, in.width};
      const int batch = random.integer(1, 40);
      const float factor = 1.0f / float(in.channels);
      Tensor x(b, random, in, batch, true), y(b, random, out, batch, false);
      if (backward) b.run(ChannelSumBackward{in, batch, factor, y.get(), x.state(), x.get()});
      else b.run(ChannelSum{in, batch, factor, x.get(), x.state(), y.get()});
      return (backward ? x : y).buffer.values();
    });
}

TEST_CASE("means and maxima over positions are pooling with windows as large as the image or one side of it") {
  for (Pool kind : {Pool::kMax, Pool::kAverage})
    for (bool backward : {false, true})
      agrees(28, 30, 2e-6, [&](Backend& b, Random& random) {
        PoolGeometry g;
        g.input = {random.integer(1, 4), random.integer(1, 7), random.integer(1, 40)};
        g.kernelHeight = g.strideH = random.chance(0.5) ? 1 : g.input.height;
        g.kernelWidth = g.strideW = random.chance(0.5) ? 1 : g.input.width;
        const int batch = random.integer(1, 40);
        Tensor x(b, random, g.input, batch, false), y(b, random, g.output(), batch, false);
        Buffer<float> dx(b, laneElements(g.input, batch), 5.0f);
        if (!backward) {
          b.run(PoolForward{kind, g, batch, x.get(), nullptr, y.get()});
          return y.buffer.values();
        }
        b.run(PoolBackward{kind, g, batch, x.get(), y.get(), nullptr, nullptr, dx.get()});
        return dx.values();
      });
}

TEST_CASE("convolutions over sequences are those over images of height 1") {
  for (int which = 0; which < 3; which++)
    agrees(29, 30, 1e-5, [&](Backend& b, Random& random) {
      Conv2dGeometry g;
      g.inChannels = random.integer(1, 9), g.outChannels = random.integer(1, 9);
      g.kernelWidth = random.integer(1, 5), g.dilationW = random.integer(1, 2), g.strideW = random.integer(1, 2);
      g.padW = random.integer(0, 2), g.width = random.integer(g.dilationW * (g.kernelWidth - 1) + 1, 40);
      const int batch = 16 * random.integer(1, 2);
      Buffer<float> x(b, random.reals(laneElements(g.input(), batch))),
          y(b, random.reals(laneElements(g.output(), batch))), w(b, random.reals(g.weights()));
      Buffer<char> workspace(b, std::int64_t(b.conv2dWorkspace(g, batch)), char(0));
      if (which == 0) {
        b.run(Conv2dForward{g, batch, x.get(), w.get(), nullptr, false, {}, {}, nullptr, y.get(), workspace.get()});
        return y.values();
      }
      if (which == 1) {
        b.run(Conv2dGradInput{g, batch, y.get(), w.get(), {}, {}, nullptr, false, x.get(), workspace.get()});
        return x.values();
      }
      b.run(Conv2dGradWeight{g, batch, x.get(), y.get(), {}, {}, w.get(), nullptr, workspace.get()});
      return w.values();
    });
}

TEST_CASE("states of channels that are put together") {
  auto joined = [](Backend& b, bool mixed) {
    Buffer<std::int32_t> input(b, std::vector<std::int32_t>{kZero, kConstant, kLive}),
        index(b, std::vector<std::int32_t>{0, 0, 0, 1, 1, 2, -1, 0, -1, 2}), output(b, 5, std::int32_t(7));
    b.run(StateJoin{5, 2, index.get(), mixed, input.get(), output.get()});
    return output.values();
  };
  std::vector<std::unique_ptr<Backend>> backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& b : backends) {
    CHECK(joined(*b, false) == std::vector<std::int32_t>{kZero, kConstant, kLive, kZero, kLive});
    CHECK(joined(*b, true) == std::vector<std::int32_t>{kZero, kLive, kLive, kZero, kLive});
  }
}
