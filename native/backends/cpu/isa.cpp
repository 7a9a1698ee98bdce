// Which instruction sets this binary holds and this processor offers, and the choice among them.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cpu/kernels.h"
#include "cpu/layer_kernels.h"
#include "cpu/sequence_kernels.h"
#include "selfcompress/backend.h"
#include "selfcompress/environment.h"
#include "selfcompress/x86_features.h"

namespace selfcompress::cpu {
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
  static const bool avx2 = x86::hasAvx2(), avx512 = x86::hasAvx512();
  return isa == Isa::kAvx2 ? avx2 : isa == Isa::kAvx512 && avx512;
#elif SELFCOMPRESS_ARM64
  return isa == Isa::kNeon;
#else
  return false;
#endif
}

bool bf16IsNative(Isa isa) {
#if SELFCOMPRESS_AVX512_BF16
  static const bool native = x86::hasAvx512Bf16();
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
