#include <vector>

#include "ops/norm/moments.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

std::vector<char> flags(ChannelList list, int channels) {
  std::vector<char> live(std::size_t(channels), list.index ? 0 : 1);
  if (list.index)
    for (int i = 0; i < *list.count; i++) live[std::size_t(list.index[i])] = 1;
  return live;
}

// visit(out pixel y, x; in pixel iy, ix; kernel i, j) for every product of one image and pair of channels.
template <class Visit>
void products(const Conv2dGeometry& g, Visit visit) {
  for (int y = 0; y < g.outHeight(); y++)
    for (int x = 0; x < g.outWidth(); x++)
      for (int i = 0; i < g.kernelHeight; i++)
        for (int j = 0; j < g.kernelWidth; j++) {
          int iy = y * g.strideH + i * g.dilationH - g.padH, ix = x * g.strideW + j * g.dilationW - g.padW;
          if (iy >= 0 && iy < g.height && ix >= 0 && ix < g.width) visit(y, x, iy, ix, i, j);
        }
}

std::size_t weightIndex(const Conv2dGeometry& g, int o, int c, int i, int j) {
  return ((std::size_t(o) * g.inPerGroup() + c % g.inPerGroup()) * g.kernelHeight + i) * g.kernelWidth + j;
}

std::vector<float> multipliedWeights(ReferenceBackend& backend, const Conv2dGeometry& g, const float* weight,
                                     const WeightQuantizer& quantizer) {
  std::vector<float> result(weight, weight + g.weights());
  if (quantizer.bitDepth)
    backend.run(QuantizeForward{g.outChannels, g.weights() / g.outChannels, weight, quantizer.bitDepth,
                                quantizer.exponent, result.data()});
  return result;
}

}  // namespace

std::size_t ReferenceBackend::conv2dStatistics(const Conv2dGeometry& g, int) const {
  return std::size_t(g.outChannels) * sizeof(ChannelMoments);
}

void ReferenceBackend::run(const Conv2dForward& a) {
  const Conv2dGeometry& g = a.geometry;
  const std::vector<float> weight = multipliedWeights(*this, g, a.weight, a.quantizer);
  Shape in = g.input(), out = g.output();
  auto liveIn = flags(a.liveIn, g.inChannels), liveOut = flags(a.liveOut, g.outChannels);
  std::vector<double> plane(std::size_t(out.pixels()));
  for (int o = 0; o < g.outChannels; o++) {
    bool constant = !liveOut[std::size_t(o)] && a.outputState && a.outputState[o] == kConstant;
    if (!liveOut[std::size_t(o)] && !constant) continue;
    for (int n = 0; n < blocksOf(a.batch) * kLanes; n++) {
      plane.assign(plane.size(), a.bias ? double(a.bias[o]) : 0.0);
      int first = o / g.outPerGroup() * g.inPerGroup();
      for (int c = first; c < first + g.inPerGroup() && !constant; c++)
        if (liveIn[std::size_t(c)])
          products(g, [&](int y, int x, int iy, int ix, int i, int j) {
            plane[std::size_t(y * out.width + x)] +=
                double(weight[weightIndex(g, o, c, i, j)]) * double(a.input[laneOffset(in, n, c, iy, ix)]);
          });
      for (int p = 0; p < out.pixels(); p++) {
        float v = float(plane[std::size_t(p)]);
        a.output[laneOffset(out, n, o, 0, p)] = a.relu && v < 0 ? 0.0f : v;
      }
    }
    if (a.statistics) a.statistics[o] = momentsOf(a.output, out, a.batch, o);
  }
}

void ReferenceBackend::run(const Conv2dGradInput& a) {
  const Conv2dGeometry& g = a.geometry;
  const std::vector<float> weight = multipliedWeights(*this, g, a.weight, a.quantizer);
  Shape in = g.input(), out = g.output();
  auto liveIn = flags(a.liveIn, g.inChannels), liveOut = flags(a.liveOut, g.outChannels);
  std::vector<double> plane(std::size_t(in.pixels()));
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int c = 0; c < g.inChannels; c++) {
      if (!liveIn[std::size_t(c)]) continue;
      plane.assign(plane.size(), 0.0);
      int first = c / g.inPerGroup() * g.outPerGroup();
      for (int o = first; o < first + g.outPerGroup(); o++)
        if (liveOut[std::size_t(o)])
          products(g, [&](int y, int x, int iy, int ix, int i, int j) {
            plane[std::size_t(iy * in.width + ix)] +=
                double(weight[weightIndex(g, o, c, i, j)]) * double(a.gradOutput[laneOffset(out, n, o, y, x)]);
          });
      for (int p = 0; p < in.pixels(); p++) {
        std::size_t at = laneOffset(in, n, c, 0, p);
        float v = a.reluInput && !(a.reluInput[at] > 0) ? 0.0f : float(plane[std::size_t(p)]);
        a.gradInput[at] = a.accumulate ? a.gradInput[at] + v : v;
      }
    }
}

void ReferenceBackend::run(const Conv2dGradWeight& a) {
  const Conv2dGeometry& g = a.geometry;
  Shape in = g.input(), out = g.output();
  auto liveIn = flags(a.liveIn, g.inChannels), liveOut = flags(a.liveOut, g.outChannels);
  std::vector<double> sums(std::size_t(g.weights()), 0.0);
  for (int n = 0; n < a.batch; n++)
    for (int o = 0; o < g.outChannels; o++) {
      if (!liveOut[std::size_t(o)]) continue;
      int first = o / g.outPerGroup() * g.inPerGroup();
      for (int c = first; c < first + g.inPerGroup(); c++)
        if (liveIn[std::size_t(c)])
          products(g, [&](int y, int x, int iy, int ix, int i, int j) {
            sums[weightIndex(g, o, c, i, j)] +=
                double(a.gradOutput[laneOffset(out, n, o, y, x)]) * double(a.input[laneOffset(in, n, c, iy, ix)]);
          });
    }
  for (std::size_t i = 0; i < sums.size(); i++) a.gradWeight[i] = float(sums[i]);
  if (!a.gradBias) return;
  for (int o = 0; o < g.outChannels; o++) {
    double sum = 0;
    for (int n = 0; n < a.batch && liveOut[std::size_t(o)]; n++)
      for (int p = 0; p < out.pixels(); p++) sum += double(a.gradOutput[laneOffset(out, n, o, 0, p)]);
    a.gradBias[o] = float(sum);
  }
}

}  // namespace selfcompress
