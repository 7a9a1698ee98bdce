// Operations that move elements, and resizing: a task for each plane (one channel of one block of images).
#include <vector>

#include "cpu/cpu_backend.h"
#include "ops/states/states.h"

namespace selfcompress::cpu {
namespace {

bool isZero(const std::int32_t* state, int channel) { return state && state[channel] == kZero; }

// Pointer to a plane; nullptr for one that is zero.
template <class Float>
Float* planeOf(Float* data, Shape shape, const std::int32_t* state, std::int64_t block, int channel) {
  if (isZero(state, channel)) return nullptr;
  return data + (block * shape.channels + channel) * shape.pixels() * kLanes;
}

// task(block, channel) for all planes.
template <class Task>
void forPlanes(int batch, int channels, Task task) {
  parallelFor(std::int64_t(blocksOf(batch)) * channels, [&](std::int64_t i) { task(i / channels, int(i % channels)); });
}

// Where the pixels of a padded or resized plane are taken from.
class Taps {
 public:
  explicit Taps(const PadGeometry& g) {
    const Shape out = g.output();
    for (int y = 0; y < out.height; y++) rows_.push_back(copyOf(padSource(g.mode, y, g.top, g.input.height)));
    for (int x = 0; x < out.width; x++) columns_.push_back(copyOf(padSource(g.mode, x, g.left, g.input.width)));
    fill(g.input, out, false, g.value);
  }
  explicit Taps(const ResizeGeometry& g) {
    for (int y = 0; y < g.outHeight; y++) rows_.push_back(resizeRow(g, y));
    for (int x = 0; x < g.outWidth; x++) columns_.push_back(resizeColumn(g, x));
    fill(g.input, g.output(), g.mode == ResizeMode::kLinear, 0);
  }
  Taps(const Taps&) = delete;
  operator const PlaneTaps&() const { return taps_; }

