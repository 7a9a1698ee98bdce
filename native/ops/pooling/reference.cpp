#include <algorithm>
#include <cmath>

#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// visit(window pixel row, column) in row order, for output pixel (y, x); returns the divisor of an average.
template <class Visit>
int window(const PoolGeometry& g, int y, int x, Visit visit) {
  int inside = 0;
  for (int i = 0; i < g.kernelHeight; i++)
    for (int j = 0; j < g.kernelWidth; j++) {
      int r = y * g.strideH + i - g.padH, c = x * g.strideW + j - g.padW;
      if (r < 0 || r >= g.input.height || c < 0 || c >= g.input.width) continue;
      inside++;
      visit(r, c);
    }
  return g.countIncludePad ? g.kernelHeight * g.kernelWidth : inside;
}

template <class Visit>
void forWindows(const PoolGeometry& g, int batch, const std::int32_t* state, Visit visit) {
  Shape out = g.output();
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < out.channels; c++)
      for (int y = 0; y < out.height && (!state || state[c] != kZero); y++)
        for (int x = 0; x < out.width; x++) visit(n, c, y, x);
}

bool beats(float x, float best) { return x > best || (std::isnan(x) && !std::isnan(best)); }

}  // namespace

void ReferenceBackend::run(const PoolForward& a) {
  const PoolGeometry& g = a.geometry;
  forWindows(g, a.batch, a.state, [&](int n, int c, int y, int x) {
    float best = 0;
    double sum = 0;
    bool first = true;
    int divisor = window(g, y, x, [&](int r, int q) {
      float v = a.input[laneOffset(g.input, n, c, r, q)];
      if (first || beats(v, best)) best = v;
      first = false;
      sum += double(v);
    });
    a.output[laneOffset(g.output(), n, c, y, x)] = a.kind == Pool::kMax ? best : float(sum / divisor);
  });
}

void ReferenceBackend::run(const PoolBackward& a) {
  const PoolGeometry& g = a.geometry;
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int c = 0; c < g.input.channels; c++)
      for (int p = 0; p < g.input.pixels() && (!a.state || a.state[c] != kZero); p++)
        a.gradInput[laneOffset(g.input, n, c, 0, p)] = 0;
  forWindows(g, a.batch, a.state, [&](int n, int c, int y, int x) {
    float grad = a.gradOutput[laneOffset(g.output(), n, c, y, x)];
    std::size_t best = 0;
    bool first = true;
    int divisor = window(g, y, x, [&](int r, int q) {
      std::size_t at = laneOffset(g.input, n, c, r, q);
      if (a.kind == Pool::kMax && (first || beats(a.input[at], a.input[best]))) best = at;
      first = false;
    });
    if (a.kind == Pool::kMax) a.gradInput[best] += grad;
    else window(g, y, x, [&](int r, int q) { a.gradInput[laneOffset(g.input, n, c, r, q)] += grad / float(divisor); });
  });
  for (int n = 0; n < blocksOf(a.batch) * kLanes && a.reluInput; n++)
    for (int c = 0; c < g.input.channels; c++)
      for (int p = 0; p < g.input.pixels() && (!a.state || a.state[c] != kZero); p++) {
        std::size_t at = laneOffset(g.input, n, c, 0, p);
        if (!(a.reluInput[at] > 0)) a.gradInput[at] = 0;
      }
}

}  // namespace selfcompress
