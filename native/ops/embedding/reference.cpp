// Embeddings.
#include <vector>

#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {

void ReferenceBackend::run(const EmbeddingForward& a) {
  const Shape shape{a.dimensions, 1, a.positions};
  const std::int64_t count = std::int64_t(a.dimensions) * a.vocabulary;
  std::vector<float> quantized(a.weight, a.weight + count);
  if (a.quantizer.bitDepth)
    run(QuantizeForward{a.dimensions, a.vocabulary, a.weight, a.quantizer.bitDepth, a.quantizer.exponent,
                        quantized.data()});
  for (int n = 0; n < lanesOfBatch(a.batch); n++)
    for (int d = 0; d < a.dimensions; d++)
      for (int t = 0; t < a.positions && !isZeroChannel(a.state, d); t++)
        a.output[laneOffset(shape, n, d, 0, t)] =
            n < a.batch ? quantized[std::size_t(d) * std::size_t(a.vocabulary) +
                                    std::size_t(a.tokens[std::size_t(n) * std::size_t(a.positions) + std::size_t(t)])]
                        : 0.0f;
}

void ReferenceBackend::run(const EmbeddingBackward& a) {
  const Shape shape{a.dimensions, 1, a.positions};
  for (int d = 0; d < a.dimensions; d++) {
    std::vector<double> row(std::size_t(a.vocabulary));
    const float* before = a.gradWeight + std::ptrdiff_t(d) * a.vocabulary;
    if (a.accumulate) row.assign(before, before + a.vocabulary);
    for (int n = 0; n < a.batch; n++)
      for (int t = 0; t < a.positions && !isZeroChannel(a.state, d); t++)
        row[std::size_t(a.tokens[std::size_t(n) * std::size_t(a.positions) + std::size_t(t)])] +=
            double(a.gradOutput[laneOffset(shape, n, d, 0, t)]);
    for (int v = 0; v < a.vocabulary; v++)
      a.gradWeight[std::size_t(d) * std::size_t(a.vocabulary) + std::size_t(v)] = float(row[std::size_t(v)]);
  }
}

}  // namespace selfcompress
