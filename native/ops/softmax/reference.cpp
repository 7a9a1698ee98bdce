// Softmax along channels or along the last axis of positions.
#include <cmath>

#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// visit(n, offset of element i) for every line along the axis.
template <class Visit>
void forLines(Shape shape, int batch, SoftmaxAxis axis, Visit visit) {
  const bool channels = axis == SoftmaxAxis::kChannels;
  for (int n = 0; n < lanesOfBatch(batch); n++)
    for (int outer = 0; outer < (channels ? shape.pixels() : shape.channels * shape.height); outer++)
      visit(n, [=](int i) {
        return channels ? laneOffset(shape, n, i, 0, outer)
                        : laneOffset(shape, n, outer / shape.height, outer % shape.height, i);
      });
}

}  // namespace

void ReferenceBackend::run(const SoftmaxForward& a) {
  const int length = a.axis == SoftmaxAxis::kChannels ? a.shape.channels : a.shape.width;
  forLines(a.shape, a.batch, a.axis, [&](int, auto at) {
    double top = -HUGE_VAL, sum = 0;
    for (int i = 0; i < length; i++) top = std::fmax(top, double(a.input[at(i)]));
    for (int i = 0; i < length; i++) sum += std::exp(double(a.input[at(i)]) - top);
    for (int i = 0; i < length; i++) {
      const double x = double(a.input[at(i)]) - top;
      a.output[at(i)] = float(a.logarithm ? x - std::log(sum) : std::exp(x) / sum);
    }
  });
}

void ReferenceBackend::run(const SoftmaxBackward& a) {
  const int length = a.axis == SoftmaxAxis::kChannels ? a.shape.channels : a.shape.width;
  forLines(a.shape, a.batch, a.axis, [&](int n, auto at) {
    double sum = 0;
    for (int i = 0; i < length; i++) sum += double(a.gradOutput[at(i)]) * (a.logarithm ? 1.0 : double(a.output[at(i)]));
    for (int i = 0; i < length; i++) {
      const double g = a.gradOutput[at(i)], y = a.output[at(i)];
      a.gradInput[at(i)] = n >= a.batch ? 0.0f : float(a.logarithm ? g - std::exp(y) * sum : y * (g - sum));
    }
  });
}

}  // namespace selfcompress
