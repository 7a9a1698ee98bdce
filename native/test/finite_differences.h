// Slopes by central differences, for gradients to be compared with.
#pragma once

#include "test/support.h"

namespace test {

// d loss() / d value, where `loss` reads `value`; it is put back.
template <class Loss>
double slopeAt(float& value, float step, Loss loss) {
  const float before = value;
  value = before + step;
  const float above = value;
  const double up = loss();
  value = before - step;
  const float below = value;
  const double down = loss();
  value = before;
  return (up - down) / (double(above) - double(below));
}

// The same for about `probes` elements of what `loss` reads, against a gradient.
template <class Loss>
void checkSlopes(std::vector<float>& values, const std::vector<float>& gradient, int probes, float step,
                 double tolerance, Loss loss) {
  REQUIRE(values.size() == gradient.size());
  for (std::size_t i = 0; i < values.size(); i += 1 + values.size() / std::size_t(probes)) {
    CAPTURE(i);
    CHECK(std::fabs(slopeAt(values[i], step, loss) - double(gradient[i])) < tolerance);
  }
}

// Gradients of a network's parameters, three elements each; loss(state) is that of the whole network. Bit depths and
// exponents are left out: the slope of a quantizer is an estimate.
template <class Network, class State, class Loss>
void checkParameterGradients(const Network& network, State state, const State& gradients, double relative,
                             double absolute, Loss loss) {
  Random random(4);
  for (const auto& p : network.parameters().all()) {
    const auto found = gradients.find(p.name);
    if (!p.gradient || p.name.ends_with(".bitDepth") || p.name.ends_with(".exponent")) continue;
    for (int probe = 0; probe < 3; probe++) {
      const std::size_t at = std::size_t(random.integer(0, int(p.count) - 1));
      const double numeric = slopeAt(state[p.name][at], 4e-3f, [&] { return double(loss(state)); });
      CAPTURE(p.name);
      CHECK(std::fabs(double(found->second[at]) - numeric) < relative * std::fabs(numeric) + absolute);
    }
  }
}

}  // namespace test
