// Arithmetic of two tensors, and PReLU, whose slopes are such an operand.
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/planes.h"
#include "cpu/scratch.h"

namespace selfcompress::cpu {
namespace {

// Sums of a plane to those of the operand's one position, in ascending order of blocks, channels and lanes.
void addUpPlanes(const BinaryBackward& a, const std::vector<float>& sums) {
  const int blocks = blocksOf(a.batch), channels = a.operand.oneChannel ? 1 : a.shape.channels,
            each = a.operand.oneChannel ? a.shape.channels : 1;
  const int outer = a.operand.plain ? 1 : blocks, inner = a.operand.plain ? blocks : 1;
  for (int n = 0; n < outer; n++)
    for (int c = 0; c < channels; c++) {
      if (isZero(a.stateB, c)) continue;
      double total[kLanes] = {};
      for (int m = 0; m < inner; m++)
        for (int k = 0; k < each; k++)
          for (int i = 0; i < kLanes; i++)
            total[i] +=
                double(sums[((std::size_t(n + m) * std::size_t(a.shape.channels)) + std::size_t(c + k)) * kLanes +
                            std::size_t(i)]);
      if (!a.operand.plain) {
        for (int i = 0; i < kLanes; i++) a.gradB[(std::int64_t(n) * channels + c) * kLanes + i] = float(total[i]);
        continue;
      }
      double all = 0;
      for (double t : total) all += t;
      a.gradB[c] = float(all);
    }
}

// gradB with all positions of one channel, or plain.
void sumPositions(const BinaryBackward& a, const LayerKernels& kernels) {
  const int pixels = a.shape.pixels(), runs = (pixels + kBinaryPositions - 1) / kBinaryPositions;
  const int blocks = a.operand.plain ? 1 : blocksOf(a.batch), channels = a.operand.oneChannel ? 1 : a.shape.channels;
  parallelFor(std::int64_t(blocks) * channels * runs, [&](std::int64_t task) {
    const int run = int(task % runs), c = int(task / runs % channels), n = int(task / runs / channels);
    if (isZero(a.stateB, c)) return;
    BinaryRange r;
    r.block = n, r.blockEnd = a.operand.plain ? blocksOf(a.batch) : n + 1;
    r.channel = c, r.channelEnd = a.operand.oneChannel ? a.shape.channels : c + 1;
    r.first = run * kBinaryPositions, r.positions = std::min(kBinaryPositions, pixels - r.first);
    r.to = a.gradB + ((std::int64_t(n) * channels + c) * pixels + r.first) * (a.operand.plain ? 1 : kLanes);
    kernels.binaryPositionSum(a, r);
  });
}

}  // namespace

void CpuBackend::run(const BinaryForward& a) {
  auto written = [&](int c) {
    return !outputIsZero(a.kind, isZero(a.stateA, c), isZero(a.stateB, a.operand.oneChannel ? 0 : c));
  };
  const bool past = a.output != a.a && a.output != a.b && writesPast(a.shape, a.batch, written);
  forPlanes(a.shape, a.batch, nullptr, [&](int n, int c) {
    if (written(c)) layers_.binaryForward(a, n, c, past);
  });
}

void CpuBackend::run(const BinaryBackward& a) {
  const Operand& o = a.operand;
  const bool sums = a.gradB && (o.plain || o.oneChannel || o.onePosition);
  if (sums && o.onePosition) {  // first, because gradA may be gradOutput
    std::vector<float>& planes =
        scratch<float>(std::size_t(blocksOf(a.batch)) * std::size_t(a.shape.channels) * kLanes);
    float* first = planes.data();
    forPlanes(a.shape, a.batch, nullptr, [&](int n, int c) {
      layers_.binaryPlaneSum(a, n, c, first + (std::int64_t(n) * a.shape.channels + c) * kLanes);
    });
    addUpPlanes(a, planes);
  } else if (sums) {
    sumPositions(a, layers_);
  }
  const bool past = a.gradA != a.gradOutput && a.gradB != a.gradOutput &&
                    writesPast(a.shape, a.batch, [&](int c) { return !isZero(a.stateA, c); });
  if (a.gradA || (a.gradB && !sums))
    forPlanes(a.shape, a.batch, nullptr, [&](int n, int c) { layers_.binaryGradient(a, n, c, past); });
}

void CpuBackend::run(const PReluForward& a) {
  forPlanes(a.shape, a.batch, a.state, [&](int n, int c) { layers_.preluForward(a, n, c); });
}

void CpuBackend::run(const PReluBackward& a) {
  const std::size_t channels = std::size_t(a.shape.channels);
  std::vector<double>& parts = scratch<double>(std::size_t(blocksOf(a.batch)) * channels);
  double* first = parts.data();
  forPlanes(a.shape, a.batch, a.state,
            [&](int n, int c) { first[std::size_t(n) * channels + std::size_t(c)] = layers_.preluBackward(a, n, c); });
  for (std::size_t c = 0; c < (a.shared ? 1 : channels); c++) {
    double sum = 0;
    for (std::size_t k = c; k < (a.shared ? channels : c + 1); k++)
      for (std::size_t i = k; i < parts.size(); i += channels) sum += a.state && a.state[k] != kLive ? 0.0 : parts[i];
    a.gradSlope[c] = float(sum);
  }
}

}  // namespace selfcompress::cpu
