// Which vector instructions an x86 processor offers, and the operating system keeps the registers of. By CPUID itself:
// compilers' built-in functions for it rest on a runtime library that not every linker has.
#pragma once

#if SELFCOMPRESS_X86
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace selfcompress::x86 {

struct Registers {
  unsigned eax, ebx, ecx, edx;
};

// Zeros for a leaf that the processor does not have.
inline Registers cpuid(unsigned leaf, unsigned sub) {
  Registers r{};
#if defined(_MSC_VER)
  int most[4], out[4];
  __cpuid(most, 0);
  if (unsigned(most[0]) < leaf) return r;
  __cpuidex(out, int(leaf), int(sub));
  r = {unsigned(out[0]), unsigned(out[1]), unsigned(out[2]), unsigned(out[3])};
#else
  __get_cpuid_count(leaf, sub, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
  return r;
}

// Which register state the operating system saves: a processor may know AVX-512 while the system does not keep it.
inline unsigned long long savedState() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
#endif
}

// With FMA and F16C.
inline bool hasAvx2() {
  const unsigned one = cpuid(1, 0).ecx;
  const bool osxsave = one & (1u << 27), fma = one & (1u << 12), f16c = one & (1u << 29);
  return osxsave && fma && f16c && (savedState() & 6) == 6 && (cpuid(7, 0).ebx & (1u << 5));
}
// F, DQ, BW, VL.
inline bool hasAvx512() {
  const unsigned needed = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
  return hasAvx2() && (savedState() & 0xe6) == 0xe6 && (cpuid(7, 0).ebx & needed) == needed;
}
inline bool hasAvx512Vnni() { return hasAvx512() && (cpuid(7, 0).ecx & (1u << 11)); }
inline bool hasAvx512Bf16() { return hasAvx512() && cpuid(7, 0).eax >= 1 && (cpuid(7, 1).eax & (1u << 5)); }

}  // namespace selfcompress::x86
#endif
