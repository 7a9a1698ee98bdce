// Losses of elements and of positions. Every task has sums of its own, which are added in order.
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/planes.h"
#include "cpu/scratch.h"

namespace selfcompress::cpu {
namespace {

constexpr std::int64_t kLossVectors = 4096;  // of a task

LossWeights lossWeights(const PositionCrossEntropy& a) {
  LossWeights w;
  const int pixels = a.shape.pixels();
  auto weight = [&](std::int32_t label) { return a.classWeight ? double(a.classWeight[label]) : 1.0; };
  for (int n = 0; n < a.batch; n++)
    for (int p = 0; p < pixels; p++) {
      const LabelShares l = labelsAt(a, a.labels, a.counter, n, pixels, p);
      if (l.label == a.ignored) continue;
      w.sum += double(l.share) * weight(l.label);
      if (l.otherShare > 0) w.sum += double(l.otherShare) * weight(l.other);
    }
  for (int k = 0; k < a.shape.channels; k++) w.ofAllClasses += a.classWeight ? double(a.classWeight[k]) : 1.0;
  return w;
}

}  // namespace

void CpuBackend::run(const ElementLoss& a) {
  const std::int64_t vectors = a.shape.elements(), runs = (vectors + kLossVectors - 1) / kLossVectors;
  std::vector<double>& losses = scratch<double>(std::size_t(blocksOf(a.batch)) * std::size_t(runs) * kLanes);
  double* first = losses.data();
  parallelFor(blocksOf(a.batch) * runs, [&](std::int64_t i) {
    const std::int64_t begin = i % runs * kLossVectors;
    layers_.elementLoss(a, int(i / runs), begin, std::min(vectors, begin + kLossVectors), first + i * kLanes);
  });
  for (std::int64_t i = 0; i < blocksOf(a.batch) * runs; i++)
    for (int lane = 0; lane < kLanes && i / runs * kLanes + lane < a.batch; lane++)
      a.result->lossSum += first[i * kLanes + lane];
  a.result->count += a.batch;
  a.result->weightSum += a.batch;
}

void CpuBackend::run(const PositionCrossEntropy& a) {
  const LossWeights weights = lossWeights(a);
  const int pixels = a.shape.pixels(), perRun = positionsOfTask(a.shape.channels, 2, pixels),
            runs = (pixels + perRun - 1) / perRun;
  std::vector<PositionSums>& sums = scratch<PositionSums>(std::size_t(blocksOf(a.batch)) * std::size_t(runs));
  PositionSums* first = sums.data();
  const std::size_t room = roomOfTask(a.shape.channels, 1, perRun);
  parallelFor(std::int64_t(blocksOf(a.batch)) * runs, room, [&](std::int64_t i, std::byte* memory) {
    const int begin = int(i % runs) * perRun;
    layers_.positionCrossEntropy(a, int(i / runs), begin, std::min(perRun, pixels - begin), weights,
                                 room ? reinterpret_cast<float*>(memory) : nullptr, first[i]);
  });
  for (const PositionSums& s : sums) {
    a.result->lossSum += s.loss;
    a.result->correct += s.correct;
    a.result->topFive += s.topFive;
    a.result->count += s.count;
  }
  a.result->weightSum += weights.sum;
}

void CpuBackend::run(const SoftCrossEntropy& a) {
  const int pixels = a.shape.pixels(), perRun = positionsOfTask(a.shape.channels, 3, pixels),
            runs = (pixels + perRun - 1) / perRun;
  std::vector<double>& divergences = scratch<double>(std::size_t(blocksOf(a.batch)) * std::size_t(runs));
  double* first = divergences.data();
  const double positions = double(a.result->count);
  const std::size_t room = roomOfTask(a.shape.channels, 2, perRun);
  parallelFor(std::int64_t(blocksOf(a.batch)) * runs, room, [&](std::int64_t i, std::byte* memory) {
    const int begin = int(i % runs) * perRun;
    first[i] = layers_.softCrossEntropy(a, int(i / runs), begin, std::min(perRun, pixels - begin), positions,
                                        room ? reinterpret_cast<float*>(memory) : nullptr);
  });
  double sum = 0;
  for (double d : divergences) sum += d;
  a.result->lossSum = softLossSum(a, *a.result, sum);
}

}  // namespace selfcompress::cpu
