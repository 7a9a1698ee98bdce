// Dropout, addition and copies of channels.
#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {
void ReferenceBackend::run(const Dropout& a) {
  std::uint64_t key = dropoutKey(a.counter->seed, a.counter->step, a.site);
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int) {
    bool keep = uniformFrom(mix64(key + i)) >= a.probability;
    a.output[i] = a.input[i] * (keep ? 1.0f / (1.0f - a.probability) : 0.0f);
  });
}

void ReferenceBackend::run(const Add& a) {
  forElements(a.shape, a.batch, nullptr, [&](std::size_t i, int c) {
    bool noA = a.stateA && a.stateA[c] == kZero, noB = a.stateB && a.stateB[c] == kZero;
    if (noA && noB) return;
    float v = (noA ? 0.0f : a.a[i]) + (noB ? 0.0f : a.b[i]);
    a.output[i] = a.relu && v < 0 ? 0.0f : v;
  });
}

void ReferenceBackend::run(const CopyChannels& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int i = 0; i < a.count; i++)
      for (int p = 0; p < a.input.pixels() && (!a.state || a.state[i] != kZero); p++) {
        float& to = a.target[laneOffset(a.output, n, a.outFirst + i, 0, p)];
        float from = a.source[laneOffset(a.input, n, a.inFirst + i, 0, p)];
        to = a.accumulate ? to + from : from;
      }
}

void ReferenceBackend::run(const ClearChannels& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int c = 0; c < a.shape.channels; c++)
      for (int p = 0; p < a.shape.pixels() && a.state[c] == kZero; p++) a.output[laneOffset(a.shape, n, c, 0, p)] = 0;
}

}  // namespace selfcompress
