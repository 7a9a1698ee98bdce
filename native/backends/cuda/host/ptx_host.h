// The host's branch of ptx.h: asynchronous copies that take place at the wait, and tensor cores as collective
// operations of the 32 fibers of a warp, by the lane layouts given in ptx.h.
#pragma once

#include <cmath>

#include "cuda/host/execution.h"

namespace selfcompress::cuda {

namespace host {

void beginAsyncCopy(void* to, const void* from, bool valid);
void commitAsyncCopies();
void waitForAsyncCopies(int pending);

// An mma of the calling lane: d (4 floats) += A * B.
struct Mma : WarpCall {
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};
void combineTf32(WarpCall* const lanes[32]);
void combineBf16(WarpCall* const lanes[32]);
std::uint32_t roundToTf32(float);
std::uint32_t roundToBf16(float);  // in the lower half

}  // namespace host

inline void cpAsync16(void* to, const void* from, bool valid) { host::beginAsyncCopy(to, from, valid); }
inline void cpAsync16Cached(void* to, const void* from, bool valid) { host::beginAsyncCopy(to, from, valid); }
inline void cpAsyncCommit() { host::commitAsyncCopies(); }
template <int kPending>
inline void cpAsyncWait() {
  host::waitForAsyncCopies(kPending);
}
inline std::uint32_t toTf32(float value) { return host::roundToTf32(value); }
inline std::uint32_t packBf16(float low, float high) { return host::roundToBf16(low) | host::roundToBf16(high) << 16; }
inline void mmaTf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                    std::source_location site = std::source_location::current()) {
  host::Mma call{{"mmaTf32", 0xffffffffu, host::combineTf32, false, site}, d, a, b};
  host::warpCall(call);
}
inline void mmaBf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                    std::source_location site = std::source_location::current()) {
  host::Mma call{{"mmaBf16", 0xffffffffu, host::combineBf16, false, site}, d, a, b};
  host::warpCall(call);
}

}  // namespace selfcompress::cuda
