// Norms of one example, and softmax.
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/planes.h"
#include "cpu/scratch.h"

namespace selfcompress::cpu {
namespace {

constexpr int kGradientTasks = 64;  // at most: each has sums of its own for every channel
constexpr int kGradientRuns = 4;    // runs of positions of such a task at least

// task(block, first, count, room) for runs of positions, with `bytes` of room, nullptr if that is 0.
template <class Task>
void forRuns(int batch, int positions, int perRun, std::size_t bytes, Task task) {
  const int runs = (positions + perRun - 1) / perRun;
  parallelFor(std::int64_t(blocksOf(batch)) * runs, bytes, [&](std::int64_t i, std::byte* memory) {
    const int first = int(i % runs) * perRun;
    task(int(i / runs), first, std::min(perRun, positions - first), bytes ? reinterpret_cast<float*>(memory) : nullptr);
  });
}

template <class Arguments>
int linesOf(const Arguments& a) {
  return a.axis == SoftmaxAxis::kChannels ? a.shape.pixels() : a.shape.channels * a.shape.height;
}
template <class Arguments>
int linesOfTask(const Arguments& a) {
  if (a.axis == SoftmaxAxis::kChannels) return positionsOfTask(a.shape.channels, 2, a.shape.pixels());
  return std::max(1, kTaskVectors / a.shape.width);
}

template <class Arguments>
bool writesPastInput(const Arguments& a) {
  return a.output != a.input && writesPast(a.shape, a.batch, [&](int c) { return !isZero(a.outputState, c); });
}

template <class Arguments>
std::size_t softmaxRoom(const Arguments& a, int tensors) {
  return a.axis == SoftmaxAxis::kChannels ? roomOfTask(a.shape.channels, tensors, linesOfTask(a)) : 0;
}
bool isAny(int) { return true; }

}  // namespace

void CpuBackend::run(const SoftmaxForward& a) {
  const bool past = a.output != a.input && writesPast(a.shape, a.batch, isAny);
  forRuns(a.batch, linesOf(a), linesOfTask(a), softmaxRoom(a, 1),
          [&](int n, int first, int count, float* room) { layers_.softmaxForward(a, n, first, count, room, past); });
}
void CpuBackend::run(const SoftmaxBackward& a) {
  const bool past = a.gradInput != a.gradOutput && writesPast(a.shape, a.batch, isAny);
  forRuns(a.batch, linesOf(a), linesOfTask(a), softmaxRoom(a, 2),
          [&](int n, int first, int count, float* room) { layers_.softmaxBackward(a, n, first, count, room, past); });
}

void CpuBackend::run(const LayerNormForward& a) {
  const bool past = writesPastInput(a);
  const int perRun = positionsOfTask(a.shape.channels, 1, a.shape.pixels());
  forRuns(a.batch, a.shape.pixels(), perRun, roomOfTask(a.shape.channels, 1, perRun),
          [&](int n, int first, int count, float* room) { layers_.layerNormForward(a, n, first, count, room, past); });
}

// The runs of positions are dealt to tasks whose number depends on the shape alone; each has sums of its own, which are
// then added in order.
void CpuBackend::run(const LayerNormBackward& a) {
  const int pixels = a.shape.pixels(), perRun = positionsOfTask(a.shape.channels, 2, pixels),
            runs = (pixels + perRun - 1) / perRun, channels = a.shape.channels;
  const std::int64_t all = std::int64_t(blocksOf(a.batch)) * runs,
                     perTask = std::max<std::int64_t>(kGradientRuns, (all + kGradientTasks - 1) / kGradientTasks),
                     tasks = (all + perTask - 1) / perTask;
  const bool sums = a.gradWeight || a.gradBias,
             past = a.gradInput != a.gradOutput && a.gradInput != a.input &&
                    writesPast(a.shape, a.batch, [&](int c) { return !isZero(a.inputState, c); });
  const std::int64_t each = std::int64_t(channels) * 2 * kLanes;  // floats of a task's sums
  std::vector<float>& parts = scratch<float>(sums ? std::size_t(tasks * each) : 0);
  float* first = parts.data();
  const std::size_t room = roomOfTask(channels, 2, perRun);
  parallelFor(tasks, room, [&](std::int64_t task, std::byte* memory) {
    for (std::int64_t i = task * perTask; i < std::min(all, (task + 1) * perTask); i++) {
      const int begin = int(i % runs) * perRun;
      layers_.layerNormBackward(a, int(i / runs), begin, std::min(perRun, pixels - begin),
                                room ? reinterpret_cast<float*>(memory) : nullptr, sums ? first + task * each : nullptr,
                                past);
    }
  });
  if (!sums) return;
  parallelFor(channels, [&](std::int64_t c) {
    const float* own = first + c * 2 * kLanes;
    if (a.gradWeight) a.gradWeight[c] = float(layers_.sumOfVectors(own, each, tasks));
    if (a.gradBias) a.gradBias[c] = float(layers_.sumOfVectors(own + kLanes, each, tasks));
  });
}

void CpuBackend::run(const GroupNormForward& a) {
  const bool past = writesPastInput(a);
  parallelFor(std::int64_t(blocksOf(a.batch)) * a.groups,
              [&](std::int64_t i) { layers_.groupNormForward(a, int(i / a.groups), int(i % a.groups), past); });
}

void CpuBackend::run(const GroupNormBackward& a) {
  const int channels = a.shape.channels, blocks = blocksOf(a.batch);
  std::vector<ChannelGradients>& parts = scratch<ChannelGradients>(std::size_t(blocks) * std::size_t(channels));
  ChannelGradients* first = parts.data();
  parallelFor(std::int64_t(blocks) * a.groups, [&](std::int64_t i) {
    layers_.groupNormBackward(a, int(i / a.groups), int(i % a.groups), first + i / a.groups * channels);
  });
  for (int c = 0; c < channels; c++) {
    double weight = 0, bias = 0;
    for (int n = 0; n < blocks; n++) {
      weight += first[std::int64_t(n) * channels + c].weight;
      bias += first[std::int64_t(n) * channels + c].bias;
    }
    if (a.gradWeight) a.gradWeight[c] = float(weight);
    if (a.gradBias) a.gradBias[c] = float(bias);
  }
}

}  // namespace selfcompress::cpu
