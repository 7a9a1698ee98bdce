// A model file as one C99 file: no library, no allocation, the integers of docs/integer.md bit for bit.
#pragma once

#include <string>

#include "engine/integer/program.h"

namespace selfcompress {

struct COptions {
  std::string name = "network";  // an identifier: what its functions begin with
  bool packed = true;            // weights in the bits of their codes, unpacked row by row; false: a byte each
};

std::string writeC(const engine::integer::Program&, const COptions&);

extern const char* const kArithmeticText;  // native/engine/integer/arithmetic.h

}  // namespace selfcompress
