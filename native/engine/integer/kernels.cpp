#include "engine/integer/kernels.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/integer/layer.h"
#include "engine/kernels.h"
#include "engine/model.h"
#include "selfcompress/x86_features.h"

#if SELFCOMPRESS_NEON_DOT && defined(__linux__)
#include <sys/auxv.h>
#elif SELFCOMPRESS_NEON_DOT && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace selfcompress::engine::integer {
namespace {

#if SELFCOMPRESS_NEON_DOT
bool hasDotProduct() {
#if defined(__linux__)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kDotProduct) != 0;
#elif defined(__APPLE__)
  int has = 0;
  std::size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has;
#else
  return false;
#endif
}
#endif

}  // namespace

std::vector<const CodeKernels*> supportedCodeKernels() {
  std::vector<const CodeKernels*> list{nullptr};
#if SELFCOMPRESS_X86
  for (const Kernels* kernels : supportedKernels()) {
    if (std::string(kernels->isa) == "avx2") list.push_back(&kAvx2CodeKernels);
    if (std::string(kernels->isa) == "avx512" && x86::hasAvx512Vnni()) list.push_back(&kAvx512CodeKernels);
  }
#elif SELFCOMPRESS_ARM64
  list.push_back(&kNeonCodeKernels);
#if SELFCOMPRESS_NEON_DOT
  if (hasDotProduct()) list.push_back(&kNeonDotCodeKernels);
#endif
#elif defined(__wasm_simd128__)
  list.push_back(&kWasmCodeKernels);
#endif
  return list;
}

const CodeKernels* chosenCodeKernels() {
#if defined(__wasm_simd128__)
  return &kWasmCodeKernels;
#else
  const std::string chosen = chosenKernels().isa;  // which throws for an environment that asks for what there is not
  const char* wanted = std::getenv("SELFCOMPRESS_ISA");
  std::vector<const CodeKernels*> list = supportedCodeKernels();
  if (!wanted || !*wanted) return list.back();
  if (std::string(wanted) == "scalar") return nullptr;
  // Processors with AVX-512 but no VNNI use AVX2.
  if (chosen == "avx2" && std::string(list.back()->isa) == "avx512") list.pop_back();
  return list.back();
#endif
}

}  // namespace selfcompress::engine::integer