 private:
  static ResizeTap copyOf(int source) { return {source, source, 0}; }
  void fill(Shape in, Shape out, bool linear, float value) {
    taps_ = {rows_.data(), columns_.data(), out.height, out.width, in.height, in.width, linear, value};
  }
  std::vector<ResizeTap> rows_, columns_;
  PlaneTaps taps_;
};

}  // namespace

void CpuBackend::run(const CopyWindow& a) {
  forPlanes(a.batch, a.channels, [&](std::int64_t n, int i) {
    const float* from = planeOf(a.source, a.input, a.sourceState, n, a.inChannel + i);
    float* to = planeOf(a.target, a.output, a.targetState, n, a.outChannel + i);
    if (!to) return;
    for (int y = 0; y < a.height; y++) {
      const std::int64_t in = std::int64_t(a.inTop + y) * a.input.width + a.inLeft,
                         out = std::int64_t(a.outTop + y) * a.output.width + a.outLeft;
      sequences_.copyRun(from ? from + in * kLanes : nullptr, kLanes, to + out * kLanes, kLanes, a.width, a.accumulate);
    }
  });
}

void CpuBackend::run(const PadForward& a) {
  const PadGeometry& g = a.geometry;
  const Taps taps(g);
  forPlanes(a.batch, g.input.channels, [&](std::int64_t n, int c) {
    if (float* to = planeOf(a.output, g.output(), a.outputState, n, c))
      sequences_.takePlane(taps, planeOf(a.input, g.input, a.inputState, n, c), to);
  });
}
void CpuBackend::run(const PadBackward& a) {
  const PadGeometry& g = a.geometry;
  const Taps taps(g);
  forPlanes(a.batch, g.input.channels, [&](std::int64_t n, int c) {
    if (float* to = planeOf(a.gradInput, g.input, a.inputState, n, c))
      sequences_.givePlane(taps, planeOf(a.gradOutput, g.output(), a.outputState, n, c), to);
  });
}
void CpuBackend::run(const ResizeForward& a) {
  const ResizeGeometry& g = a.geometry;
  const Taps taps(g);
  forPlanes(a.batch, g.input.channels, [&](std::int64_t n, int c) {
    if (const float* from = planeOf(a.input, g.input, a.state, n, c))
      sequences_.takePlane(taps, from, planeOf(a.output, g.output(), nullptr, n, c));
  });
}
void CpuBackend::run(const ResizeBackward& a) {
  const ResizeGeometry& g = a.geometry;
  const Taps taps(g);
  forPlanes(a.batch, g.input.channels, [&](std::int64_t n, int c) {
    if (float* to = planeOf(a.gradInput, g.input, a.state, n, c))
      sequences_.givePlane(taps, planeOf(a.gradOutput, g.output(), nullptr, n, c), to);
  });
}

void CpuBackend::run(const GatherChannels& a) {
  const Shape out{a.channels, a.input.height, a.input.width};
  forPlanes(a.batch, a.channels, [&](std::int64_t n, int c) {
    float* to = planeOf(a.output, out, a.outputState, n, c);
    if (!to) return;
    const int from = a.index[c];
    sequences_.copyRun(from < 0 ? nullptr : planeOf(a.source, a.input, a.inputState, n, from), kLanes, to, kLanes,
                       out.pixels(), false);
  });
}
void CpuBackend::run(const GatherChannelsBackward& a) {
  const Shape out{a.channels, a.input.height, a.input.width};
  forPlanes(a.batch, a.input.channels, [&](std::int64_t n, int i) {
    float* to = planeOf(a.gradInput, a.input, a.inputState, n, i);
    if (!to) return;
    bool first = true;
    for (int c = 0; c < a.channels; c++) {
      const float* from = a.index[c] == i ? planeOf(a.gradOutput, out, a.outputState, n, c) : nullptr;
      if (!from) continue;
      sequences_.copyRun(from, kLanes, to, kLanes, out.pixels(), !first);
      first = false;
    }
    if (first) sequences_.copyRun(nullptr, kLanes, to, kLanes, out.pixels(), false);
  });
}

void CpuBackend::run(const DepthToSpace& a) {
  const Shape wide = a.wide();
  forPlanes(a.batch, a.deep.channels, [&](std::int64_t n, int c) {
    const DepthPlace place = depthPlace(a, c);
    const std::int64_t step = std::int64_t(a.size) * kLanes, deepRow = std::int64_t(a.deep.width) * kLanes,
                       corner = (std::int64_t(place.row) * wide.width + place.column) * kLanes,
                       wideRow = std::int64_t(wide.width) * step;
    const float* from = planeOf(a.source, a.inverse ? wide : a.deep, a.sourceState, n, a.inverse ? place.channel : c);
    float* to = planeOf(a.target, a.inverse ? a.deep : wide, a.targetState, n, a.inverse ? c : place.channel);
    if (!to) return;
    for (int y = 0; y < a.deep.height; y++) {
      const std::int64_t inDeep = y * deepRow, inWide = corner + y * wideRow;
      if (a.inverse) sequences_.copyRun(from ? from + inWide : nullptr, step, to + inDeep, kLanes, a.deep.width, false);
      else sequences_.copyRun(from ? from + inDeep : nullptr, kLanes, to + inWide, step, a.deep.width, false);
    }
  });
}

// A task writes one plane of the target, from one position of every plane of the source.
void CpuBackend::run(const Transpose& a) {
  const int channels = a.input.channels, positions = a.input.pixels();
  const std::int64_t step = std::int64_t(positions) * kLanes;
  forPlanes(a.batch, positions, [&](std::int64_t n, int t) {
    float* to = planeOf(a.target, {positions, 1, channels}, a.targetState, n, t);
    if (!to) return;
    const float* from = a.source + n * channels * step + std::int64_t(t) * kLanes;
    for (int c = 0; c < channels; c++)
      sequences_.copyRun(isZero(a.sourceState, c) ? nullptr : from + c * step, step, to + std::int64_t(c) * kLanes,
                         kLanes, 1, false);
  });
}

void CpuBackend::run(const ChannelSum& a) {
  constexpr int kPart = 64;  // pixels of a task
  const int pixels = a.input.pixels(), parts = (pixels + kPart - 1) / kPart;
  forPlanes(a.batch, parts, [&](std::int64_t n, int part) {
    const std::int64_t first = std::int64_t(part) * kPart, count = std::min<std::int64_t>(kPart, pixels - first);
    sequences_.sumPlanes(a.source + (n * a.input.channels * pixels + first) * kLanes, std::int64_t(pixels) * kLanes,
                         a.input.channels, a.inputState, a.factor, count, a.output + (n * pixels + first) * kLanes);
  });
}
void CpuBackend::run(const ChannelSumBackward& a) {
  forPlanes(a.batch, a.input.channels, [&](std::int64_t n, int c) {
    if (float* to = planeOf(a.gradInput, a.input, a.inputState, n, c))
      sequences_.scaleVectors(a.gradOutput + n * a.input.pixels() * kLanes, a.input.pixels(), a.factor, to);
  });
}

void CpuBackend::run(const StateJoin& a) { stateJoin(a); }

}  // namespace selfcompress::cpu
