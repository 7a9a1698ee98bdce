// Tables that are part of a program: in one that is sent over a network (the one for browsers) they are made as it
// starts, since they would be a tenth of it.
#pragma once

namespace selfcompress {

#if defined(SELFCOMPRESS_INFERENCE_ONLY)
#define SELFCOMPRESS_TABLE const
template <class Make>
auto tableOf(Make make) {
  volatile bool starts = true;  // else the compiler would make it
  (void)starts;
  return make();
}
#else
#define SELFCOMPRESS_TABLE constexpr
template <class Make>
constexpr auto tableOf(Make make) {
  return make();
}
#endif

}  // namespace selfcompress
