// Arithmetic of two tensors.
#include <vector>

#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// Where the element of b lies that meets element (n, c, p) of a.
std::size_t indexB(const Operand& o, Shape shape, int n, int c, int p) {
  const Shape b = o.of(shape);
  const int channel = o.oneChannel ? 0 : c, position = o.onePosition ? 0 : p;
  return o.plain ? std::size_t(channel) * std::size_t(b.pixels()) + std::size_t(position)
                 : laneOffset(b, n, channel, 0, position);
}

double resultOf(Binary kind, double a, double b) {
  switch (kind) {
    case Binary::kAdd:
      return a + b;
    case Binary::kSubtract:
      return a - b;
    case Binary::kMultiply:
      return a * b;
    case Binary::kDivide:
      return a / b;
  }
  return 0;
}

bool outputIsZero(Binary kind, bool zeroA, bool zeroB) {
  if (kind == Binary::kMultiply) return zeroA || zeroB;
  return kind == Binary::kDivide ? zeroA : zeroA && zeroB;
}

}  // namespace

void ReferenceBackend::run(const BinaryForward& a) {
  for (int n = 0; n < lanesOfBatch(a.batch); n++)
    for (int c = 0; c < a.shape.channels; c++) {
      const bool zeroA = isZeroChannel(a.stateA, c), zeroB = isZeroChannel(a.stateB, a.operand.oneChannel ? 0 : c);
      for (int p = 0; p < a.shape.pixels() && !outputIsZero(a.kind, zeroA, zeroB); p++) {
        const std::size_t at = laneOffset(a.shape, n, c, 0, p);
        const double x = zeroA ? 0.0 : double(a.a[at]),
                     y = zeroB ? 0.0 : double(a.b[indexB(a.operand, a.shape, n, c, p)]);
        a.output[at] = n >= a.batch && a.kind == Binary::kDivide ? 0.0f : float(resultOf(a.kind, x, y));
      }
    }
}

void ReferenceBackend::run(const BinaryBackward& a) {
  const Shape shapeB = a.operand.of(a.shape);
  std::vector<double> sums(std::size_t(a.operand.plain ? shapeB.elements() : laneElements(shapeB, a.batch)));
  for (int n = 0; n < lanesOfBatch(a.batch); n++)
    for (int c = 0; c < a.shape.channels; c++) {
      const bool zeroA = isZeroChannel(a.stateA, c), zeroB = isZeroChannel(a.stateB, a.operand.oneChannel ? 0 : c),
                 none = outputIsZero(a.kind, zeroA, zeroB), sum = a.kind == Binary::kAdd || a.kind == Binary::kSubtract;
      for (int p = 0; p < a.shape.pixels(); p++) {
        const std::size_t at = laneOffset(a.shape, n, c, 0, p), atB = indexB(a.operand, a.shape, n, c, p);
        const double g = none ? 0.0 : double(a.gradOutput[at]), x = none || sum || zeroA ? 0.0 : double(a.a[at]),
                     y = none || sum ? 1.0
                         : zeroB     ? 0.0
                                     : double(a.b[atB]);
        const double toA = a.kind == Binary::kMultiply ? g * y : g / y;
        if (a.gradA && !zeroA) a.gradA[at] = n < a.batch ? float(toA) : 0.0f;
        if (n >= a.batch) continue;
        sums[atB] += a.kind == Binary::kAdd        ? g
                     : a.kind == Binary::kSubtract ? -g
                     : a.kind == Binary::kMultiply ? g * x
                                                   : -g * x / (y * y);
      }
    }
  const int lanes = a.operand.plain ? 1 : lanesOfBatch(a.batch);
  for (int n = 0; n < lanes && a.gradB; n++)
    for (int c = 0; c < shapeB.channels; c++)
      for (int p = 0; p < shapeB.pixels() && !isZeroChannel(a.stateB, c); p++) {
        const std::size_t at = a.operand.plain ? std::size_t(c) * std::size_t(shapeB.pixels()) + std::size_t(p)
                                               : laneOffset(shapeB, n, c, 0, p);
        a.gradB[at] = float(sums[at]);
      }
}

}  // namespace selfcompress
