// Which instruction sets this binary holds and this processor offers, and the choice among them.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cpu/kernels.h"
#include "cpu/layer_kernels.h"
#include "cpu/sequence_kernels.h"
#include "selfcompress/backend.h"
#include "selfcompress/environment.h"

#if SELFCOMPRESS_X86
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace selfcompress::cpu {
namespace {

#if SELFCOMPRESS_X86
struct Registers {
  unsigned eax, ebx, ecx, edx;
};

Registers cpuid(unsigned leaf, unsigned sub) {
  Registers r{};
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, int(leaf), int(sub));
  r = {unsigned(out[0]), unsigned(out[1]), unsigned(out[2]), unsigned(out[3])};
#else
  __cpuid_count(leaf, sub, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

// Which register state the operating system saves: a processor may know AVX-512 while the system does not keep it.
unsigned long long savedState() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
#endif
}

bool hasAvx2() {
  if (cpuid(0, 0).eax < 7) return false;
  unsigned one = cpuid(1, 0).ecx;
  bool osxsave = one & (1u << 27), fma = one & (1u << 12), f16c = one & (1u << 29);
  return osxsave && fma && f16c && (savedState() & 6) == 6 && (cpuid(7, 0).ebx & (1u << 5));
}

bool hasAvx512() {
  const unsigned needed = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  return hasAvx2() && (savedState() & 0xe6) == 0xe6 && (cpuid(7, 0).ebx & needed) == needed;
}
#endif
#if SELFCOMPRESS_AVX512_BF16
bool hasAvx512Bf16() { return hasAvx512() && cpuid(7, 0).eax >= 1 && (cpuid(7, 1).eax & (1u << 5)); }
#endif

}  // namespace

const char* isaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kNeon:
      return "neon";
  }
  return "";
}

bool isaSupported(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if SELFCOMPRESS_X86
  static const bool avx2 = hasAvx2(), avx512 = hasAvx512();
  return isa == Isa::kAvx2 ? avx2 : isa == Isa::kAvx512 && avx512;
#elif SELFCOMPRESS_ARM64
  return isa == Isa::kNeon;
#else
  return false;
#endif
}

bool bf16IsNative(Isa isa) {
#if SELFCOMPRESS_AVX512_BF16
  static const bool native = hasAvx512Bf16();
  return isa == Isa::kAvx512 && native;
#else
  (void)isa;
  return false;
#endif
}

Isa chooseIsa() {
  constexpr Isa order[] = {Isa::kAvx512, Isa::kAvx2, Isa::kNeon, Isa::kScalar};
  const char* wanted = std::getenv("SELFCOMPRESS_ISA");
  std::string supported;
  for (Isa isa : order) {
    if (!isaSupported(isa)) continue;
    if (!wanted || std::string(wanted) == isaName(isa)) return isa;
    supported += (supported.empty() ? "\"" : ", \"") + std::string(isaName(isa)) + "\"";
  }
  throw EnvironmentError("Expected one of " + supported + " for SELFCOMPRESS_ISA but received \"" + wanted + "\"");
}

const Kernels& kernelsOf(Isa isa) {
#if SELFCOMPRESS_X86
  if (isa == Isa::kAvx512) {
    static const Kernels kernels = [] {
      Kernels best = avx512::kernels;
#if SELFCOMPRESS_AVX512_BF16
      if (bf16IsNative(Isa::kAvx512)) best.pairs = avx512bf16::pairKernels;
#endif
      return best;
    }();
    return kernels;
  }
  if (isa == Isa::kAvx2) return avx2::kernels;
#elif SELFCOMPRESS_ARM64
  if (isa == Isa::kNeon) return neon::kernels;
#endif
  if (isa == Isa::kScalar) return scalar::kernels;
  throw std::runtime_error(std::string("This build holds no kernels for ") + isaName(isa));
}

const LayerKernels& layerKernelsOf(Isa isa) {
#if SELFCOMPRESS_X86
  if (isa == Isa::kAvx512) return avx512::layerKernels;
  if (isa == Isa::kAvx2) return avx2::layerKernels;
#elif SELFCOMPRESS_ARM64
  if (isa == Isa::kNeon) return neon::layerKernels;
#endif
  if (isa == Isa::kScalar) return scalar::layerKernels;
  throw std::runtime_error(std::string("This build holds no kernels for ") + isaName(isa));
}

const SequenceKernels& sequenceKernelsOf(Isa isa) {
#if SELFCOMPRESS_X86
  if (isa == Isa::kAvx512) return avx512::sequenceKernels;
  if (isa == Isa::kAvx2) return avx2::sequenceKernels;
#elif SELFCOMPRESS_ARM64
  if (isa == Isa::kNeon) return neon::sequenceKernels;
#endif
  if (isa == Isa::kScalar) return scalar::sequenceKernels;
  throw std::runtime_error(std::string("This build holds no kernels for ") + isaName(isa));
}

}  // namespace selfcompress::cpu
