// What a warp's collective operations compute, and asynchronous copies.
#include <algorithm>

#include "cuda/host/execution.h"
#include "cuda/host/ptx_host.h"

namespace selfcompress::cuda::host {

void shuffleFromAbsent(const WarpCall& call, int lane) {
  fault(std::string(call.name) + " reads lane " + std::to_string(lane) + ", which its mask leaves out");
}

void combineVote(WarpCall* const lanes[32]) {
  unsigned votes = 0;
  for (int i = 0; i < 32; i++)
    if (lanes[i] && static_cast<Vote*>(lanes[i])->predicate) votes |= 1u << i;
  for (int i = 0; i < 32; i++)
    if (lanes[i]) static_cast<Vote*>(lanes[i])->out = votes;
}

// ---- asynchronous copies ----

void beginAsyncCopy(void* to, const void* from, bool valid) {
  tick();
  const Block& b = *current->block;
  auto* target = static_cast<unsigned char*>(to);
  if (target < b.shared || target + 16 > b.shared + b.sharedBytes)
    fault("cpAsync16 to what is not the block's shared memory");
  if (reinterpret_cast<std::uintptr_t>(to) % 16) fault("cpAsync16 to shared memory that is not 16-byte aligned");
  auto* source = static_cast<const unsigned char*>(from);
  if (valid) {
    const Allocation& a = allocationOf(from);
    if (source < a.data || source + 16 > a.data + a.bytes)
      fault("cpAsync16 reads byte " + std::to_string(source - a.data) + " of an allocation of " +
            std::to_string(a.bytes) + " bytes");
    if (reinterpret_cast<std::uintptr_t>(from) % 16) fault("cpAsync16 from global memory that is not 16-byte aligned");
    Word* words = a.words + (source - a.data) / 4;
    for (int k = 0; k < 4; k++) noteRead<false>(words[k], current->inGlobal);
  }
  Word* words = sharedWords(to);
  for (int k = 0; k < 4; k++) noteCopyBegins(words[k], current->inShared);
  fillWithPoison(to, 16);
  current->copies.push_back({target, valid ? source : nullptr, current->group});
}

void commitAsyncCopies() { current->group++; }

void waitForAsyncCopies(int pending) {
  tick();
  Thread& t = *current;
  std::size_t kept = 0;
  for (const AsyncCopy& copy : t.copies) {
    if (copy.group >= t.group - pending) {
      t.copies[kept++] = copy;
      continue;
    }
    if (copy.from) std::memcpy(copy.to, copy.from, 16);
    else std::memset(copy.to, 0, 16);
    Word* words = sharedWords(copy.to);
    for (int k = 0; k < 4; k++) noteCopyEnds(words[k], t.inShared);
  }
  t.copies.resize(kept);
}

// ---- tensor cores ----

std::uint32_t roundToTf32(float value) {
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits += 0x1000u;  // half of the last place that stays: ties away from zero
  else if (bits & 0x007fffffu) bits |= 0x00400000u;          // a NaN stays one
  return bits & 0xffffe000u;
}
std::uint32_t roundToBf16(float value) {
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return 0x7fffu;
  return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

namespace {

// d += A * B for the fragments of 32 lanes; element(fragment, k) reads operands of a lane.
template <int kDepth, class A, class B>
void multiply(WarpCall* const lanes[32], A elementOfA, B elementOfB) {
  float a[16][kDepth], b[kDepth][8], d[16][8];
  for (int l = 0; l < 32; l++) {
    const Mma& m = *static_cast<const Mma*>(lanes[l]);
    int group = l / 4, t = l % 4;
    elementOfA(m, group, t, a);
    elementOfB(m, group, t, b);
    d[group][2 * t] = m.d[0], d[group][2 * t + 1] = m.d[1];
    d[group + 8][2 * t] = m.d[2], d[group + 8][2 * t + 1] = m.d[3];
  }
  for (int i = 0; i < 16; i++)
    for (int k = 0; k < kDepth; k++)
      for (int j = 0; j < 8; j++) d[i][j] += a[i][k] * b[k][j];
  for (int l = 0; l < 32; l++) {
    const Mma& m = *static_cast<const Mma*>(lanes[l]);
    int group = l / 4, t = l % 4;
    m.d[0] = d[group][2 * t], m.d[1] = d[group][2 * t + 1];
    m.d[2] = d[group + 8][2 * t], m.d[3] = d[group + 8][2 * t + 1];
  }
}

float tf32(std::uint32_t word) { return std::bit_cast<float>(word & 0xffffe000u); }  // the multiplier ignores the rest
float low(std::uint32_t word) { return std::bit_cast<float>(word << 16); }
float high(std::uint32_t word) { return std::bit_cast<float>(word & 0xffff0000u); }

}  // namespace

void combineTf32(WarpCall* const lanes[32]) {
  multiply<8>(
      lanes,
      [](const Mma& m, int group, int t, float(&a)[16][8]) {
        a[group][t] = tf32(m.a[0]), a[group + 8][t] = tf32(m.a[1]);
        a[group][t + 4] = tf32(m.a[2]), a[group + 8][t + 4] = tf32(m.a[3]);
      },
      [](const Mma& m, int group, int t, float(&b)[8][8]) {
        b[t][group] = tf32(m.b[0]), b[t + 4][group] = tf32(m.b[1]);
      });
}

void combineBf16(WarpCall* const lanes[32]) {
  multiply<16>(
      lanes,
      [](const Mma& m, int group, int t, float(&a)[16][16]) {
        for (int half = 0; half < 2; half++) {
          int column = 2 * t + 8 * half;
          std::uint32_t upper = m.a[2 * half], lower = m.a[2 * half + 1];
          a[group][column] = low(upper), a[group][column + 1] = high(upper);
          a[group + 8][column] = low(lower), a[group + 8][column + 1] = high(lower);
        }
      },
      [](const Mma& m, int group, int t, float(&b)[16][8]) {
        for (int half = 0; half < 2; half++) {
          int row = 2 * t + 8 * half;
          b[row][group] = low(m.b[half]), b[row + 1][group] = high(m.b[half]);
        }
      });
}

}  // namespace selfcompress::cuda::host
