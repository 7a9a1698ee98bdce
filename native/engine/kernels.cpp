// Which kernels this binary holds, this processor runs, and the environment wants.
#include "engine/kernels.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "engine/model.h"
#include "selfcompress/environment.h"
#include "selfcompress/x86_features.h"

namespace selfcompress::engine {
std::vector<const Kernels*> supportedKernels() {
#if defined(__wasm_simd128__)
  return {&kWasmKernels};  // a program for browsers holds no others
#else
  std::vector<const Kernels*> list{&kScalarKernels};
#if SELFCOMPRESS_X86
  if (x86::hasAvx2()) list.push_back(&kAvx2Kernels);
  if (x86::hasAvx512()) list.push_back(&kAvx512Kernels);
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
