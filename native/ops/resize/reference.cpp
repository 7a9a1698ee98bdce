#include <vector>

#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// visit(output offset, input offset, weight) for every tap of every output.
template <class Visit>
void forTaps(const ResizeGeometry& g, int batch, const std::int32_t* state, Visit visit) {
  const Shape out = g.output();
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < out.channels; c++)
      for (int y = 0; y < out.height && (!state || state[c] != kZero); y++)
        for (int x = 0; x < out.width; x++) {
          const ResizeTap row = resizeRow(g, y), column = resizeColumn(g, x);
          auto tap = [&](int r, int q, double weight) {
            visit(laneOffset(out, n, c, y, x), laneOffset(g.input, n, c, r, q), weight);
          };
          const double down = double(row.weight), right = double(column.weight);
          tap(row.first, column.first, (1 - down) * (1 - right));
          if (g.mode == ResizeMode::kNearest) continue;
          tap(row.first, column.second, (1 - down) * right);
          tap(row.second, column.first, down * (1 - right));
          tap(row.second, column.second, down * right);
        }
}

void write(Shape shape, int batch, const std::int32_t* state, const std::vector<double>& sums, float* to) {
  for (int n = 0; n < blocksOf(batch) * kLanes; n++)
    for (int c = 0; c < shape.channels; c++)
      for (int p = 0; p < shape.pixels() && (!state || state[c] != kZero); p++)
        to[laneOffset(shape, n, c, 0, p)] = float(sums[laneOffset(shape, n, c, 0, p)]);
}

}  // namespace

void ReferenceBackend::run(const ResizeForward& a) {
  std::vector<double> sums(std::size_t(laneElements(a.geometry.output(), a.batch)));
  forTaps(a.geometry, a.batch, a.state,
          [&](std::size_t out, std::size_t in, double weight) { sums[out] += weight * double(a.input[in]); });
  write(a.geometry.output(), a.batch, a.state, sums, a.output);
}

void ReferenceBackend::run(const ResizeBackward& a) {
  std::vector<double> sums(std::size_t(laneElements(a.geometry.input, a.batch)));
  forTaps(a.geometry, a.batch, a.state,
          [&](std::size_t out, std::size_t in, double weight) { sums[in] += weight * double(a.gradOutput[out]); });
  write(a.geometry.input, a.batch, a.state, sums, a.gradInput);
}

}  // namespace selfcompress
