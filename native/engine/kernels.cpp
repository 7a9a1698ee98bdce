// Which kernels this binary holds, this processor runs, and the environment wants.
#include "engine/kernels.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "engine/model.h"
#include "selfcompress/environment.h"

#if SELFCOMPRESS_X86 && defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace selfcompress::engine {
namespace {

#if SELFCOMPRESS_X86
#if defined(_MSC_VER)
bool hasBits(int leaf, int reg, unsigned bits) {
  int out[4];
  __cpuidex(out, leaf, 0);
  return (unsigned(out[reg]) & bits) == bits;
}
bool osSaves(unsigned bits) { return hasBits(1, 2, 1u << 27) && (unsigned(_xgetbv(0)) & bits) == bits; }
bool hasAvx2() { return osSaves(0x6) && hasBits(1, 2, 1u << 12) && hasBits(7, 1, 1u << 5); }
bool hasAvx512() { return hasAvx2() && osSaves(0xe6) && hasBits(7, 1, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31); }
#else
bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

}  // namespace

std::vector<const Kernels*> supportedKernels() {
#if defined(__wasm_simd128__)
  return {&kWasmKernels};  // a program for browsers holds no others
#else
  std::vector<const Kernels*> list{&kScalarKernels};
#if SELFCOMPRESS_X86
  if (hasAvx2()) list.push_back(&kAvx2Kernels);
  if (hasAvx512()) list.push_back(&kAvx512Kernels);
#endif
  return list;
#endif
}

const Kernels& chosenKernels() {
#if defined(__wasm_simd128__)
  return kWasmKernels;
#else
  const std::vector<const Kernels*> list = supportedKernels();
  const char* wanted = std::getenv("SELFCOMPRESS_ISA");
  if (!wanted || !*wanted) return *list.back();
  for (const Kernels* kernels : list)
    if (std::string(kernels->isa) == wanted) return *kernels;
  if (std::string(wanted) == "neon") return kScalarKernels;
  throw EnvironmentError("Expected an instruction set of this processor for SELFCOMPRESS_ISA but received \"" +
                         std::string(wanted) + "\"");
#endif
}

}  // namespace selfcompress::engine
