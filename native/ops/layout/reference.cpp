// Windows, padding, channels by index, depth to space, transposition, sums over channels.
#include <vector>

#include "ops/states/states.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

bool isZero(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }

// A source: zeros where its channel is kZero.
struct From {
  const float* data;
  Shape shape;
  const std::int32_t* state;
  float at(int n, int c, int y, int x) const { return isZero(state, c) ? 0.0f : data[laneOffset(shape, n, c, y, x)]; }
};

// visit(n, c, y, x) for every element of a tensor whose channel is not kZero, padding lanes included.
template <class Visit>
void forTarget(Shape shape, int batch, const std::int32_t* state, Visit visit) {
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int y = 0; y < shape.height && !isZero(state, c); y++)
        for (int x = 0; x < shape.width; x++) visit(n, c, y, x);
}

void writeSums(Shape shape, int batch, const std::int32_t* state, const std::vector<double>& sums, float* to) {
  forTarget(shape, batch, state, [&](int n, int c, int y, int x) {
    const std::size_t i = laneOffset(shape, n, c, y, x);
    to[i] = float(sums[i]);
  });
}

}  // namespace

void ReferenceBackend::run(const CopyWindow& a) {
  const From from{a.source, a.input, a.sourceState};
  forTarget({a.channels, a.height, a.width}, a.batch, nullptr, [&](int n, int c, int y, int x) {
    if (isZero(a.targetState, a.outChannel + c)) return;
    float& to = a.target[laneOffset(a.output, n, a.outChannel + c, a.outTop + y, a.outLeft + x)];
    const float v = from.at(n, a.inChannel + c, a.inTop + y, a.inLeft + x);
    to = a.accumulate ? to + v : v;
  });
}

void ReferenceBackend::run(const PadForward& a) {
  const PadGeometry& g = a.geometry;
  const From from{a.input, g.input, a.inputState};
  forTarget(g.output(), a.batch, a.outputState, [&](int n, int c, int y, int x) {
    const int row = padSource(g.mode, y, g.top, g.input.height), column = padSource(g.mode, x, g.left, g.input.width);
    a.output[laneOffset(g.output(), n, c, y, x)] = row < 0 || column < 0 ? g.value : from.at(n, c, row, column);
  });
}

void ReferenceBackend::run(const PadBackward& a) {
  const PadGeometry& g = a.geometry;
  std::vector<double> sums(std::size_t(laneElements(g.input, a.batch)));
  forTarget(g.output(), a.batch, a.outputState, [&](int n, int c, int y, int x) {
    const int row = padSource(g.mode, y, g.top, g.input.height), column = padSource(g.mode, x, g.left, g.input.width);
    if (row < 0 || column < 0) return;
    sums[laneOffset(g.input, n, c, row, column)] += double(a.gradOutput[laneOffset(g.output(), n, c, y, x)]);
  });
  writeSums(g.input, a.batch, a.inputState, sums, a.gradInput);
}

void ReferenceBackend::run(const GatherChannels& a) {
  const From from{a.source, a.input, a.inputState};
  const Shape out{a.channels, a.input.height, a.input.width};
  forTarget(out, a.batch, a.outputState, [&](int n, int c, int y, int x) {
    a.output[laneOffset(out, n, c, y, x)] = a.index[c] < 0 ? 0.0f : from.at(n, a.index[c], y, x);
  });
}

void ReferenceBackend::run(const GatherChannelsBackward& a) {
  const Shape out{a.channels, a.input.height, a.input.width};
  std::vector<double> sums(std::size_t(laneElements(a.input, a.batch)));
  forTarget(out, a.batch, a.outputState, [&](int n, int c, int y, int x) {
    if (a.index[c] >= 0)
      sums[laneOffset(a.input, n, a.index[c], y, x)] += double(a.gradOutput[laneOffset(out, n, c, y, x)]);
  });
  writeSums(a.input, a.batch, a.inputState, sums, a.gradInput);
}

void ReferenceBackend::run(const DepthToSpace& a) {
  const From from{a.source, a.inverse ? a.wide() : a.deep, a.sourceState};
  forTarget(a.deep, a.batch, nullptr, [&](int n, int c, int y, int x) {
    const DepthPlace to = depthPlace(a, c);
    const int row = y * a.size + to.row, column = x * a.size + to.column;
    if (a.inverse) {
      if (!isZero(a.targetState, c)) a.target[laneOffset(a.deep, n, c, y, x)] = from.at(n, to.channel, row, column);
    } else if (!isZero(a.targetState, to.channel)) {
      a.target[laneOffset(a.wide(), n, to.channel, row, column)] = from.at(n, c, y, x);
    }
  });
}

void ReferenceBackend::run(const Transpose& a) {
  const From from{a.source, {a.input.channels, 1, a.input.pixels()}, a.sourceState};
  const Shape out{a.input.pixels(), 1, a.input.channels};
  forTarget(out, a.batch, a.targetState,
            [&](int n, int c, int, int t) { a.target[laneOffset(out, n, c, 0, t)] = from.at(n, t, 0, c); });
}

void ReferenceBackend::run(const ChannelSum& a) {
  const From from{a.source, a.input, a.inputState};
  const Shape out{1, a.input.height, a.input.width};
  forTarget(out, a.batch, nullptr, [&](int n, int, int y, int x) {
    double sum = 0;
    for (int c = 0; c < a.input.channels; c++) sum += double(from.at(n, c, y, x));
    a.output[laneOffset(out, n, 0, y, x)] = float(double(a.factor) * sum);
  });
}

void ReferenceBackend::run(const ChannelSumBackward& a) {
  forTarget(a.input, a.batch, a.inputState, [&](int n, int c, int y, int x) {
    a.gradInput[laneOffset(a.input, n, c, y, x)] =
        a.factor * a.gradOutput[laneOffset({1, a.input.height, a.input.width}, n, 0, y, x)];
  });
}

void ReferenceBackend::run(const StateJoin& a) { stateJoin(a); }

}  // namespace selfcompress
