// Panels of the direct form: weights in the order in which the micro-kernel reads them, quantized on the way.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

// A whole vector where later rows overwrite what is too much: a part of one is slow to store.
inline void storeRow(float* to, F16 row, const PanelRows& p) {
  if (p.end - to >= 16) store(to, row);
  else storeTail(to, row, p.outs);
}

inline void packColumns(const PanelRows& p, std::int64_t count) {
  float* to = p.to;
  for (std::int64_t at = 0; at < count; at += 16) {
    const int n = count - at < 16 ? int(count - at) : 16;
    F16 r[16];
    for (int o = 0; o < 16; o++) r[o] = o < p.outs ? loadWeights(p.from[o], at, n, p.memoryEnd) : zero();
    transpose(r);
    for (int i = 0; i < n; i++, to += p.outs) storeRow(to, r[i], p);
  }
}

inline void packRows(const PanelRows& p, int count, const std::int32_t* offsets) {
  float* to = p.to;
  for (int i = 0; i < count; i++, to += p.outs) {
    WeightSource from = p.from[i];
    const float* memoryEnd = p.memoryEnd;
    float lanes[16] = {};
    if (offsets && from.weight) {
      for (int o = 0; o < p.outs; o++) lanes[o] = from.weight[offsets[o]];
      from.weight = lanes, memoryEnd = lanes + 16;
    }
    storeRow(to, loadWeights(from, 0, p.outs, memoryEnd), p);
  }
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
