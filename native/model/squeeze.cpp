#include "model/squeeze.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "model/code_model.h"

namespace selfcompress::model {
namespace {

// Counts bits where the range coder would write them.
struct PriceCoder {
  [[maybe_unused]] static constexpr bool kDecodes = false;
  bool learnsNothing = false;
  double bits = 0;
  int raw(std::uint32_t p16, int bit) {
    bits += 16 - std::log2(double(bit ? p16 : 65536 - p16));
    return bit;
  }
  int bit(Adaptive& model, int bit, std::uint32_t limit) {
    raw(clampProbability(model.p16()), bit);
    if (!learnsNothing) model.update(bit, limit);
    return bit;
  }
};

// Steps towards zero that are tried: 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
std::int64_t spacingAt(std::int64_t step) {
  return step < 4 ? 1 : std::int64_t(std::bit_floor(std::uint64_t(step)) / 2);
}

}  // namespace

void squeezeCodes(const RowShape& shape, const std::int32_t* codes, const float* cost, double lambda,
                  std::int32_t* output) {
  TensorView view;
  view.shape = shape, view.codes = codes;
  PriceCoder coder;
  CodeModel<PriceCoder, ContextMode::kMixed> model(coder, shape, lagOf(view));
  const auto length = std::size_t(shape.perChannel());
  for (std::int64_t c = 0; c < shape.channels; c++, codes += length, cost += length, output += length) {
    std::copy_n(codes, length, output);
    const auto [low, high] = std::minmax_element(codes, codes + length);
    model.row(output, [&, low = *low, high = *high](std::size_t at, auto code) {
      const std::int64_t given = output[at];
      if (given == 0) return;
      coder.learnsNothing = true;
      double least = INFINITY;
      auto attempt = [&](std::int64_t value) {
        if (value < low || value > high) return;
        coder.bits = 0;
        code(std::int32_t(value));
        const double distance = double(value - given);
        const double total = lambda * coder.bits + (value == given ? 0.0 : double(cost[at]) * distance * distance);
        if (total < least) least = total, output[at] = std::int32_t(value);
      };
      const std::int64_t sign = given < 0 ? -1 : 1, magnitude = given * sign;
      attempt(given), attempt(given + sign);
      for (std::int64_t step = 1; step < magnitude; step += spacingAt(step)) attempt(given - step * sign);
      attempt(0);
      coder.learnsNothing = false;
    });
  }
}

}  // namespace selfcompress::model
