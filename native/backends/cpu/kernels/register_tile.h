// Register tiles have sizes that the compiler knows; what they are asked for, it does not.
#pragma once

namespace SELFCOMPRESS_ISA_NAMESPACE {
namespace {

template <int N>
struct Size {
  static constexpr int value = N;
};

// call(Size<n>), n being 1 to kMost.
template <int kMost, class Call>
inline void withSize(int n, const Call& call) {
  if constexpr (kMost > 1)
    if (n < kMost) return withSize<kMost - 1>(n, call);
  call(Size<kMost>());
}

// call(first, Size<P>) for all positions: as many at a time as a tile takes, then what is left.
template <class Call>
inline void inTiles(int positions, const Call& call) {
  int p = 0;
  for (; p + kTileP <= positions; p += kTileP) {
    if constexpr (kTileP == 3)
      if (positions - p == 4) break;  // 2 + 2, not 3 + 1
    call(p, Size<kTileP>());
  }
  if constexpr (kTileP > 2)
    for (; positions - p >= 2; p += 2) call(p, Size<2>());
  if constexpr (kTileP > 1)
    for (; p < positions; p++) call(p, Size<1>());
}

}  // namespace
}  // namespace SELFCOMPRESS_ISA_NAMESPACE
