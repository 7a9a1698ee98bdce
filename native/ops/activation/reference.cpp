// Activations.
#include <vector>

#include "ops/activation/functions.h"
#include "ops/elements.h"
#include "reference/reference_backend.h"

namespace selfcompress {

void ReferenceBackend::run(const ActivationForward& a) {
  const float atZero = activationOfZero(a.kind, a.alpha, a.beta);
  forElements(a.shape, a.batch, nullptr, [&](std::size_t i, int c) {
    if (isPadding(i, a.shape, a.batch)) {
      if (!isZeroChannel(a.state, c) || atZero != 0) a.output[i] = 0;
    } else if (!isZeroChannel(a.state, c)) a.output[i] = float(activationOf(a.kind, a.input[i], a.alpha, a.beta));
    else if (atZero != 0) a.output[i] = atZero;
  });
}

void ReferenceBackend::run(const ActivationBackward& a) {
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int) {
    const double g = a.gradOutput[i], slope = activationSlope(a.kind, a.input[i], a.alpha, a.beta);
    a.gradInput[i] = slope == 0 || isPadding(i, a.shape, a.batch)
                         ? 0.0f
                         : float(g * slope);  // 0 where the gradient is no number, too
  });
}

void ReferenceBackend::run(const PReluForward& a) {
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int c) {
    const float x = a.input[i];
    a.output[i] = x > 0 ? x : a.slope[a.shared ? 0 : c] * x;
  });
}

void ReferenceBackend::run(const PReluBackward& a) {
  std::vector<double> sums(std::size_t(a.shape.channels));
  forElements(a.shape, a.batch, a.state, [&](std::size_t i, int c) {
    const float x = a.input[i], g = a.gradOutput[i];
    a.gradInput[i] = x > 0 ? g : a.slope[a.shared ? 0 : c] * g;
    if (!isPadding(i, a.shape, a.batch) && !isDeadChannel(a.state, c) && !(x > 0))
      sums[a.shared ? 0 : std::size_t(c)] += double(g) * double(x);
  });
  for (int c = 0; c < (a.shared ? 1 : a.shape.channels); c++) a.gradSlope[c] = float(sums[std::size_t(c)]);
}

}  // namespace selfcompress
