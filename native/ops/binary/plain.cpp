#include "ops/binary/plain.h"

namespace selfcompress {
namespace {

template <Binary kKind, bool kReversed>
float combined(float a, float b) {
  const float x = kReversed ? b : a, y = kReversed ? a : b;
  if constexpr (kKind == Binary::kAdd) return x + y;
  else if constexpr (kKind == Binary::kSubtract) return x - y;
  else if constexpr (kKind == Binary::kMultiply) return x * y;
  else return x / y;
}

template <Binary kKind, bool kReversed>
void rows(PlainOperand operand, std::int64_t first, std::int64_t last, std::int64_t columns, const float* a,
          const float* b, float* output) {
  const std::int64_t begin = first * columns, end = last * columns;
  if (operand == PlainOperand::kSame)
    for (std::int64_t i = begin; i < end; i++) output[i] = combined<kKind, kReversed>(a[i], b[i]);
  else if (operand == PlainOperand::kScalar) {
    const float scalar = b[0];
    for (std::int64_t i = begin; i < end; i++) output[i] = combined<kKind, kReversed>(a[i], scalar);
  } else {
    for (std::int64_t r = begin; r < end; r += columns)
      for (std::int64_t c = 0; c < columns; c++) output[r + c] = combined<kKind, kReversed>(a[r + c], b[c]);
  }
}

template <Binary kKind, class... Arguments>
void either(bool reversed, Arguments... arguments) {
  if (reversed) rows<kKind, true>(arguments...);
  else rows<kKind, false>(arguments...);
}

}  // namespace

void plainBinary(Binary kind, PlainOperand operand, bool reversed, std::int64_t first, std::int64_t last,
                 std::int64_t columns, const float* a, const float* b, float* output) {
  switch (kind) {
    case Binary::kAdd:
      return either<Binary::kAdd>(reversed, operand, first, last, columns, a, b, output);
    case Binary::kSubtract:
      return either<Binary::kSubtract>(reversed, operand, first, last, columns, a, b, output);
    case Binary::kMultiply:
      return either<Binary::kMultiply>(reversed, operand, first, last, columns, a, b, output);
    case Binary::kDivide:
      return either<Binary::kDivide>(reversed, operand, first, last, columns, a, b, output);
  }
}

void plainSumOfRows(std::int64_t first, std::int64_t last, std::int64_t columns, const float* input, double* sums) {
  for (std::int64_t c = 0; c < columns; c++) sums[c] = 0;
  for (std::int64_t r = first; r < last; r++)
    for (std::int64_t c = 0; c < columns; c++) sums[c] += input[r * columns + c];
}

}  // namespace selfcompress
