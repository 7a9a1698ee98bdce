// Rules of network64's operators: what its files share (float64_network.h).
#pragma once

#include "selfcompress/ops/activation.h"
#include "test/float64_network.h"

namespace test {

// A number between -4 and 4, of the other sign in the next example.
inline double anything(const Node64& a, int n, int place) {
  const std::uint64_t key = std::uint64_t(a.context.index) << 50 ^ std::uint64_t(n) << 40 ^ std::uint64_t(place + 64);
  return (n % 2 ? 1 : -1) * (0.3 + double(mix64(key) % 64) / 18);
}
// What lies outside of a channel's positions: zeros; generic, a multiple of what it holds, of more than its size: in
// some example beyond it, so that no maximum hides it.
inline double outside(const Node64& a, int n, int c) {
  if (!a.generic) return 0;
  const double factor = anything(a, n, c);
  return (factor < 0 ? factor - 1 : factor + 1) * a.x().at(n, c, 0, 0);
}
// Whether a row of weights is none.
inline bool dead(const Node64& a, int row) {
  const std::vector<double>* bits = a.parameter(Role::kBitDepth);
  return bits && (*bits)[std::size_t(row)] <= 0;
}
inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// Those that move values about, and those of sequences.
void flatten64(Node64&);
void concat64(Node64&);
void slicePositions64(Node64&);
void pad64(Node64&);
void pixelShuffle64(Node64&);
void pixelUnshuffle64(Node64&);
void resize64(Node64&);
void attention64(Node64&);
void rotary64(Node64&);
void lstm64(Node64&);
void gru64(Node64&);
void gatherChannels64(Node64&);
void channelShuffle64(Node64&);
void padChannels64(Node64&);
void sliceChannels64(Node64&);

}  // namespace test
