// Rows of an embedding's table, one dimension at a time: the dimension's row of the table stays in the caches.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// tokens: of this block, [positions][16], padding lanes anything. quantizer: of this dimension, or nullptr.
inline void embeddingForward(const EmbeddingForward& a, const std::int32_t* tokens, int block, int dimension,
                             const QuantizeChannel* quantizer) {
  const float* row = a.weight + std::int64_t(dimension) * a.vocabulary;
  float* output = a.output + (std::int64_t(block) * a.dimensions + dimension) * a.positions * 16;
  const int images = imagesOf(a.batch, block);
  float values[16] = {};
  for (std::int64_t t = 0; t < a.positions; t++) {
    if (images == 16)
      for (int i = 0; i < 16; i++) values[i] = row[tokens[t * 16 + i]];
    else
      for (int i = 0; i < images; i++) values[i] = row[tokens[t * 16 + i]];
    const F16 x = load(values);
    store(output + t * 16, quantizer ? quantized(x, *quantizer) : x);
  }
}

// tokens: of all blocks. row: [vocabulary], memory of this thread.
inline void embeddingBackward(const EmbeddingBackward& a, const std::int32_t* tokens, int dimension, double* row) {
  float* to = a.gradWeight + std::int64_t(dimension) * a.vocabulary;
  for (int v = 0; v < a.vocabulary; v++) row[v] = a.accumulate ? double(to[v]) : 0;
  for (int block = 0; block * 16 < a.batch; block++) {
    const int images = imagesOf(a.batch, block);
    const float* g = a.gradOutput + (std::int64_t(block) * a.dimensions + dimension) * a.positions * 16;
    const std::int32_t* own = tokens + std::int64_t(block) * a.positions * 16;
    for (std::int64_t t = 0; t < a.positions; t++)
      for (int i = 0; i < images; i++) row[own[t * 16 + i]] += double(g[t * 16 + i]);
  }
  for (int v = 0; v < a.vocabulary; v++) to[v] = float(row[v]);
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
