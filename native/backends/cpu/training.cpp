// Losses, optimizers, and the small per-channel bookkeeping of a step.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/scratch.h"
#include "ops/states/states.h"

namespace selfcompress::cpu {
namespace {

constexpr std::int64_t kChunk = 16384;  // elements of a parameter per task
constexpr double kChunkTime = 5000;     // nanoseconds of it, about

void addLosses(LossResult& result, const std::vector<double>& losses, int batch, std::int64_t correct) {
  for (int i = 0; i < batch; i++) result.lossSum += losses[std::size_t(i)];
  result.correct += correct;
  result.count += batch;
  result.weightSum += batch;
}

}  // namespace

void CpuBackend::run(const CrossEntropy& a) {
  int blocks = blocksOf(a.batch);
  std::vector<double>& losses = scratch<double>(std::size_t(blocks) * kLanes);
  std::vector<int>& correct = scratch<int>(std::size_t(blocks));
  parallelFor(
      blocks,
      [&](std::int64_t n) { correct[std::size_t(n)] = kernels_.crossEntropy(a, int(n), losses.data() + n * kLanes); },
      {100 + 20.0 * a.classes});
  std::int64_t total = 0;
  for (int c : correct) total += c;
  addLosses(*a.result, losses, a.batch, total);
}

void CpuBackend::run(const MeanSquaredError& a) {
  std::vector<double>& losses = scratch<double>(std::size_t(blocksOf(a.batch)) * kLanes);
  parallelFor(blocksOf(a.batch),
              [&](std::int64_t n) { kernels_.meanSquaredError(a, int(n), losses.data() + n * kLanes); },
              {100 + 5.0 * double(a.shape.elements())});
  addLosses(*a.result, losses, a.batch, 0);
}

void CpuBackend::run(const OptimizerStep& a) {
  if (!a.frozenBitDepth) {
    parallelFor((a.count + kChunk - 1) / kChunk,
                [&](std::int64_t i) { kernels_.optimizerStep(a, i * kChunk, std::min(a.count, (i + 1) * kChunk)); },
                {kChunkTime});
    return;
  }
  std::int64_t channels = a.count / a.perChannel, perTask = std::max<std::int64_t>(1, kChunk / a.perChannel);
  parallelFor((channels + perTask - 1) / perTask,
              [&](std::int64_t task) {
                for (std::int64_t c = task * perTask; c < std::min(channels, (task + 1) * perTask); c++)
                  if (!isDead(a.frozenBitDepth[c])) kernels_.optimizerStep(a, c * a.perChannel, (c + 1) * a.perChannel);
              },
              {kChunkTime});
}

void CpuBackend::run(const AverageParameters& a) {
  parallelFor((a.count + kChunk - 1) / kChunk,
              [&](std::int64_t i) { kernels_.averageParameters(a, i * kChunk, std::min(a.count, (i + 1) * kChunk)); },
              {kChunkTime / 2});
}

void CpuBackend::run(const SumOfSquares& a) {
  std::int64_t chunks = (a.count + kChunk - 1) / kChunk;
  std::vector<double>& sums = scratch<double>(std::size_t(chunks));
  parallelFor(chunks,
              [&](std::int64_t i) {
                sums[std::size_t(i)] =
                    kernels_.sumOfSquares(a.values + i * kChunk, std::min(kChunk, a.count - i * kChunk));
              },
              {kChunkTime / 3});
  for (double s : sums) *a.sum += s;
}

void CpuBackend::run(const ClipScale& a) { clipScale(a); }
void CpuBackend::run(const ClampBitDepth& a) { clampBitDepth(a); }
void CpuBackend::run(const KeepFamilies& a) { keepFamilies(a); }
void CpuBackend::run(const RangeGradients& a) { rangeGradients(a); }
void CpuBackend::run(const KeepRange& a) { keepRange(a); }
void CpuBackend::run(const DecayDead& a) { decayDead(a); }
void CpuBackend::run(const StateFromBits& a) { stateFromBits(a); }
void CpuBackend::run(const StateThroughNorm& a) { stateThroughNorm(a); }
void CpuBackend::run(const StateOfSum& a) { stateOfSum(a); }
void CpuBackend::run(const StateOfProduct& a) { stateOfProduct(a); }
void CpuBackend::run(const StateThroughActivation& a) { stateThroughActivation(a); }
void CpuBackend::run(const StateThroughLayerNorm& a) { stateThroughLayerNorm(a); }
void CpuBackend::run(const StateCopy& a) { stateCopy(a); }
void CpuBackend::run(const ListChannels& a) { listChannels(a); }

}  // namespace selfcompress::cpu
