// Embeddings: tokens are brought into lanes once, then every dimension goes over them with its row of the table.
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/planes.h"
#include "cpu/quantizer.h"
#include "cpu/scratch.h"

namespace selfcompress::cpu {
namespace {

// [blocks][positions][kLanes], padding lanes 0.
const std::int32_t* tokensInLanes(const std::int32_t* tokens, int batch, int positions) {
  std::vector<std::int32_t>& lanes =
      scratch<std::int32_t>(std::size_t(blocksOf(batch)) * std::size_t(positions) * kLanes);
  std::int32_t* to = lanes.data();
  parallelFor(blocksOf(batch), [&](std::int64_t n) {
    for (int t = 0; t < positions; t++)
      for (int i = 0; i < kLanes && n * kLanes + i < batch; i++)
        to[(n * positions + t) * kLanes + i] = tokens[(n * kLanes + i) * positions + t];
  });
  return to;
}

}  // namespace

void CpuBackend::run(const EmbeddingForward& a) {
  const std::int32_t* tokens = tokensInLanes(a.tokens, a.batch, a.positions);
  // Blocks within a dimension: its row of the table is read again while it is in the caches.
  const int blocks = blocksOf(a.batch);
  const std::int64_t count = std::int64_t(a.dimensions) * blocks, run = std::max(1, kTaskVectors / a.positions);
  parallelFor((count + run - 1) / run, [&](std::int64_t r) {
    for (std::int64_t i = r * run; i < std::min(count, (r + 1) * run); i++) {
      const int d = int(i / blocks), n = int(i % blocks);
      if (isZero(a.state, d)) continue;
      QuantizeChannel quantizer{};
      const bool dead = a.quantizer.bitDepth && !(a.quantizer.bitDepth[d] > 0);
      if (dead) {
        layers_.fillPlane(a.output, {a.dimensions, 1, a.positions}, n, d, 0);
        continue;
      }
      if (a.quantizer.bitDepth) quantizer = quantizeChannel(a.quantizer.bitDepth[d], a.quantizer.exponent[d]);
      layers_.embeddingForward(a, tokens + std::int64_t(n) * a.positions * kLanes, n, d,
                               a.quantizer.bitDepth ? &quantizer : nullptr);
    }
  });
}

void CpuBackend::run(const EmbeddingBackward& a) {
  const std::int32_t* tokens = tokensInLanes(a.tokens, a.batch, a.positions);
  parallelFor(a.dimensions, std::size_t(a.vocabulary) * sizeof(double), [&](std::int64_t d, std::byte* memory) {
    float* row = a.gradWeight + d * a.vocabulary;
    if (isZero(a.state, int(d))) {
      if (!a.accumulate) std::fill(row, row + a.vocabulary, 0.0f);
    } else {
      layers_.embeddingBackward(a, tokens, int(d), reinterpret_cast<double*>(memory));
    }
  });
}

}  // namespace selfcompress::cpu
