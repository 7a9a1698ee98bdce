// What the standard library of Debian's emscripten lacks; included before every file by scripts/build/wasm.mjs.
#pragma once

#include <version>

#if !defined(__cpp_lib_bit_cast)
namespace std {
template <class To, class From>
constexpr To bit_cast(const From& from) noexcept {
  return __builtin_bit_cast(To, from);
}
}  // namespace std
#endif

// There is one thread. The linker takes storage of threads together with instructions that copy memory (-mbulk-memory)
// from programs with atomics alone.
#define thread_local
