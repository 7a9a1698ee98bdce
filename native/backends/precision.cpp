#include "selfcompress/backend.h"

namespace selfcompress {

const char* precisionName(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return "fp32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kBfloat16:
      return "bf16";
  }
  return "";
}

}  // namespace selfcompress
